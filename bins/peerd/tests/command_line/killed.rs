//! `peerd get` killed again and again over one download: the right file in the end, and little paid twice.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use fastrand::Rng;
use resume_fetch::{Ledger, RangeSet, SidecarLedger, with_suffix};
use scripted_peer::{Answer, Gate, RecordedRequest, Representation, ScriptedPeer, assert_same_bytes};
use tokio::process::Command;

use crate::support::{Home, MIB, Output, program};

#[tokio::test]
async fn get_killed_at_twenty_random_moments_pays_for_each_at_most_once_a_checkpoint() {
    killed_at_twenty_random_moments(1).await;
}

#[tokio::test]
async fn get_over_eight_connections_killed_at_twenty_random_moments_pays_no_more_for_each() {
    killed_at_twenty_random_moments(8).await;
}

/// Downloads one file over `connections` connections, in as many processes as it takes: twenty are killed.
///
/// What a kill costs is what the peer has sent and will be asked for again: the bytes one process was sent, less those
/// it put on record. Two things bound it. The engine keeps at most [`CHECKPOINT`] bytes in the part file that are not
/// on record, and at most [`ON_THEIR_WAY`] for each connection have not reached the file. Every sixth kill comes only
/// after more than both, as long as so much is missing: it would show if nothing were recorded in time. The others come
/// sooner, some before anything is.
///
/// A kill alone loses no byte that was written: the kernel has it. So whatever is not on record is overwritten each
/// time, as a power cut might, and what the next process takes over has to be right on the record's word alone.
async fn killed_at_twenty_random_moments(connections: u64) {
    let mut run = Run::new(connections).await;
    let bound = CHECKPOINT + connections * ON_THEIR_WAY;
    let mut rng = Rng::with_seed(run.seed);
    for life in 1..=KILLS {
        let wanted = match life % 6 {
            0 => bound + rng.u64(1..4 * MIB),
            _ => rng.u64(0..4 * MIB),
        };
        let (sent, recorded) = run.killed_after(life, wanted).await;
        assert!(sent - recorded <= bound, "{life}: {recorded} of {sent} bytes on record; {}", run.said());
    }
    assert!(run.durable.len() > SIZE / 4 && run.durable.len() < SIZE, "the kills were spread over the file");
    run.peer.limit_rate(0);
    run.last_byte.release();
    Output::of(run.process(KILLS + 1)).await.expect_code(0);
    run.asked_only_for_what_was_missing(KILLS + 1);
    assert_same_bytes(run.target(), SEED, SIZE);
    assert_eq!(run.home.names("."), ["out.bin", "shared", "user"]);
}

/// One download, and what is on record of it.
struct Run {
    peer: ScriptedPeer,
    /// Nobody is sent the last byte before the kills are over.
    last_byte: Gate,
    home: Home,
    connections: u64,
    seed: u64,
    durable: RangeSet,
}

impl Run {
    async fn new(connections: u64) -> Self {
        let seed = std::env::var("PEERD_TEST_SEED").map_or(20, |seed| seed.parse().expect("a number"));
        let (peer, last_byte) = (ScriptedPeer::start().await, Gate::closed());
        peer.serve(FILE, Representation::seeded(SEED, SIZE).etag("\"m\""));
        peer.limit_rate(RATE);
        let home = Home::new();
        Self { peer, last_byte, home, connections, seed, durable: RangeSet::default() }
    }

