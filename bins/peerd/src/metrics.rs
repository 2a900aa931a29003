//! What the daemon counts, in the Prometheus text format. Names and labels are promises: dashboards rely on them.

mod process;
mod writes;

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::process::Process;
pub(crate) use self::writes::WriteTimes;

/// Everything counted. Clones of the parts share their values.
pub struct Metrics {
    registry: Registry,
    /// What is known of every process, under the names every exporter uses.
    process: Registry,
    /// Rows by state, set at each scrape.
    pub downloads: Family<State, Gauge>,
    /// Bytes received from peers.
    pub download_bytes: Family<Peer, Counter>,
    /// Bytes fetched and given up again.
    pub download_wasted: Family<PeerReason, Counter>,
    /// Transfers continued above byte zero.
    pub download_resumes: Family<Peer, Counter>,
    /// Generations given up.
    pub download_restarts: Family<PeerReason, Counter>,
    /// Ended runs of a download by outcome.
    pub download_attempts: Family<PeerOutcome, Counter>,
    /// Delays before another attempt.
    pub retry_delay: Histogram,
    /// Downloads running now.
    pub permits_in_use: Gauge,
    /// Whether a peer answered last, set at each scrape.
    pub peer_up: Family<Peer, Gauge>,
    /// Time to sync what came in and put it on record.
    pub checkpoint: Histogram,
    /// Time of one transaction of the registry.
    pub db_write: Histogram,
    /// Answers by route and status.
    pub serve_requests: Family<RouteCode, Counter>,
    /// From a request for the content of a download to its first byte, or to the word that it does not come.
    pub content_wait: Histogram,
    /// Body bytes handed to readers.
    pub serve_bytes: Family<Share, Counter>,
    /// Answers to file requests by what the range came to.
    pub serve_ranges: Family<Kind, Counter>,
    /// File bodies being sent now; of downloads that are read, from their request on.
    pub serve_active: Gauge,
    /// Refused keys.
    pub auth_failures: Family<Listener, Counter>,
    /// Hand-offs of finished files by how they went.
    pub imports: Family<TargetResult, Counter>,
    /// Events handed to hooks by how that went.
    pub hook_deliveries: Family<HookResult, Counter>,
    /// Free bytes where downloads grow, set at each scrape.
    pub disk_free: Family<Dir, Gauge<f64, AtomicU64>>,
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($label:ident),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $name { $(#[doc = "label value"] pub $label: String),+ }
    )+};
}

