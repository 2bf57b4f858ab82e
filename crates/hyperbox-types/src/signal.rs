// SPDX-License-Identifier: MIT
//! Linux signals by name or number, as `docker kill --signal` and an image's `StopSignal` write them.
//!
//! The numbers are those of Linux on x86-64 and arm64 (`signal(7)`), whatever machine the client runs on: a signal is
//! always delivered inside a Linux container.

use std::fmt;

use serde::{Deserialize, Serialize};

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
    ("CLD", 17),
    ("POLL", 29),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// A signal number between 1 and 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

impl Signal {
    /// Hang-up.
    pub const HUP: Self = Self(1);
    /// Interrupt from the keyboard.
    pub const INT: Self = Self(2);
    /// Unconditional kill.
    pub const KILL: Self = Self(9);
    /// Polite request to end; the default stop signal.
    pub const TERM: Self = Self(15);

    /// Parses `SIGTERM`, `term`, `15`, `RTMIN+3` or `SIGRTMAX-1`.
    ///
    /// # Errors
    /// [`InvalidSignal`] for an unknown name or a number outside 1 to 64.
    pub fn parse(text: &str) -> Result<Self, InvalidSignal> {
        let invalid = || InvalidSignal {
            text: text.chars().take(40).collect(),
        };
        if let Ok(number) = text.parse::<i32>() {
            return Self::try_from(number).map_err(|_| invalid());
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let number = if let Some(offset) = name.strip_prefix("RTMIN+") {
            34 + offset
                .parse::<i32>()
                .ok()
                .filter(|offset| (0..=30).contains(offset))
                .ok_or_else(invalid)?
        } else if let Some(offset) = name.strip_prefix("RTMAX-") {
            64 - offset
                .parse::<i32>()
                .ok()
                .filter(|offset| (0..=30).contains(offset))
                .ok_or_else(invalid)?
        } else {
            NAMES.iter().find(|(known, _)| *known == name).ok_or_else(invalid)?.1
        };
        Self::try_from(number).map_err(|_| invalid())
    }

    /// Returns the number.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(formatter, "SIG{name}"),
            None if self.0 > 34 => write!(formatter, "SIGRTMIN+{}", self.0 - 34),
            None => write!(formatter, "{}", self.0),
        }
    }
}

impl TryFrom<i32> for Signal {
    type Error = InvalidSignal;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        if (1..=64).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidSignal {
                text: number.to_string(),
            })
        }
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

/// The text names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {text}")]
pub struct InvalidSignal {
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("sigkill", Some(9)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("RTMIN+31", None),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("NOPE", None),
            ("", None),
        ] {
            assert_eq!(Signal::parse(text).ok().map(Signal::number), number, "{text}");
        }
        assert_eq!(Signal::TERM.to_string(), "SIGTERM");
        assert_eq!(Signal(37).to_string(), "SIGRTMIN+3");
    }
}
