// SPDX-License-Identifier: MIT
//! Waiting for a condition instead of for time.
//!
//! The condition says why it does not hold yet; that reason is what a failed test shows. The pause between two looks grows from
//! one millisecond to fifty, so that a quick condition costs nothing and a slow one no processor.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails. Generous: it is only ever used up by a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(40);

const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Calls `condition` until it returns `Ok`, and returns what was in it.
///
/// # Panics
/// When the condition does not hold within [`PATIENCE`]; the message ends with the last reason.
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Result<T, String>) -> T {
    wait_for_within(PATIENCE, what, condition)
}

/// [`wait_for`] with its own patience.
///
/// # Panics
/// When the condition does not hold in time.
#[track_caller]
pub fn wait_for_within<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match condition() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() >= patience => give_up(what, patience, &reason),
            Err(_) => std::thread::park_timeout(pause),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// [`wait_for`] for async code: the pause does not block the runtime.
///
/// # Panics
/// When the condition does not hold within [`PATIENCE`].
pub async fn wait_for_async<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(reason) if start.elapsed() >= PATIENCE => give_up(what, PATIENCE, &reason),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[track_caller]
fn give_up(what: &str, patience: Duration, reason: &str) -> ! {
    panic!("waited {patience:?} for {what}, but {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_the_condition_found() {
        let mut left = 3;
        let found = wait_for("the countdown", || {
            left -= 1;
            if left == 0 {
                Ok("zero")
            } else {
                Err(format!("{left} left"))
            }
        });
        assert_eq!(found, "zero");
    }

    #[test]
    #[should_panic(expected = "for nothing, but it never happens")]
    fn says_why_not() {
        wait_for_within(Duration::ZERO, "nothing", || {
            Err::<(), _>("it never happens".to_owned())
        });
    }

    #[tokio::test]
    async fn async_conditions() {
        let mut left = 3;
        wait_for_async("the countdown", || {
            left -= 1;
            let left = left;
            async move { if left == 0 { Ok(()) } else { Err(format!("{left} left")) } }
        })
        .await;
    }
}
