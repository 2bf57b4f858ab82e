// SPDX-License-Identifier: MIT
//! What a profile says about each system call number. Pure.

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::Architecture;
use super::table::{NONE, TABLE};
use crate::error::StartError;

/// A profile with its actions as the kernel's numbers (`SECCOMP_RET_*`).
#[derive(Debug)]
pub(super) struct Profile {
    pub default: u32,
    entries: Vec<Entry>,
    default_allows: bool,
}

/// One entry of a profile.
#[derive(Debug)]
struct Entry {
    names: Vec<String>,
    verdict: u32,
    /// Alternatives; one empty one means "always".
    alternatives: Vec<Vec<Comparison>>,
}

/// What is decided about one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// This.
    Always(u32),
    /// The verdict of the first rule that holds, else the default.
    When(Vec<Rule>),
}

/// A verdict under conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// All of them must hold.
    pub comparisons: Vec<Comparison>,
    pub verdict: u32,
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Which, from 0 to 5.
    pub argument: u32,
    pub operator: LinuxSeccompOperator,
    pub value: u64,
    /// For the masked comparison.
    pub mask: u64,
}

/// All decisions of one architecture.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub by_number: BTreeMap<u32, Decision>,
    /// The highest number that the profile names, whatever it says about it.
    pub highest_named: Option<u32>,
}

impl Profile {
    pub(super) fn new(profile: &LinuxSeccomp) -> Result<Self, StartError> {
        let default = verdict(profile.default_action(), profile.default_errno_ret())?;
        let entries = profile.syscalls().as_deref().unwrap_or_default();
        Ok(Self {
            default,
            entries: entries.iter().map(Entry::new).collect::<Result<_, _>>()?,
            default_allows: matches!(
                profile.default_action(),
                LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog | LinuxSeccompAction::ScmpActTrace
            ),
        })
    }

    /// Returns whether calls that are younger than the profile are answered as if the kernel did not have them.
    pub(super) fn hides_young_calls(&self) -> bool {
        !self.default_allows
    }

    /// Decides every number that the profile names on an architecture.
    pub(super) fn decisions(&self, architecture: Architecture) -> Decisions {
        let mut decisions = Decisions::default();
        for entry in &self.entries {
            for name in &entry.names {
                if let Some(number) = number(name, architecture) {
                    decisions.highest_named = decisions.highest_named.max(Some(number));
                    if entry.verdict != self.default {
                        decisions.add(number, entry, &[]);
                    }
                }
                if architecture == Architecture::X86 && entry.verdict != self.default {
                    self.add_multiplexed(&mut decisions, name, entry);
                }
            }
        }
        decisions
    }

    /// On i386 the calls of sockets and System V objects are also reached through one call each, whose first argument says
    /// which. A condition on the others cannot be checked there, as they lie in memory: a refusal then always holds, and a
    /// permission never.
    fn add_multiplexed(&self, decisions: &mut Decisions, name: &str, entry: &Entry) {
        let Some((carrier, which)) = multiplexed(name) else {
            return;
        };
        let conditional = !entry.alternatives.iter().any(Vec::is_empty);
        if conditional && !self.default_allows {
            return;
        }
        let Some(number) = number(carrier, Architecture::X86) else {
            return;
        };
        let first = Comparison {
            argument: 0,
            operator: LinuxSeccompOperator::ScmpCmpEq,
            value: which,
            mask: 0,
        };
        decisions.add(number, entry, &[first]);
    }
}

impl Decisions {
    /// Adds an entry's verdict for a number; with `instead`, under that condition in place of its own.
    fn add(&mut self, number: u32, entry: &Entry, instead: &[Comparison]) {
        let decision = self
            .by_number
            .entry(number)
            .or_insert_with(|| Decision::When(Vec::new()));
        let Decision::When(rules) = decision else {
            return;
        };
        if !instead.is_empty() {
            rules.push(Rule {
                comparisons: instead.to_vec(),
                verdict: entry.verdict,
            });
        } else if entry.alternatives.iter().any(Vec::is_empty) {
            *decision = Decision::Always(entry.verdict);
        } else {
            rules.extend(entry.alternatives.iter().map(|comparisons| Rule {
                comparisons: comparisons.clone(),
                verdict: entry.verdict,
            }));
        }
    }
}

impl Entry {
    fn new(syscall: &LinuxSyscall) -> Result<Self, StartError> {
        let comparisons = syscall
            .args()
            .as_deref()
            .unwrap_or_default()
            .iter()
            .map(comparison)
            .collect::<Result<Vec<_>, _>>()?;
        let repeated = (0..6).any(|argument| {
            comparisons
                .iter()
                .filter(|comparison| comparison.argument == argument)
                .count()
                > 1
        });
        let alternatives = if repeated {
            comparisons.into_iter().map(|comparison| vec![comparison]).collect()
        } else {
            vec![comparisons]
        };
        Ok(Self {
            names: syscall.names().clone(),
            verdict: verdict(syscall.action(), syscall.errno_ret())?,
            alternatives,
        })
    }
}

fn comparison(argument: &LinuxSeccompArg) -> Result<Comparison, StartError> {
    let index = u32::try_from(argument.index())
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| StartError::invalid(format!("linux.seccomp compares argument {}", argument.index())))?;
    let masked = argument.op() == LinuxSeccompOperator::ScmpCmpMaskedEq;
    let (value, mask) = if masked {
        // The specification's `value` is the mask then, and `valueTwo` the wanted result.
        (argument.value_two().unwrap_or(0), argument.value())
    } else {
        (argument.value(), 0)
    };
    Ok(Comparison {
        argument: index,
        operator: argument.op(),
        value,
        mask,
    })
}

/// Returns the kernel's number for an action. Errors are `EPERM` unless the profile says otherwise.
fn verdict(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, StartError> {
    let data = errno.unwrap_or(1).min(0xfff);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => super::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 | data,
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000 | data,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        LinuxSeccompAction::ScmpActNotify => return Err(StartError::unsupported("the seccomp action SCMP_ACT_NOTIFY")),
    })
}

/// Returns the number of a call, with the mark of its architecture.
fn number(name: &str, architecture: Architecture) -> Option<u32> {
    let row = TABLE.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    let number = TABLE[row].1[architecture.column()];
    (number != NONE).then(|| u32::from(number) | architecture.mark())
}

/// Returns the call that carries another on i386, and the number it carries it under (`socketcall(2)`, `ipc(2)`).
fn multiplexed(name: &str) -> Option<(&'static str, u64)> {
    const SOCKET: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    if let Some(position) = SOCKET.iter().position(|known| *known == name) {
        return Some(("socketcall", position as u64 + 1));
    }
    let found = IPC.iter().find(|(known, _)| *known == name)?;
    Some(("ipc", found.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_right_where_it_can_be_checked() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(number("read", Architecture::X86_64), Some(0));
        assert_eq!(number("read", Architecture::X32), Some(0x4000_0000));
        assert_eq!(number("read", Architecture::X86), Some(3));
        assert_eq!(number("read", Architecture::Aarch64), Some(63));
        assert_eq!(number("open", Architecture::Aarch64), None);
        assert_eq!(number("nosuchcall", Architecture::X86_64), None);
    }
}
