// SPDX-License-Identifier: MIT
//! The timeline of one start (`hb run --trace`), as text and in the Trace Event Format that Perfetto and Chrome's `about:tracing` read
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use hyperbox_types::trace::{Mark, Party};
use serde_json::{Value, json};

/// What this client has noted, and what the daemon told.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    own: Vec<Mark>,
    told: Vec<Mark>,
}

impl Timeline {
    /// Notes that this client has done something just now.
    pub(crate) fn mark(&mut self, step: &str) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.own.push(Mark {
            party: Party::Client,
            step: step.to_owned(),
            at_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        });
    }

    /// Takes what the daemon tells; it replaces what it told before.
    pub(crate) fn hear(&mut self, marks: &[Mark]) {
        marks.clone_into(&mut self.told);
    }

    /// Returns all marks in the order of time.
    fn all(&self) -> Vec<&Mark> {
        let mut all: Vec<&Mark> = self.own.iter().chain(&self.told).collect();
        all.sort_by_key(|mark| mark.at_ns);
        all
    }

    /// Returns a table: when, how long after the line above, who, what.
    pub(crate) fn text(&self) -> String {
        let all = self.all();
        let begin = all.first().map_or(0, |mark| mark.at_ns);
        let mut last = begin;
        let mut text = format!("{:>9} {:>8}  {:<10} STEP\n", "MS", "TOOK", "WHO");
        for mark in all {
            let (at, took) = (milliseconds(mark.at_ns - begin), milliseconds(mark.at_ns - last));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{at:>9.3} {took:>8.3}  {:<10} {}", mark.party.as_str(), mark.step);
            last = mark.at_ns;
        }
        text
    }

    /// Returns a document with one row for each party; a slice is what a party did since its mark before.
    pub(crate) fn trace_events(&self) -> Value {
        let all = self.all();
        let begin = all.first().map_or(0, |mark| mark.at_ns);
        let mut events =
            vec![json!({"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": "hb run"}})];
        let parties = [
            Party::Client,
            Party::Daemon,
            Party::Launcher,
            Party::Shim,
            Party::Container,
        ];
        for (row, party) in parties.into_iter().enumerate() {
            events.push(
                json!({"ph": "M", "pid": 1, "tid": row, "name": "thread_name", "args": {"name": party.as_str()}}),
            );
            let mut last = None;
            for mark in all.iter().filter(|mark| mark.party == party) {
                let at = microseconds(mark.at_ns - begin);
                events.push(match last {
                    Some(before) => json!({
                        "ph": "X", "pid": 1, "tid": row, "cat": "start", "name": mark.step,
                        "ts": before, "dur": at - before,
                    }),
                    None => json!({
                        "ph": "i", "s": "t", "pid": 1, "tid": row, "cat": "start", "name": mark.step, "ts": at,
                    }),
                });
                last = Some(at);
            }
        }
        json!({"displayTimeUnit": "ms", "traceEvents": events})
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the nanoseconds of one run are far below 2^52"
)]
fn microseconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e3
}

fn milliseconds(nanoseconds: i64) -> f64 {
    microseconds(nanoseconds) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(party: Party, step: &str, at_ns: i64) -> Mark {
        Mark {
            party,
            step: step.to_owned(),
            at_ns,
        }
    }

    fn timeline() -> Timeline {
        Timeline {
            own: vec![
                mark(Party::Client, "begun", 1_000_000_000),
                mark(Party::Client, "end heard of", 1_004_500_000),
            ],
            told: vec![
                mark(Party::Daemon, "request read", 1_001_000_000),
                mark(Party::Shim, "forked", 1_003_250_000),
                mark(Party::Daemon, "answer to the start", 1_004_000_000),
            ],
        }
    }

    #[test]
    fn text_tells_when_and_how_long() {
        let expected = "       MS     TOOK  WHO        STEP\n    \
                        0.000    0.000  client     begun\n    \
                        1.000    1.000  daemon     request read\n    \
                        3.250    2.250  shim       forked\n    \
                        4.000    0.750  daemon     answer to the start\n    \
                        4.500    0.500  client     end heard of\n";
        assert_eq!(timeline().text(), expected);
    }

    #[test]
    fn each_party_has_a_row_of_its_own() {
        let document = timeline().trace_events();
        let events = document["traceEvents"].as_array().unwrap();
        let slices: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[1]["name"], "answer to the start");
        assert_eq!(
            (slices[1]["ts"].as_f64(), slices[1]["dur"].as_f64()),
            (Some(1000.0), Some(3000.0))
        );
        assert_eq!(slices[1]["tid"], 1);
        let beginnings = events.iter().filter(|event| event["ph"] == "i").count();
        assert_eq!(beginnings, 3);
    }

    #[test]
    fn what_is_told_last_counts() {
        let mut timeline = Timeline::default();
        timeline.mark("begun");
        timeline.hear(&[mark(Party::Daemon, "a", 1)]);
        timeline.hear(&[mark(Party::Daemon, "a", 1), mark(Party::Daemon, "b", 2)]);
        assert_eq!(timeline.all().len(), 3);
    }
}