labels! {
    /// Labels of one state.
    State { state }
    /// Labels of one peer.
    Peer { peer }
    /// Labels of a restart.
    PeerReason { peer, reason }
    /// Labels of an ended run.
    PeerOutcome { peer, outcome }
    /// Labels of an answer.
    RouteCode { route, code }
    /// Labels of one share.
    Share { share }
    /// Labels of a range decision.
    Kind { kind }
    /// Labels of a listener.
    Listener { listener }
    /// Labels of a hand-off.
    TargetResult { target, result }
    /// Labels of a delivery.
    HookResult { hook, result }
    /// Labels of a directory.
    Dir { dir }
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("peerd");
        let metrics = Self {
            downloads: Family::default(),
            download_bytes: Family::default(),
            download_wasted: Family::default(),
            download_resumes: Family::default(),
            download_restarts: Family::default(),
            download_attempts: Family::default(),
            retry_delay: Histogram::new([0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0]),
            permits_in_use: Gauge::default(),
            peer_up: Family::default(),
            checkpoint: Histogram::new(DISK_TIMES),
            db_write: Histogram::new(DISK_TIMES),
            serve_requests: Family::default(),
            content_wait: Histogram::new([0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 10.0]),
            serve_bytes: Family::default(),
            serve_ranges: Family::default(),
            serve_active: Gauge::default(),
            auth_failures: Family::default(),
            imports: Family::default(),
            hook_deliveries: Family::default(),
            disk_free: Family::default(),
            registry: Registry::default(),
            process: Registry::default(),
        };
        let r = &mut registry;
        r.register(
            "build",
            "Version of the running daemon",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register("downloads", "Downloads by state", metrics.downloads.clone());
        r.register("download_bytes", "Bytes received from peers", metrics.download_bytes.clone());
        r.register(
            "download_wasted_bytes",
            "Bytes fetched and given up again",
            metrics.download_wasted.clone(),
        );
        r.register(
            "download_resumes",
            "Transfers continued above byte zero",
            metrics.download_resumes.clone(),
        );
        r.register("download_restarts", "Downloads started over", metrics.download_restarts.clone());
        r.register("download_attempts", "Ended runs of downloads", metrics.download_attempts.clone());
        r.register_with_unit(
            "retry_delay",
            "Delays before another attempt",
            Unit::Seconds,
            metrics.retry_delay.clone(),
        );
        r.register("permits_in_use", "Downloads running now", metrics.permits_in_use.clone());
        r.register("peer_up", "Whether a peer answered last", metrics.peer_up.clone());
        r.register(
            "serve_requests",
            "Answers of the peer listener, and to requests for the content of a download",
            metrics.serve_requests.clone(),
        );
        r.register_with_unit(
            "content_wait",
            "Time to the first byte of a download that is read",
            Unit::Seconds,
            metrics.content_wait.clone(),
        );
        r.register("serve_bytes", "File bytes the sockets took", metrics.serve_bytes.clone());
        r.register("serve_ranges", "File requests by range decision", metrics.serve_ranges.clone());
        r.register("serve_active", "File bodies being sent now", metrics.serve_active.clone());
        r.register("auth_failures", "Refused keys", metrics.auth_failures.clone());
        r.register("imports", "Hand-offs of finished files", metrics.imports.clone());
        r.register("hook_deliveries", "Events handed to hooks", metrics.hook_deliveries.clone());
        r.register_with_unit("disk_free", "Free space", Unit::Bytes, metrics.disk_free.clone());
        r.register_with_unit(
            "checkpoint",
            "Time to sync what came in and put it on record",
            Unit::Seconds,
            metrics.checkpoint.clone(),
        );
        r.register_with_unit(
            "db_write",
            "Time of one transaction of the registry",
            Unit::Seconds,
            metrics.db_write.clone(),
        );
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        Self { registry, process, ..metrics }
    }

    /// The exposition text.
    ///
    /// # Errors
    /// Never in practice: writing into a string cannot fail.
    pub fn exposition(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &self.process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Seconds: from a fast SSD to a disk that is asleep.
const DISK_TIMES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The content type of [`Metrics::exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_promised_names_come_out_as_promised() {
        let metrics = Metrics::new();
        metrics.download_bytes.get_or_create(&Peer { peer: "bob".into() }).inc_by(5);
        metrics.downloads.get_or_create(&State { state: "queued".into() }).set(2);
        metrics.disk_free.get_or_create(&Dir { dir: "downloads".into() }).set(1e9);
        metrics.retry_delay.observe(0.3);
        let label = TargetResult { target: "radarr".into(), result: "done".into() };
        metrics.imports.get_or_create(&label).inc();
        let text = metrics.exposition().unwrap();
        for line in [
            "peerd_build_info{version=\"",
            "peerd_download_bytes_total{peer=\"bob\"} 5",
            "peerd_downloads{state=\"queued\"} 2",
            "peerd_disk_free_bytes{dir=\"downloads\"}",
            "peerd_retry_delay_seconds_count 1",
            "peerd_permits_in_use 0",
            "peerd_checkpoint_seconds_count 0",
            "peerd_db_write_seconds_count 0",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_cpu_seconds_total ",
            "process_start_time_seconds ",
            "\n# EOF\n",
            "peerd_imports_total{target=\"radarr\",result=\"done\"} 1",
        ] {
            assert!(text.contains(line), "{line} not in:\n{text}");
        }
    }

    /// A family shows nothing before it has a sample.
    fn with_a_sample_of_everything() -> Metrics {
        fn touch<L: Default + Clone + Eq + std::hash::Hash, M: Default + Clone>(family: &Family<L, M>) {
            drop(family.get_or_create(&L::default()));
        }
        let metrics = Metrics::new();
        // Without `..`: what is new must be touched, too.
        let Metrics {
            registry: _,
            process: _,
            retry_delay: _,
            permits_in_use: _,
            checkpoint: _,
            db_write: _,
            content_wait: _,
            serve_active: _,
            downloads,
            download_bytes,
            download_wasted,
            download_resumes,
            download_restarts,
            download_attempts,
            peer_up,
            serve_requests,
            serve_bytes,
            serve_ranges,
            auth_failures,
            imports,
            hook_deliveries,
            disk_free,
        } = &metrics;
        touch(downloads);
        touch(download_bytes);
        touch(download_wasted);
        touch(download_resumes);
        touch(download_restarts);
        touch(download_attempts);
        touch(peer_up);
        touch(serve_requests);
        touch(serve_bytes);
        touch(serve_ranges);
        touch(auth_failures);
        touch(imports);
        touch(hook_deliveries);
        touch(disk_free);
        metrics
    }

    #[test]
    fn every_metric_is_on_its_page_with_its_labels_and_the_other_way_round() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: BTreeSet<_> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
        let text = with_a_sample_of_everything().exposition().unwrap();
        let counted: BTreeSet<_> =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(family).collect();
        assert_eq!(named, counted);
    }

    /// The name of a sample's metric with the names of its labels, as the page writes it: `name{a,b}`.
    fn family(sample: &str) -> Option<String> {
        let (name, rest) = sample.split_once(['{', ' '])?;
        let histogram = name.strip_suffix("_bucket");
        if name.ends_with("_seconds_sum") || name.ends_with("_seconds_count") {
            return None;
        }
        let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
        let labels = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        let labels: Vec<_> = labels.filter(|label| !matches!(*label, "le" | "version")).collect();
        let name = histogram.unwrap_or(name);
        Some(if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) })
    }
}
