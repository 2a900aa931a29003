//! What may happen next, and the end of it all.

use std::io::SeekFrom;

use resume_fetch::{Priority, Wanted};

use crate::faults::{Mood, a_moment};
use crate::run::Run;
use crate::setup::{any_range, any_rate, any_size};
use crate::visitors::{Asker, Visitor};
use crate::world::lock;
use retry_kit::Rate;

impl Run {
    /// The whole story of a seed; it ends early when something is wrong.
    pub(crate) async fn tell(&mut self) {
        let (failures, slow) = self.setup.ledger;
        self.books.behave(failures, slow);
        lock(&self.peer.state).mood = Mood::any(&mut self.rng);
        for _ in 0..self.setup.events {
            if self.published || self.world.wrong().is_some() {
                break;
            }
            self.event();
            self.rest().await;
        }
        if !self.published && self.world.wrong().is_none() {
            self.end_well().await;
        }
    }

    /// One thing happens.
    fn event(&mut self) {
        if self.download.is_none() {
            if self.rng.bool() {
                self.between_two_runs();
            }
            return self.start();
        }
        match self.rng.u8(0..100) {
            0..50 => self.peer_goes_on(),
            50..58 => self.world.clock.advance(a_moment(&mut self.rng)),
            58..62 => self.time_passes(),
            62..90 => self.somebody_does_something(),
            90..93 => self.limiter.set_rate(any_rate(&mut self.rng)),
            93..95 => lock(&self.peer.state).mood = Mood::any(&mut self.rng),
            95..97 if self.setup.changes => self.peer.replace(any_size(&mut self.rng)),
            97..99 if self.setup.rough => self.kill(),
            99 if self.setup.rough => self.stop(),
            _ => self.peer_goes_on(),
        }
    }

    /// The peer answers, or sends a little more.
    fn peer_goes_on(&mut self) {
        let waiting = self.peer.releasable();
        if waiting.is_empty() {
            return self.time_passes();
        }
        let id = waiting[self.rng.usize(0..waiting.len())];
        let most = [1, 5000, 200_000, 2 << 20, u64::MAX][self.rng.usize(0..5)];
        self.peer.release(id, self.rng.u64(1..=most));
    }

    /// The next thing that is due comes due.
    fn time_passes(&mut self) {
        if self.world.clock.advance_to_next().is_none() && self.peer.releasable().is_empty() {
            self.check_the_end_of_time();
        }
    }

    fn stop(&mut self) {
        self.world.note(|| "stop".to_owned());
        self.stopping = true;
        self.download.iter().for_each(|download| download.stopper().cancel());
    }

    fn somebody_does_something(&mut self) {
        let Some(content) = self.content.clone() else { return };
        let size = self.peer.version().size;
        let range = any_range(size, &mut self.rng);
        let priority =
            [Priority::Critical, Priority::High, Priority::Normal, Priority::Low][self.rng.usize(0..4)];
        let asker = self.rng.usize(0..self.askers.len().max(1));
        match self.rng.u8(0..20) {
            0..3 if self.visitors.len() < 4 => {
                let ahead = [None, Some(0), Some(1 << 20)][self.rng.usize(0..3)];
                self.world.note(|| format!("reader of {range:?}, {ahead:?} ahead"));
                self.visitors.push(Visitor::new(&self.world, &content, range, ahead));
            }
            3 if !self.visitors.is_empty() => {
                self.world.note(|| "a reader goes".to_owned());
                self.visitors.swap_remove(self.rng.usize(0..self.visitors.len()));
            }
            4 | 5 if self.askers.len() < 4 => {
                self.world.note(|| format!("request for {range:?}, {priority:?}"));
                self.askers.push(Asker::new(&self.world, &content, range, priority));
            }
            6 if self.askers.len() < 4 => {
                self.world.note(|| format!("wait for {range:?}"));
                self.askers.push(Asker::waiting(&self.world, &content, range));
            }
            7 | 8 if !self.askers.is_empty() => self.askers[asker].wait(),
            9 if !self.askers.is_empty() => self.askers[asker].set_priority(priority),
            10 if !self.askers.is_empty() => {
                self.world.note(|| "a request is withdrawn".to_owned());
                self.askers.swap_remove(asker);
            }
            _ if !self.visitors.is_empty() => self.visitor_goes_on(range.start, size),
            _ => self.peer_goes_on(),
        }
    }

    fn visitor_goes_on(&mut self, place: u64, size: u64) {
        let index = self.rng.usize(0..self.visitors.len());
        // A seek from the end wants nothing by itself: on demand it waits until somebody else makes the length known.
        let from_end = self.setup.wanted != Wanted::OnDemand || self.visitors[index].knows_the_total();
        let back = self.rng.i64(-200_000..200_000);
        let to = match self.rng.u8(0..12) {
            0 => Some(SeekFrom::Start(place)),
            1 => Some(SeekFrom::Current(back)),
            2 if from_end => Some(SeekFrom::End(-back.abs().min(size as i64))),
            _ => None,
        };
        let length = self.rng.usize(1..300_000);
        self.world.note(|| format!("reader {index} {to:?} or reads {length}"));
        match to {
            Some(to) => self.visitors[index].seek(to),
            None => self.visitors[index].read(length),
        }
    }

    /// The peer comes to its senses, and everything has to end as it was wanted.
    async fn end_well(&mut self) {
        self.world.note(|| "all is well from now on".to_owned());
        lock(&self.peer.state).mood = Mood::HONEST;
        self.books.behave(0, 0);
        self.limiter.set_rate(Rate::unlimited());
        self.fair = false;
        // The download that has seen it all may have had enough; the next one has no reason to.
        for _ in 0..2 {
            if self.download.is_none() && !self.published {
                self.everybody_leaves();
                self.start();
                self.fair = true;
                self.everybody_wants_something();
            }
            self.go_on_to_the_end().await;
        }
        let done = self.published || self.setup.wanted != Wanted::Whole;
        self.world.expect(done, || "it never ended".to_owned());
    }

    fn everybody_wants_something(&mut self) {
        let Some(content) = self.content.clone() else { return };
        let size = self.peer.version().size;
        let mut visitor = Visitor::new(&self.world, &content, any_range(size, &mut self.rng), None);
        visitor.read(1000);
        self.visitors.push(visitor);
        self.askers.push(Asker::waiting(&self.world, &content, any_range(size, &mut self.rng)));
    }

    /// Lets everything happen that can, until nothing can any more.
    async fn go_on_to_the_end(&mut self) {
        for _ in 0..PATIENCE {
            self.rest().await;
            if self.download.is_none() || self.world.wrong().is_some() {
                return;
            }
            let waiting = self.peer.releasable();
            if !waiting.is_empty() {
                waiting.into_iter().for_each(|id| self.peer.release(id, u64::MAX));
            } else if self.world.clock.advance_to_next().is_none() {
                self.check_the_end_of_time();
                self.stop();
            }
        }
        self.world.blame(|| "it goes on for ever".to_owned());
    }
}

/// Events after which somebody who gets everything has to have come to an end.
const PATIENCE: usize = 5000;
