// SPDX-License-Identifier: MIT
//! Filters of the history (`buildx history ls --filter`; `parseFilters` in `solver/llbsolver/history/filter.go`): one of them must hold,
//! and all that commas separate in it. Pure.
//!
//! `field==value` and `field!=value` with the fields `ref`, `status` and `repository`; `duration` is also compared, `startedAt` and
//! `completedAt` only that: with a moment (RFC 3339), or with how long ago it was.

use hyperbox_core::time::Timestamp as Moment;

use crate::proto::control::BuildHistoryRecord;
use crate::proto::rpc::Timestamp;
use crate::transport::status::{Code, Status};

/// Filters.
#[derive(Debug, Default)]
pub(super) struct HistoryFilter {
    any: Vec<Vec<Condition>>,
}

#[derive(Debug)]
struct Condition {
    field: Field,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Reference,
    Status,
    Repository,
    /// In nanoseconds.
    Duration,
    /// In seconds since the epoch, as all moments.
    Started,
    Completed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    AtLeast,
    AtMost,
    More,
    Less,
}

/// Longer ones first: one begins as another.
const OPERATORS: [(&str, Operator); 7] = [
    ("==", Operator::Is),
    ("!=", Operator::IsNot),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::More),
    ("<", Operator::Less),
    ("=", Operator::Is),
];

impl HistoryFilter {
    /// Reads filters; none accepts everything.
    ///
    /// # Errors
    /// For what is malformed, and fields that are not known here.
    pub(super) fn parse(filters: &[String]) -> Result<Self, Status> {
        let now = Moment::now();
        let all = |filter: &String| {
            let conditions = filter.split(',').map(|text| condition(text, now));
            conditions.collect::<Result<Vec<_>, Status>>()
        };
        let any: Result<_, _> = filters.iter().map(all).collect();
        Ok(Self { any: any? })
    }

    /// Tells whether a build is meant.
    pub(super) fn accepts(&self, record: &BuildHistoryRecord) -> bool {
        let hold = |all: &Vec<Condition>| all.iter().all(|condition| condition.holds(record));
        self.any.is_empty() || self.any.iter().any(hold)
    }
}

fn condition(text: &str, now: Moment) -> Result<Condition, Status> {
    let wrong = |reason: &str| Status::new(Code::InvalidArgument, format!("invalid filter {text:?}: {reason}"));
    let places = OPERATORS
        .iter()
        .filter_map(|(sign, operator)| Some((text.find(sign)?, *sign, *operator)));
    // The first in the text, of several at one place the longest.
    let (position, sign, operator) = places
        .min_by_key(|(position, ..)| *position)
        .ok_or_else(|| wrong("no operator"))?;
    let field = match text[..position].trim() {
        "ref" => Field::Reference,
        "status" => Field::Status,
        "repository" => Field::Repository,
        "duration" => Field::Duration,
        "startedAt" => Field::Started,
        "completedAt" => Field::Completed,
        _ => {
            return Err(wrong(
                "ref, status, repository, startedAt, completedAt and duration are known here",
            ));
        }
    };
    let mut value = text[position + sign.len()..].trim().trim_matches('"').to_owned();
    let compares = !matches!(operator, Operator::Is | Operator::IsNot);
    match field {
        Field::Duration => value = nanoseconds(&value).ok_or_else(|| wrong("not a duration"))?.to_string(),
        Field::Started | Field::Completed if compares => {
            value = seconds(&value, now).ok_or_else(|| wrong("not a time"))?.to_string();
        }
        Field::Started | Field::Completed => return Err(wrong("times are only compared")),
        _ if compares => return Err(wrong("only times and durations are compared")),
        _ => {}
    }
    Ok(Condition { field, operator, value })
}

/// Reads a moment: RFC 3339, or how long before `now`.
fn seconds(text: &str, now: Moment) -> Option<i128> {
    let ago = nanoseconds(text).map(|ago| (i128::from(now.0) - ago).div_euclid(1_000_000_000));
    ago.or_else(|| Some(i128::from(Moment::parse(text)?.seconds())))
}

