// SPDX-License-Identifier: MIT
//! The progress of a transfer as Docker's lines of JSON.
//!
//! Byte counts of one layer are told at most ten times a second, so that a fast transfer does not drown its client; stages, the last
//! count of a layer, facts for programs and the failure are always told.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyperbox_core::image::{ProgressStream, TransferProgress};
use hyperbox_types::ByteSize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The shortest time between two counts of one layer.
const PACE: Duration = Duration::from_millis(100);

/// Turns progress into lines; `quiet` leaves everything out but facts for programs, what is said of the whole, and failures.
pub(crate) fn lines(progress: ProgressStream, quiet: bool) -> impl Stream<Item = Bytes> + Send {
    let mut pace = Pacer::default();
    progress.filter_map(move |step| {
        let line = pace.line(&step, Instant::now(), quiet).map(|value| {
            let mut line = value.to_string();
            line.push_str("\r\n");
            Bytes::from(line)
        });
        std::future::ready(line)
    })
}

#[derive(Debug, Default)]
struct Pacer {
    told: HashMap<String, (&'static str, Instant)>,
}

impl Pacer {
    fn line(&mut self, step: &TransferProgress, now: Instant, quiet: bool) -> Option<Value> {
        match step {
            TransferProgress::Status { id: Some(id), status } => {
                (!quiet).then(|| json!({ "status": status, "progressDetail": {}, "id": id }))
            }
            // A whole line is text for people, as `load` prints it; anything else is a state.
            TransferProgress::Status { id: None, status } if status.ends_with('\n') => {
                Some(json!({ "stream": status }))
            }
            TransferProgress::Status { id: None, status } => Some(json!({ "status": status })),
            TransferProgress::Advance {
                id,
                status,
                current,
                total,
            } => {
                let last = *current >= *total && *total > 0;
                if quiet || (!last && self.is_too_soon(id, status, now)) {
                    return None;
                }
                self.told.insert(id.clone(), (status, now));
                let mut line = json!({
                    "status": status,
                    "progressDetail": { "current": current, "total": total },
                    "progress": bar(*current, *total),
                });
                // What is no layer has no id.
                if !id.is_empty() {
                    line["id"] = json!(id);
                }
                Some(line)
            }
            TransferProgress::Aux(facts) => Some(json!({ "progressDetail": {}, "aux": facts })),
            TransferProgress::Failed(error) => Some(failure(error.message())),
        }
    }

    fn is_too_soon(&self, id: &str, status: &str, now: Instant) -> bool {
        self.told
            .get(id)
            .is_some_and(|(told, at)| *told == status && now.duration_since(*at) < PACE)
    }
}

/// The line of a failure, in both of Docker's forms.
pub(crate) fn failure(message: &str) -> Value {
    json!({ "errorDetail": { "message": message }, "error": message })
}

/// Draws `[=====>     ]  1.2MB/3.4MB`, fifty wide.
fn bar(current: u64, total: u64) -> String {
    let done = ByteSize(current).decimal();
    if total == 0 || current > total {
        return format!("{done:>8}");
    }
    let filled = usize::try_from(u128::from(current) * 50 / u128::from(total)).unwrap_or(50);
    format!(
        "[{}>{}] {done:>8}/{}",
        "=".repeat(filled),
        " ".repeat(50 - filled),
        ByteSize(total).decimal()
    )
}

#[cfg(test)]
mod tests {
    use hyperbox_core::ServiceError;

    use super::*;

    fn advance(current: u64) -> TransferProgress {
        TransferProgress::Advance {
            id: "a".to_owned(),
            status: "Downloading",
            current,
            total: 100,
        }
    }

    #[test]
    fn counts_are_paced_and_the_last_one_is_told() {
        let mut pacer = Pacer::default();
        let start = Instant::now();
        assert!(pacer.line(&advance(1), start, false).is_some());
        assert!(pacer.line(&advance(2), start + PACE / 2, false).is_none());
        assert!(pacer.line(&advance(3), start + PACE, false).is_some());
        assert!(pacer.line(&advance(100), start + PACE, false).is_some());
        assert!(pacer.line(&advance(1), start + PACE * 9, true).is_none());
    }

    #[test]
    fn lines_have_dockers_shape() {
        let mut pacer = Pacer::default();
        let line = pacer.line(&advance(50), Instant::now(), false).expect("a line");
        assert_eq!(
            line["progress"],
            format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(25))
        );
        let failed = pacer.line(
            &TransferProgress::Failed(ServiceError::not_found("gone")),
            Instant::now(),
            true,
        );
        assert_eq!(
            failed,
            Some(json!({ "errorDetail": { "message": "gone" }, "error": "gone" }))
        );
        assert_eq!(bar(7, 0), "      7B");
    }
}
