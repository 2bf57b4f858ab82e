// SPDX-License-Identifier: MIT
//! Resource limits of a process (`getrlimit(2)`), as `--ulimit name=soft[:hard]` and the Engine API write them.
//!
//! Names and texts are those of `docker/go-units`: `as` is missing because it would limit the program that sets the
//! container up, too.

use serde::{Deserialize, Serialize};

use crate::ErrorKind;

const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A resource limit with a known name, whose soft limit does not exceed its hard one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", try_from = "Unchecked")]
pub struct Ulimit {
    name: String,
    hard: i64,
    soft: i64,
}

impl Ulimit {
    /// No limit.
    pub const UNLIMITED: i64 = -1;

    /// Makes a limit; [`Self::UNLIMITED`] means none.
    ///
    /// # Errors
    /// [`InvalidUlimit`] for an unknown name and for a soft limit above the hard one.
    pub fn new(name: &str, soft: i64, hard: i64) -> Result<Self, InvalidUlimit> {
        if !NAMES.contains(&name) {
            return Err(InvalidUlimit::Name(name.to_owned()));
        }
        if hard != Self::UNLIMITED && soft == Self::UNLIMITED {
            return Err(InvalidUlimit::UnlimitedSoft { hard });
        }
        if hard != Self::UNLIMITED && soft > hard {
            return Err(InvalidUlimit::Order { soft, hard });
        }
        Ok(Self {
            name: name.to_owned(),
            hard,
            soft,
        })
    }

    /// Parses `name=soft[:hard]`; without a hard limit both are the same.
    ///
    /// # Errors
    /// [`InvalidUlimit`], as Docker's client says it.
    pub fn parse(text: &str) -> Result<Self, InvalidUlimit> {
        let (name, limits) = text
            .split_once('=')
            .ok_or_else(|| InvalidUlimit::Form(text.to_owned()))?;
        if !NAMES.contains(&name) {
            return Err(InvalidUlimit::Name(name.to_owned()));
        }
        let (soft, hard) = match limits.split_once(':') {
            None => (number(limits)?, None),
            Some((_, hard)) if hard.contains(':') => return Err(InvalidUlimit::Values(limits.to_owned())),
            Some((soft, hard)) => (number(soft)?, Some(number(hard)?)),
        };
        Self::new(name, soft, hard.unwrap_or(soft))
    }

    /// Returns the name, such as `nofile`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the limit that holds at first.
    pub fn soft(&self) -> i64 {
        self.soft
    }

    /// Returns the limit up to which the process may raise the soft one.
    pub fn hard(&self) -> i64 {
        self.hard
    }
}

impl std::fmt::Display for Ulimit {
    /// Writes what [`Self::parse`] reads: `nofile=1024:2048`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}={}:{}", self.name, self.soft, self.hard)
    }
}

fn number(text: &str) -> Result<i64, InvalidUlimit> {
    text.parse().map_err(|_| InvalidUlimit::Number(text.to_owned()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Unchecked {
    name: String,
    hard: i64,
    soft: i64,
}

impl TryFrom<Unchecked> for Ulimit {
    type Error = InvalidUlimit;

    fn try_from(limit: Unchecked) -> Result<Self, Self::Error> {
        Self::new(&limit.name, limit.soft, limit.hard)
    }
}

/// The text or the numbers are no resource limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUlimit {
    /// There is no `name=`.
    #[error("invalid ulimit argument: {0}")]
    Form(String),
    /// No limit has that name.
    #[error("invalid ulimit type: {0}")]
    Name(String),
    /// More than two numbers.
    #[error("too many limit value arguments - {0}, can only have up to two, `soft[:hard]`")]
    Values(String),
    /// Not a number.
    #[error("strconv.ParseInt: parsing {0:?}: invalid syntax")]
    Number(String),
    /// The soft limit exceeds the hard one.
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    Order {
        /// The soft limit.
        soft: i64,
        /// The hard limit.
        hard: i64,
    },
    /// Only the hard limit limits.
    #[error("ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}")]
    UnlimitedSoft {
        /// The hard limit.
        hard: i64,
    },
}

impl InvalidUlimit {
    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_limits() {
        for (text, limits) in [
            ("nofile=100", (100, 100)),
            ("nofile=100:200", (100, 200)),
            ("core=-1", (-1, -1)),
            ("core=-2", (-2, -2)),
            ("nofile=10:-1", (10, -1)),
        ] {
            let limit = Ulimit::parse(text).unwrap();
            assert_eq!((limit.soft(), limit.hard()), limits, "{text}");
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<Ulimit>(&json).unwrap(), limit);
        }
    }

    #[test]
    fn refused_limits() {
        for (text, reason) in [
            ("nofile", "invalid ulimit argument: nofile"),
            ("", "invalid ulimit argument: "),
            ("foo=1", "invalid ulimit type: foo"),
            ("NOFILE=1", "invalid ulimit type: NOFILE"),
            ("as=1", "invalid ulimit type: as"),
            ("nofile=a", "strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("nofile=1:", "strconv.ParseInt: parsing \"\": invalid syntax"),
            ("nofile=1.9", "strconv.ParseInt: parsing \"1.9\": invalid syntax"),
            (
                "nofile=1:2:3",
                "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`",
            ),
            (
                "nofile=2:1",
                "ulimit soft limit must be less than or equal to hard limit: 2 > 1",
            ),
            (
                "nofile=-1:10",
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 10",
            ),
        ] {
            let error = Ulimit::parse(text).unwrap_err();
            assert_eq!(error.to_string(), reason, "{text}");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
        let json = r#"{"Name":"foo","Soft":1,"Hard":1}"#;
        assert!(serde_json::from_str::<Ulimit>(json).is_err());
    }
}
