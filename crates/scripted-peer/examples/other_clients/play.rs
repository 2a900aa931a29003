//! One case, played with one client: the first run is interrupted, the second resumes.

use std::io;
use std::path::Path;

use scripted_peer::{Answer, Gate, RecordedRequest, Representation, ScriptedPeer};

use crate::installed::{Installed, Run};
use crate::names::Case;
use crate::verdict::{End, Found, Verdict, judge};

/// What happened between one client and the peer.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub(crate) verdict: Verdict,
    pub(crate) runs: Vec<Run>,
    pub(crate) requests: Vec<RecordedRequest>,
}

/// Plays `case` with `client` and a peer of their own.
///
/// # Errors
/// If the client cannot be started, or ended before the peer could interrupt it.
pub(crate) async fn play(case: Case, client: &Installed) -> io::Result<Played> {
    let directory = tempfile::tempdir()?;
    let peer = ScriptedPeer::start().await;
    peer.serve(PATH, file());
    let now = if case == Case::FileChanged { other_file() } else { file() };

    let first = if case == Case::CutNearTheEnd {
        // The peer stays, so a client may go on at once; the command is repeated only for one that gave up.
        peer.script(PATH, [Answer::truncate_at(CUT)]);
        client.run(directory.path(), &peer.url(PATH)).await?
    } else {
        let first = interrupted(case, client, &peer, directory.path()).await?;
        misbehave(case, &peer);
        first
    };
    let mut end = first.end;
    let mut runs = vec![first];
    if end != End::Exit(0) {
        let second = client.run(directory.path(), &peer.url(PATH)).await?;
        end = second.end;
        runs.push(second);
    }

    // The peer sees a client leave a little after it left.
    let all_over = |requests: &[RecordedRequest]| requests.iter().all(|request| request.finished);
    let requests = peer.wait_until(PATH, "the end of every answer", all_over).await;
    let verdict = judge(end, &Found::in_directory(directory.path(), NAME)?, &now.read(0..LENGTH));
    Ok(Played { verdict, runs, requests })
}

/// The first run: the peer goes away in the middle of its answer and stays away until the client has given up.
async fn interrupted(
    case: Case,
    client: &Installed,
    peer: &ScriptedPeer,
    directory: &Path,
) -> io::Result<Run> {
    let gate = Gate::closed();
    peer.script(PATH, [first_answer(case, &gate)]);
    let url = peer.url(PATH);
    let mut run = std::pin::pin!(client.run(directory, &url));
    tokio::select! {
        ended = &mut run => {
            let Run { end, said } = ended?;
            let program = client.client.program();
            return Err(io::Error::other(format!("{program} ended before it was interrupted: {end}: {said}")));
        }
        () = gate.parked(1) => {}
    }
    peer.go_away().await;
    let run = run.await?;
    peer.come_back().await;
    Ok(run)
}

fn first_answer(case: Case, gate: &Gate) -> Answer {
    match case {
        // Every byte of the file has come, and the last chunk, which says so, has not.
        Case::CompletePart => Answer::chunked().and(Answer::hold_at(LENGTH, gate)),
        _ => Answer::hold_at(INTERRUPTION, gate),
    }
}

/// What the peer does to everything it is asked from now on.
fn misbehave(case: Case, peer: &ScriptedPeer) {
    match case {
        Case::RangeIgnored => peer.always(PATH, Answer::ignore_range()),
        Case::FileChanged => peer.replace(PATH, other_file()),
        Case::WrongStart => {
            for _ in 0..MANY {
                peer.once(PATH, |request| {
                    // A request for the whole file is answered with the whole file.
                    let (start, end) = request.asked().filter(|(start, _)| *start > 0)?;
                    Some(Answer::other_range(start + TOO_LATE..end.unwrap_or(LENGTH)))
                });
            }
        }
        Case::CompletePart | Case::CutNearTheEnd => {}
    }
}

fn file() -> Representation {
    Representation::seeded(1, LENGTH).etag("\"first\"").last_modified("Sun, 06 Nov 1994 08:49:37 GMT")
}

/// As many bytes, all of them others, and a peer that says so: another tag, another date.
fn other_file() -> Representation {
    Representation::seeded(2, LENGTH).etag("\"second\"").last_modified("Mon, 07 Nov 1994 08:49:37 GMT")
}

const NAME: &str = "file.bin";
const PATH: &str = "/file.bin";

/// Bytes of the file: more than any socket buffers, less than any client splits.
pub(crate) const LENGTH: u64 = 3_000_000;
/// Bytes that have come when the peer goes away.
const INTERRUPTION: u64 = LENGTH / 10 * 6;
const CUT: u64 = LENGTH / 100 * 99;
/// How many bytes after the first one asked for a wrong part begins: appended, it would leave them out.
const TOO_LATE: u64 = 1000;
/// More requests than any client makes.
const MANY: usize = 100;
