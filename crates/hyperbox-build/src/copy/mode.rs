// SPDX-License-Identifier: MIT
//! `--chmod`: octal digits, or symbols as chmod(1) has them. Pure.

use crate::StepError;

/// What modes become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ModeChange {
    /// This one, whatever it was.
    To(u32),
    /// Clauses, one after the other.
    By(Vec<Clause>),
}

/// `ug+rX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    /// Bits of who is meant: 0o4700, 0o2070, 0o0007; all when nobody is named.
    who: u32,
    action: Action,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Permissions for all, set-ids and sticky; whether `X` is among them.
    Bits { bits: u32, search: bool },
    /// What another class has: the shift of its bits.
    CopyOf(u32),
}

impl ModeChange {
    /// Parses what is after `--chmod=`.
    ///
    /// # Errors
    /// `InvalidArgument` in BuildKit's words.
    pub(super) fn parse(text: &str) -> Result<Self, StepError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::To).ok_or_else(|| {
                StepError::invalid(format!(
                    "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
                ))
            });
        }
        let mut clauses = Vec::new();
        for clause in text.split(',') {
            parse_clauses(clause, &mut clauses).ok_or_else(|| StepError::invalid("invalid syntax"))?;
        }
        Ok(Self::By(clauses))
    }

    /// Returns what a mode becomes.
    pub(super) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::To(mode) => *mode,
            Self::By(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }

    /// Returns the mode of directories that are made on the way.
    pub(super) fn of_new_directories(&self) -> u32 {
        match self {
            Self::To(mode) => *mode,
            Self::By(_) => 0o755,
        }
    }
}

fn parse_clauses(text: &str, clauses: &mut Vec<Clause>) -> Option<()> {
    let actions = text.find(['+', '-', '='])?;
    let (named, mut rest) = text.split_at(actions);
    let mut who = 0;
    for class in named.chars() {
        who |= match class {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o0007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    while let Some(first) = rest.chars().next() {
        let action = match first {
            '+' => Action::Add,
            '-' => Action::Remove,
            '=' => Action::Set,
            _ => return None,
        };
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        clauses.push(Clause {
            who: if named.is_empty() { 0o7777 } else { who },
            action,
            what: parse_what(&rest[1..end])?,
        });
        rest = &rest[end..];
    }
    Some(())
}

fn parse_what(text: &str) -> Option<What> {
    match text {
        "u" => return Some(What::CopyOf(6)),
        "g" => return Some(What::CopyOf(3)),
        "o" => return Some(What::CopyOf(0)),
        _ => {}
    }
    let (mut bits, mut search) = (0, false);
    for letter in text.chars() {
        match letter {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => search = true,
            's' => bits |= 0o6000,
            't' => bits |= 0o1000,
            _ => return None,
        }
    }
    Some(What::Bits { bits, search })
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.what {
            What::CopyOf(shift) => (mode >> shift & 0o7) * 0o111,
            What::Bits { bits, search } => {
                let searchable = search && (is_directory || mode & 0o111 != 0);
                bits | if searchable { 0o111 } else { 0 }
            }
        };
        let bits = bits & self.who;
        match self.action {
            Action::Add => mode | bits,
            Action::Remove => mode & !bits,
            // The sticky bit goes only when it is taken away.
            Action::Set => (mode & (!self.who | 0o1000)) | bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for (text, before, is_directory, after) in [
            ("640", 0o7777, false, 0o640),
            ("4755", 0, false, 0o4755),
            ("u+x,go=", 0o644, false, 0o700),
            ("u+x,go=", 0o700, true, 0o700),
            ("go=u,+t", 0o600, false, 0o1666),
            ("a+rX", 0o600, false, 0o644),
            ("a+rX", 0o700, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("u=rw,g=r,o=", 0o777, false, 0o640),
            ("u+s", 0o755, false, 0o4755),
            ("g-w+x", 0o664, false, 0o654),
            ("o=g", 0o750, false, 0o755),
            ("a=rx", 0o1777, true, 0o1555),
            ("=rx", 0o2750, true, 0o555),
            ("o=t", 0o1777, true, 0o1770),
            ("o-t", 0o1777, true, 0o1777),
            ("ug+s,o+t", 0o755, true, 0o6755),
        ] {
            let change = ModeChange::parse(text).expect(text);
            assert_eq!(change.apply(before, is_directory), after, "{text} {before:o}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, message) in [
            (
                "99999",
                "invalid chmod parameter: '99999'. it should be octal string and between 0 and 07777",
            ),
            (
                "10000",
                "invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777",
            ),
            (
                "8",
                "invalid chmod parameter: '8'. it should be octal string and between 0 and 07777",
            ),
            ("foo", "invalid syntax"),
            ("u", "invalid syntax"),
            ("u+q", "invalid syntax"),
            ("", "invalid syntax"),
            ("u+x,", "invalid syntax"),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
