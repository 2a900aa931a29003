//! A client of a busy peer: statuses are classified, `Retry-After` is honoured, progress starts the count over.
//!
//! Time is a `ManualClock`, so five minutes of waiting pass in a moment.
//!
//! `cargo run -p retry-kit --example http_like --features test-util`

use std::cell::RefCell;
use std::fmt;

use retry_kit::{Clock, ManualClock, Next, RetryPolicy, Verdict, retry, retry_after};

/// What the peer answers, attempt by attempt.
const ANSWERS: [Reply; 5] = [
    Reply { status: 503, headers: &[("retry-after", "20")], received: 0 },
    // The peer's clock is years behind. The date it asks for is 90 seconds after its own.
    Reply {
        status: 429,
        headers: &[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT"),
        ],
        received: 0,
    },
    // The connection broke after 3 MiB: failed, but not in vain.
    Reply { status: 206, headers: &[], received: 3 << 20 },
    Reply { status: 500, headers: &[], received: 0 },
    Reply { status: 200, headers: &[], received: 0 },
];

fn main() {
    let clock = ManualClock::new();
    let start = clock.now();
    let answers = RefCell::new(ANSWERS.iter());
    let mut rng = fastrand::Rng::with_seed(2026);

    let fetch = |attempt: u32| {
        println!("{:>6.1} s  attempt {attempt}", (clock.now() - start).as_secs_f64());
        let reply = answers.borrow_mut().next();
        async move {
            match reply {
                Some(Reply { status: 200, .. }) => Ok("the whole file"),
                Some(reply) => Err(reply),
                None => Err(&Reply { status: 404, headers: &[], received: 0 }),
            }
        }
    };
    let policy = RetryPolicy::default();
    let run = retry(&policy, fetch)
        .when(|reply| classify(reply, &clock))
        .notify(|reply, next| match next {
            Next::Retry { attempt, delay, source } => {
                println!(
                    "          {reply}: failure {attempt} in a row, {:.1} s by {source}",
                    delay.as_secs_f64()
                );
            }
            Next::Deferred { delay, .. } => {
                println!("          {reply}: not before {:.0} s have passed", delay.as_secs_f64());
            }
            Next::GiveUp { attempts } => println!("          {reply}: given up after {attempts}"),
        })
        .run(&clock, &mut rng);
    match clock.run(run) {
        Ok(body) => println!("{:>6.1} s  {body}", (clock.now() - start).as_secs_f64()),
        Err(reply) => println!("{reply}"),
    }
}

struct Reply {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    received: u64,
}

fn classify(reply: &Reply, clock: &ManualClock) -> Verdict {
    match reply.status {
        206 | 408 | 425 | 429 | 500 | 502..=504 => {
            let lines =
                |name| reply.headers.iter().filter(move |header| header.0 == name).map(|header| header.1);
            let date = lines("date").next().map(str::as_bytes);
            let hint = retry_after(lines("retry-after"), date, clock.wall());
            Verdict::transient().with_hint(hint).with_progress(reply.received)
        }
        _ => Verdict::Permanent,
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {} bytes", self.status, self.received)
    }
}
