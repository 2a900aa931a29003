//! Shows what happens on the way, verifies a digest, and stops in good order after a line on standard input.
//!
//! `cargo run -p resume-fetch --example progress -- URL FILE [sha256:HEX | blake3:HEX]`

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{
    Digest, Event, FetchErrorKind, FetchRequest, Fetcher, Progress, ReqwestTransport, SidecarLedger,
    describe, with_suffix,
};
use retry_kit::TokioClock;

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "a program draws its own seed; a library is handed one")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("give URL and FILE".into());
    };
    let digest: Option<Digest> = arguments.next().map(|text| text.parse()).transpose()?;

    let transport = ReqwestTransport::new(Duration::from_secs(10))?;
    let fetcher = Fetcher::new(transport, Arc::new(TokioClock), fastrand::Rng::new());
    let request = FetchRequest::new(&url, file)?.expect_digest(digest).max_size(Some(100 << 30));
    let ledger = SidecarLedger::new(with_suffix(request.part_path(), ".ledger"), &url);
    let mut download = fetcher.start(request, ledger);

    let stop = download.stopper();
    std::thread::spawn(move || {
        if std::io::stdin().read_line(&mut String::new()).is_ok_and(|bytes| bytes > 0) {
            stop.cancel();
        }
    });
    let mut events = download.take_events();
    let mut progress = download.progress();
    loop {
        tokio::select! {
            biased;
            Some(event) = events.next() => tell(&event),
            result = &mut download => return match result {
                Ok(done) => {
                    println!("{} bytes, verified by {:?}", done.total, done.verified);
                    Ok(())
                }
                Err(error) if matches!(error.kind, FetchErrorKind::Stopped) => {
                    println!("stopped; {} bytes are safe", error.bytes_kept);
                    Ok(())
                }
                Err(error) => {
                    for attempt in &error.history {
                        eprintln!("at {} bytes: {}", attempt.held, attempt.reason);
                    }
                    Err(describe(&error).into())
                }
            },
            Ok(()) = progress.changed() => show(*progress.borrow_and_update()),
        }
    }
}

fn tell(event: &Event) {
    match event {
        Event::Started { from, total, .. } => println!("receiving from {from} of {total:?}"),
        Event::Restarted { reason, discarded } => {
            println!("starting over ({reason}), {discarded} bytes given up");
        }
        Event::Retrying { attempt, max, delay, reason, .. } => {
            println!("{reason}; attempt {attempt} of {max}, next in {:.1} s", delay.as_secs_f64());
        }
        Event::Verifying => println!("verifying"),
        _ => {}
    }
}

fn show(progress: Progress) {
    let Progress { written, durable, rate, eta, .. } = progress;
    println!("{written} bytes, {durable} of them durable, {:.1} MB/s, {eta:?} left", rate / 1e6);
}