/// Reads a duration as Go writes it: `1h2m3.5s`.
fn nanoseconds(text: &str) -> Option<i128> {
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let end = unit
            .find(|sign: char| sign.is_ascii_digit() || sign == '.')
            .unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        total += number * factor;
        rest = &unit[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a nanosecond is none")]
    (!text.is_empty()).then_some(total as i128)
}

impl Condition {
    fn holds(&self, record: &BuildHistoryRecord) -> bool {
        let compares = |found: i128| self.operator.compares(found, self.value.parse().unwrap_or_default());
        let moment = |time: Option<Timestamp>| time.map_or(0, |time| i128::from(time.seconds));
        let found = match self.field {
            // As with BuildKit, what goes on takes no time and ended at none.
            Field::Duration => return compares(duration(record).unwrap_or_default()),
            Field::Started => return compares(moment(record.created_at)),
            Field::Completed => return compares(moment(record.completed_at)),
            Field::Reference => record.reference.as_str(),
            Field::Status => status(record),
            Field::Repository => record
                .frontend_attrs
                .get("vcs:source")
                .map(String::as_str)
                .unwrap_or_default(),
        };
        (found == self.value) == (self.operator == Operator::Is)
    }
}

impl Operator {
    fn compares(self, found: i128, wanted: i128) -> bool {
        match self {
            Self::Is => found == wanted,
            Self::IsNot => found != wanted,
            Self::AtLeast => found >= wanted,
            Self::AtMost => found <= wanted,
            Self::More => found > wanted,
            Self::Less => found < wanted,
        }
    }
}

fn duration(record: &BuildHistoryRecord) -> Option<i128> {
    let at = |time: &Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    Some(at(record.completed_at.as_ref()?) - at(record.created_at.as_ref()?))
}

fn status(record: &BuildHistoryRecord) -> &'static str {
    match (&record.completed_at, &record.error) {
        (None, _) => "running",
        (Some(_), None) => "completed",
        (Some(_), Some(error)) if error.code == Code::Cancelled as i32 => "canceled",
        (Some(_), Some(_)) => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_chosen() {
        let record = BuildHistoryRecord {
            reference: "r".to_owned(),
            created_at: Some(Timestamp { seconds: 1, nanos: 0 }),
            completed_at: Some(Timestamp { seconds: 3, nanos: 0 }),
            ..BuildHistoryRecord::default()
        };
        for (filter, accepted) in [
            (&["status==completed"][..], true),
            (&["status=completed", "ref==r"], true),
            (&["status==completed,ref==x"], false),
            (&["status==completed", "ref==x"], true),
            (&["startedAt<1970-01-01T00:00:02Z"], true),
            (&["startedAt>1970-01-01T00:00:01Z"], false),
            (
                &["startedAt>=1970-01-01T01:00:01+01:00,completedAt<=1970-01-01T00:00:03Z"],
                true,
            ),
            (&["startedAt<48h"], true),
            (&["completedAt>=1h30m"], false),
            (&["status!=error,ref!=x"], true),
            (&["duration>1.5s"], true),
            (&["duration<=1m2s"], true),
            (&["duration>=2001ms"], false),
            (&["repository==x"], false),
            (&[], true),
        ] {
            let filters: Vec<String> = filter.iter().map(|filter| (*filter).to_owned()).collect();
            let parsed = HistoryFilter::parse(&filters).expect("a filter");
            assert_eq!(parsed.accepts(&record), accepted, "{filters:?}");
        }
        for malformed in [
            "status",
            "nosuch==1",
            "duration>x",
            "duration>5",
            "ref>r",
            "startedAt>x",
            "startedAt==1h",
        ] {
            assert!(HistoryFilter::parse(&[malformed.to_owned()]).is_err(), "{malformed}");
        }
    }
}
