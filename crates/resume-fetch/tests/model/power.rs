//! What may happen to the disk between two processes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::run::Run;

impl Run {
    /// The power went, or somebody meddled, or nothing of that kind.
    pub(crate) fn between_two_runs(&mut self) {
        if self.books.is_busy() || self.books.is_damaged() {
            // A write to the record is still on its way, so the process is not quite dead; or it has not lived since.
            return;
        }
        self.everybody_leaves();
        self.check_record();
        let Ok(part) = File::options().write(true).open(&self.books.part) else { return };
        let length = part.metadata().expect("an open file").len();
        let record = self.books.record().unwrap_or_default();
        let durable = if record.sealed { std::iter::once(0..length).collect() } else { record.durable };
        match self.rng.u8(0..8) {
            // Recorded bytes are gone: that is not a power cut but a disk that lied, and the record must give in.
            0 if !record.sealed => {
                let kept = self.rng.u64(0..=length);
                self.world.note(|| format!("the part is cut down to {kept} of {length}"));
                part.set_len(kept).expect("a file can be cut");
                if durable.iter().any(|run| run.end > kept) {
                    self.books.damage();
                }
            }
            // No disk promised to keep what was not synced.
            _ => {
                self.world.note(|| "power cut".to_owned());
                for lost in durable.gaps(0..length) {
                    let garbage = vec![0xAA; (lost.end - lost.start) as usize];
                    part.write_all_at(&garbage, lost.start).expect("a file can be written");
                }
                let end = durable.iter().last().map_or(0, |run| run.end);
                if !record.sealed && self.rng.bool() {
                    part.set_len(self.rng.u64(end..=length.max(end))).expect("a file can be cut");
                }
            }
        }
    }
}
