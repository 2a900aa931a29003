//! How the daemon stands, in one line: what `systemctl status` shows.

use std::fmt;

use indicatif::BinaryBytes;

/// The figures of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Downloads running now.
    pub running: u64,
    /// Downloads in line.
    pub queued: u64,
    /// Downloads that wait before they try again.
    pub waiting: u64,
    /// Bytes per second coming in.
    pub rate: f64,
    /// Files being sent to others now.
    pub serving: u64,
    /// The queue waits for room on the disk.
    pub disk_is_low: bool,
    /// The configuration file was read again and could not be used.
    pub config_refused: bool,
}

/// `3 running, 2 queued, 12.40 MiB/s, 1 waiting, serving 4`; `idle` when there is nothing to tell.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if self.running > 0 || self.queued > 0 {
            said.push(format!("{} running, {} queued", self.running, self.queued));
        }
        if self.rate >= 1.0 {
            said.push(format!("{}/s", BinaryBytes(self.rate as u64)));
        }
        if self.waiting > 0 {
            said.push(format!("{} waiting", self.waiting));
        }
        if self.serving > 0 {
            said.push(format!("serving {}", self.serving));
        }
        f.write_str(if said.is_empty() { "idle" } else { "" })?;
        f.write_str(&said.join(", "))?;
        if self.disk_is_low {
            f.write_str("; the disk is nearly full, the queue waits")?;
        }
        if self.config_refused {
            f.write_str("; the configuration file cannot be used, the one before is in force")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_there_is_and_nothing_else() {
        let idle = Standing::default();
        let busy = Standing { running: 3, queued: 2, rate: 13_002_342.4, ..idle };
        for (standing, line) in [
            (idle, "idle"),
            (busy, "3 running, 2 queued, 12.40 MiB/s"),
            (Standing { running: 0, rate: 0.0, ..busy }, "0 running, 2 queued"),
            (
                Standing { waiting: 1, serving: 4, ..busy },
                "3 running, 2 queued, 12.40 MiB/s, 1 waiting, serving 4",
            ),
            (Standing { serving: 1, ..idle }, "serving 1"),
            (Standing { disk_is_low: true, ..idle }, "idle; the disk is nearly full, the queue waits"),
            (
                Standing { config_refused: true, ..idle },
                "idle; the configuration file cannot be used, the one before is in force",
            ),
        ] {
            assert_eq!(standing.to_string(), line);
        }
    }
}