    /// Kills the process of this number once the peer has sent it `wanted` bytes, or all but the last. Returns how many
    /// it was sent by the time it was dead, and by how many the record grew.
    async fn killed_after(&mut self, life: u64, wanted: u64) -> (u64, u64) {
        let before = self.durable.len();
        let wanted = wanted.min(SIZE - before - 1);
        self.hold_back_the_last_byte();
        let mut process = self.process(life).spawn().expect("a process");
        let target = self.target();
        let enough = |all: &[RecordedRequest]| {
            assert!(!target.exists(), "{life}: a name before the end; {}", self.said());
            let sent = all.iter().filter(|request| of(life, request)).map(|request| request.body_bytes);
            sent.reduce(|a, b| a + b).is_some_and(|sent| sent >= wanted)
        };
        self.peer.wait_until(FILE, "the moment to kill", enough).await;
        process.kill().await.expect("a process to kill");
        self.peer.wait_until(FILE, "the end", |all| all.iter().all(|request| request.finished)).await;
        assert!(!target.exists(), "{life}: a name before the end; {}", self.said());
        self.asked_only_for_what_was_missing(life);
        self.durable = self.on_record().await;
        self.power_cut();
        let sent = self.requests(life).iter().map(|request| request.body_bytes).sum();
        (sent, self.durable.len() - before)
    }

    fn process(&self, life: u64) -> Command {
        let url = self.peer.url(FILE);
        let mut command = program(&self.home.path("user"), ["get", &url, "-q", "-o"]);
        command.arg(self.target()).arg("-H").arg(format!("{LIFE}: {life}"));
        command.arg("--connections").arg(self.connections.to_string());
        command
    }

    fn hold_back_the_last_byte(&self) {
        while self.peer.unused(FILE) < 64 {
            let gate = self.last_byte.clone();
            self.peer.once(FILE, move |request| {
                let (start, end) = request.asked().unwrap_or((0, None));
                end.is_none_or(|end| end >= SIZE).then(|| Answer::hold_at(SIZE - 1 - start, &gate))
            });
        }
    }

    fn requests(&self, life: u64) -> Vec<RecordedRequest> {
        self.peer.requests(FILE).into_iter().filter(|request| of(life, request)).collect()
    }

    /// No process asks for a byte that was on record when it started.
    fn asked_only_for_what_was_missing(&self, life: u64) {
        for request in self.requests(life) {
            let (start, end) = request.asked().unwrap_or((0, None));
            let asked = start..end.unwrap_or(SIZE);
            let gaps: Vec<_> = self.durable.gaps(asked.clone()).collect();
            assert_eq!(gaps, [asked], "{life}: {:?} was on record; {}", self.durable, self.said());
        }
    }

    async fn on_record(&self) -> RangeSet {
        let path = with_suffix(&self.part(), ".ledger");
        let record = SidecarLedger::new(path, &self.peer.url(FILE)).load().await.expect("a readable record");
        record.map(|record| record.durable).unwrap_or_default()
    }

    /// Overwrites what is in the part file and not on record.
    fn power_cut(&self) {
        let Ok(part) = File::options().write(true).open(self.part()) else { return };
        let length = part.metadata().expect("a length").len();
        for lost in self.durable.gaps(0..length) {
            let garbage = vec![0xAA; (lost.end - lost.start) as usize];
            part.write_all_at(&garbage, lost.start).expect("room");
        }
    }

    fn target(&self) -> PathBuf {
        self.home.path("out.bin")
    }

    fn part(&self) -> PathBuf {
        self.home.path("out.bin.part")
    }

    fn said(&self) -> String {
        format!("again with PEERD_TEST_SEED={}", self.seed)
    }
}

fn of(life: u64, request: &RecordedRequest) -> bool {
    request.header(LIFE).is_some_and(|said| said == life.to_string())
}

const FILE: &str = "/m.bin";
const SEED: u64 = 7;
const SIZE: u64 = 72 * MIB;
/// Bytes a second, for all connections together: what a slow machine can take.
const RATE: u64 = 64 * MIB;
const KILLS: u64 = 20;
/// Tells whose request it is.
const LIFE: &str = "x-life";
/// Bytes of a `get` that may be written and not on record.
const CHECKPOINT: u64 = 16 * MIB;
/// Sent, and not yet in the part file: what the kernel holds at both ends, and three pieces in the process.
const ON_THEIR_WAY: u64 = 4 * MIB;
