// SPDX-License-Identifier: MIT
//! Whether a client is still there: a connection can be open long after its end has gone.
//!
//! As BuildKit does (`monitorHealth` in `session/grpc.go`): the client is asked every 5 s; two answers in a row that do not come within
//! 15 s, or within one and a half times as long as the last one took, mean that it is gone. Unlike there, not while anything else comes from
//! it: an answer waits behind the files that a client sends, and for as long as the disk here takes to keep them.
//!
//! A session that nobody has called is asked sooner, at growing intervals: clients of docker 18.09 to 22 whose build is refused before
//! their session was upgraded stop serving it, but wait for the daemon to close it. Such a client answers, but not as gRPC does; it is
//! asked once more, since one call may also be reset.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::transport::client::Channel;
use crate::transport::status::{Code, Status};

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// How often and how patiently.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A session that a build names may come so late.
    pub(super) late: Duration,
    /// From one question to the next.
    pub(super) interval: Duration,
    /// As long as nobody has called: to the first question, doubled after each up to [`Self::interval`].
    pub(super) unused: Duration,
    /// An answer may take so long.
    pub(super) timeout: Duration,
}

/// So many bytes tell that the client is sending something; fewer may be frames with which its connection answers by itself.
const NEWS: u64 = 256;

/// A client that nobody has called may stop serving with a question in its hands, which it never answers then: it is asked anew after so
/// many times [`Patience::unused`], and what it was silent in all counts.
const ANEW: u32 = 10;

/// So many questions in a row remain without an answer.
const FAILURES: u32 = 2;

impl Default for Patience {
    fn default() -> Self {
        Self {
            late: Duration::from_secs(5),
            interval: Duration::from_secs(5),
            unused: Duration::from_millis(50),
            timeout: Duration::from_secs(15),
        }
    }
}

/// What a question tells of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Present,
    /// It did not answer in time.
    Silent,
    /// It answered something else.
    Odd,
    /// There seems to be nobody behind the connection.
    Nobody,
}

/// Judges an answer, `None` when it did not come in time; `heard` tells whether anything else came meanwhile. Pure.
fn judge(answer: Option<Result<(), Status>>, heard: bool) -> Found {
    match answer.map(|answer| answer.err().map(|status| status.code)) {
        None if heard => Found::Present,
        None => Found::Silent,
        // Who says that it does not know the question is there.
        Some(None | Some(Code::Unimplemented)) => Found::Present,
        Some(Some(Code::Unavailable)) => Found::Nobody,
        Some(Some(_)) => Found::Odd,
    }
}

/// Waits until the client does not answer any more; `used` tells whether somebody has called it.
pub(super) async fn lost(channel: &Channel, patience: Patience, used: impl Fn() -> bool) {
    let (mut failures, mut last, mut silence) = (0, Duration::ZERO, Duration::ZERO);
    let mut soon = patience.unused;
    while failures < FAILURES {
        sleep(soon.min(patience.interval)).await;
        soon = soon.saturating_mul(2);
        if used() && failures == 0 && soon < patience.interval {
            soon = patience.interval;
            continue;
        }
        let (began, heard) = (Instant::now(), channel.heard());
        let question = HealthCheckRequest::default();
        let answer = channel.unary::<_, HealthCheckResponse>(CHECK, &question);
        let enough = patience.timeout.max(last.mul_f32(1.5));
        let wait = match used() {
            true => enough,
            false => enough.min(patience.unused.saturating_mul(ANEW)),
        };
        let answer = timeout(wait, answer).await;
        let answer = answer.ok().map(|answer| answer.map(|_| ()));
        if answer.is_some() {
            last = began.elapsed();
        }
        match judge(answer, channel.heard() - heard >= NEWS) {
            Found::Present => (failures, silence) = (0, Duration::ZERO),
            Found::Odd => failures += 1,
            Found::Silent => {
                silence += wait;
                if silence >= enough {
                    (failures, silence) = (failures + 1, Duration::ZERO);
                }
            }
            Found::Nobody => {
                failures += 1;
                soon = patience.unused;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_tell() {
        let failed = |code| Some(Err(Status::new(code, "")));
        for (answer, heard, expected) in [
            (Some(Ok(())), true, Found::Present),
            (failed(Code::Unimplemented), true, Found::Present),
            (failed(Code::Internal), true, Found::Odd),
            (failed(Code::Unavailable), true, Found::Nobody),
            (failed(Code::Unavailable), false, Found::Nobody),
            // Its answer waits behind what it sends.
            (None, true, Found::Present),
            (None, false, Found::Silent),
        ] {
            assert_eq!(judge(answer.clone(), heard), expected, "{answer:?} {heard}");
        }
    }
}
