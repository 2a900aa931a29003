//! How long an import is tried, and how often.

use std::time::Duration;

use download_registry::Timestamp;
use retry_kit::Backoff;

/// What a failure says about the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Nobody is there, or not yet: it costs little to ask again, and it will pass.
    Away,
    /// The importer is there and cannot do it. Perhaps later; but every try makes work for it.
    Fault,
    /// It says no, and will say so again.
    Final,
}

/// The bounds of trying.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    /// Ceiling of the first delay; it doubles.
    pub(super) base: Duration,
    /// Longest delay while the importer is away.
    pub(super) away: Duration,
    /// Longest delay after faults of its own.
    pub(super) fault: Duration,
    /// Time after which an import is given up, from its beginning.
    pub(super) give_up_after: Duration,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another try then.
    At(Timestamp),
    /// None.
    GiveUp,
}

impl Patience {
    /// Decides what follows the `attempts`-th failure in a row, the `faults`-th of the importer's own.
    ///
    /// `hint` is what the importer asked to wait. It is taken as it is, within the bound of the whole.
    pub(super) fn after(
        &self,
        weight: Weight,
        (attempts, faults): (u32, u32),
        hint: Option<Duration>,
        (began, now): (Timestamp, Timestamp),
        rng: &mut fastrand::Rng,
    ) -> Next {
        let cap = match weight {
            Weight::Final => return Next::GiveUp,
            Weight::Fault if faults >= MAX_FAULTS => return Next::GiveUp,
            Weight::Fault => self.fault,
            Weight::Away => self.away,
        };
        let delay = Backoff::new(self.base.min(cap), cap).delay(attempts, rng);
        let at = now.saturating_add(hint.map_or(delay, |hint| hint.max(delay)));
        if self.is_over(began, at) { Next::GiveUp } else { Next::At(at) }
    }

    /// What a file that is missing since then says. Importers write their history some time after they have moved it.
    pub(super) fn missing(&self, since: Timestamp, now: Timestamp) -> Weight {
        let enough = now.saturating_since(since) > self.away.saturating_mul(LOOKS_FOR_A_FILE);
        if enough { Weight::Final } else { Weight::Away }
    }

    /// Whether an import that began then is given up.
    pub(super) fn is_over(&self, began: Timestamp, now: Timestamp) -> bool {
        now.saturating_since(began) > self.give_up_after
    }
}

/// Time until the next look at something that takes its time, `age` after it began: soon at first, and ever more
/// rarely.
pub(super) fn look_again(age: Duration) -> Duration {
    (age / 4).clamp(Duration::from_secs(1), Duration::from_secs(5 * 60))
}

/// So many of the longest pauses a file is looked for that is not there.
const LOOKS_FOR_A_FILE: u32 = 10;
/// An importer that failed so often will fail again; it has other work to do.
const MAX_FAULTS: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        base: Duration::from_secs(1),
        away: Duration::from_secs(60),
        fault: Duration::from_secs(1800),
        give_up_after: Duration::from_secs(86_400),
    };

    fn after(weight: Weight, attempts: u32, faults: u32, hint: Option<u64>, age: u64) -> Next {
        let began = Timestamp::from_millis(0);
        let now = began.saturating_add(Duration::from_secs(age));
        let hint = hint.map(Duration::from_secs);
        PATIENCE.after(weight, (attempts, faults), hint, (began, now), &mut fastrand::Rng::with_seed(7))
    }

    #[test]
    fn an_importer_that_is_away_is_waited_for_and_one_that_refuses_is_not_asked_again() {
        let within = |next: Next, age: u64, longest: u64| match next {
            Next::At(at) => at <= Timestamp::from_millis(((age + longest) * 1000).cast_signed()),
            Next::GiveUp => false,
        };
        assert!(within(after(Weight::Away, 1, 0, None, 0), 0, 1));
        assert!(within(after(Weight::Away, 50, 0, None, 80_000), 80_000, 60), "never longer than a minute");
        assert!(within(after(Weight::Fault, 11, 11, None, 100), 100, 1024));
        assert_eq!(after(Weight::Fault, 1, 12, None, 100), Next::GiveUp, "it had its chances");
        assert_eq!(after(Weight::Final, 1, 0, None, 0), Next::GiveUp);
        assert_eq!(after(Weight::Away, 50, 0, None, 86_401), Next::GiveUp, "it has been a day");
    }

    #[test]
    fn an_importer_that_names_a_time_is_not_asked_before() {
        assert_eq!(after(Weight::Away, 1, 0, Some(300), 10), Next::At(Timestamp::from_millis(310_000)));
        assert_eq!(after(Weight::Away, 1, 0, Some(1 << 40), 10), Next::GiveUp, "beyond any patience");
    }

    #[test]
    fn a_file_that_is_missing_is_looked_for_a_while() {
        let weight = |seconds: i64| {
            PATIENCE.missing(Timestamp::from_millis(1000), Timestamp::from_millis(1000 + seconds * 1000))
        };
        assert_eq!([0, 600, 601].map(weight), [Weight::Away, Weight::Away, Weight::Final]);
    }

    #[test]
    fn looks_come_ever_more_rarely() {
        let seconds = |age| look_again(Duration::from_secs(age)).as_secs();
        assert_eq!([0, 4, 60, 600, 86_400].map(seconds), [1, 1, 15, 150, 300]);
    }
}
