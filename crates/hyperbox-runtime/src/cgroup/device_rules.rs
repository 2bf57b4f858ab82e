// SPDX-License-Identifier: MIT
//! Which devices a container may use: rules of the OCI specification for both cgroup versions. Pure.
//!
//! Rules apply in order, the last one that matches decides, and nothing is allowed without a rule. Version 1 takes them one by
//! one as text. Version 2 runs a program on each access: one comparison chain per rule, from the last rule to the first, so
//! that the first match decides (`BPF_PROG_TYPE_CGROUP_DEVICE`, `struct bpf_cgroup_dev_ctx`).

use hyperbox_sys::cgroup_device::Instruction;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::setting::Setting;

const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// One rule, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// `BPF_DEVCG_DEV_BLOCK` (1), `BPF_DEVCG_DEV_CHAR` (2), or any.
    kind: Option<i32>,
    major: Option<i32>,
    minor: Option<i32>,
    access: i32,
}

impl Rule {
    fn new(rule: &LinuxDeviceCgroup) -> Result<Self, String> {
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => i32::try_from(value)
                .ok()
                .filter(|value| *value >= 0)
                .map(Some)
                .ok_or_else(|| format!("a device rule has the number {value}")),
        };
        let mut access = 0;
        for letter in rule.access().as_deref().unwrap_or("rwm").chars() {
            access |= match letter {
                'r' => READ,
                'w' => WRITE,
                'm' => MKNOD,
                other => return Err(format!("a device rule has the access {other:?}")),
            };
        }
        Ok(Self {
            allow: rule.allow(),
            kind: match rule.typ() {
                Some(LinuxDeviceType::B) => Some(1),
                Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(2),
                Some(LinuxDeviceType::P) => return Err("a device rule has the type \"p\"".to_owned()),
                Some(LinuxDeviceType::A) | None => None,
            },
            major: number(rule.major())?,
            minor: number(rule.minor())?,
            access: if access == 0 { MKNOD | READ | WRITE } else { access },
        })
    }

    fn is_everything(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == MKNOD | READ | WRITE
    }
}

/// Rules of devices that every container has, whatever its configuration says ("Default Devices", and terminals).
const DEFAULTS: [(i32, Option<i32>, i32); 9] = [
    (1, Some(3), MKNOD | READ | WRITE),
    (1, Some(5), MKNOD | READ | WRITE),
    (1, Some(7), MKNOD | READ | WRITE),
    (1, Some(8), MKNOD | READ | WRITE),
    (1, Some(9), MKNOD | READ | WRITE),
    (5, Some(0), MKNOD | READ | WRITE),
    (5, Some(1), MKNOD | READ | WRITE),
    (5, Some(2), MKNOD | READ | WRITE),
    (136, None, MKNOD | READ | WRITE),
];

fn rules(configured: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>, String> {
    let mut rules = configured.iter().map(Rule::new).collect::<Result<Vec<_>, _>>()?;
    if rules.is_empty() {
        return Ok(rules);
    }
    // What follows the last rule about everything is all that matters.
    if let Some(last) = rules.iter().rposition(Rule::is_everything) {
        rules.drain(..last);
    }
    if !rules[0].allow || !rules[0].is_everything() {
        let defaults = DEFAULTS.map(|(major, minor, access)| Rule {
            allow: true,
            kind: Some(2),
            major: Some(major),
            minor,
            access,
        });
        // A rule is a write each; one that was said already, with nothing taken away since, needs no second.
        let taken_away = rules.iter().rposition(|rule| !rule.allow).map_or(0, |last| last + 1);
        let said = rules.split_off(taken_away);
        let missing: Vec<Rule> = defaults.into_iter().filter(|rule| !said.contains(rule)).collect();
        rules.extend(said);
        rules.extend(missing);
    }
    Ok(rules)
}

/// Returns what to write to a version-1 cgroup.
pub(crate) fn texts(configured: &[LinuxDeviceCgroup]) -> Result<Vec<Setting>, String> {
    Ok(rules(configured)?
        .iter()
        .map(|rule| {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            if rule.is_everything() {
                return Setting::new(file, "a");
            }
            let kind = match rule.kind {
                Some(1) => "b",
                Some(_) => "c",
                None => "a",
            };
            let number = |value: Option<i32>| value.map_or_else(|| "*".to_owned(), |value| value.to_string());
            let access: String = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
                .into_iter()
                .filter(|(bit, _)| rule.access & bit != 0)
                .map(|(_, letter)| letter)
                .collect();
            let (major, minor) = (number(rule.major), number(rule.minor));
            Setting::new(file, format!("{kind} {major}:{minor} {access}"))
        })
        .collect())
}

// Opcodes of `linux/bpf_common.h` and `linux/bpf.h`.
const LOAD_WORD: u8 = 0x61;
const AND_32: u8 = 0x54;
const SHIFT_RIGHT_32: u8 = 0x74;
const JUMP_NOT_EQUAL: u8 = 0x55;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: destination | source << 4,
        offset,
        immediate,
    }
}

/// Returns the program for a version-2 cgroup; `None` when there is no rule at all, and so no filter is wanted.
pub(crate) fn program(configured: &[LinuxDeviceCgroup]) -> Result<Option<Vec<Instruction>>, String> {
    let rules = rules(configured)?;
    if rules.is_empty() {
        return Ok(None);
    }
    // r2: type, r3: access, r4: major, r5: minor.
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(AND_32, 2, 0, 0, 0xffff),
        instruction(LOAD_WORD, 3, 1, 0, 0),
        instruction(SHIFT_RIGHT_32, 3, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    let mut open_end = true;
    for rule in rules.iter().rev() {
        let block = rule_block(rule);
        open_end = block.len() > 2;
        program.extend(block);
        if !open_end {
            break;
        }
    }
    if open_end {
        // The verifier refuses instructions that cannot be reached, hence only here.
        program.extend([instruction(MOVE, 0, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    }
    Ok(Some(program))
}

/// The instructions of one rule: comparisons that jump behind it when they fail, then the verdict.
fn rule_block(rule: &Rule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    if let Some(kind) = rule.kind {
        tests.push(instruction(JUMP_NOT_EQUAL, 2, 0, 0, kind));
    }
    if rule.access != MKNOD | READ | WRITE {
        if rule.allow {
            // All wanted kinds of access must be among the allowed: (access & !allowed) == 0.
            tests.push(instruction(MOVE_REGISTER, 1, 3, 0, 0));
            tests.push(instruction(AND_32, 1, 0, 0, !rule.access));
            tests.push(instruction(JUMP_NOT_EQUAL, 1, 0, 0, 0));
        } else {
            // One forbidden kind of access is enough: jump behind the rule when there is none.
            tests.push(instruction(MOVE_REGISTER, 1, 3, 0, 0));
            tests.push(instruction(AND_32, 1, 0, 0, rule.access));
            tests.push(instruction(JUMP_EQUAL, 1, 0, 0, 0));
        }
    }
    if let Some(major) = rule.major {
        tests.push(instruction(JUMP_NOT_EQUAL, 4, 0, 0, major));
    }
    if let Some(minor) = rule.minor {
        tests.push(instruction(JUMP_NOT_EQUAL, 5, 0, 0, minor));
    }
    let length = tests.len() + 2;
    for (index, test) in tests.iter_mut().enumerate() {
        if matches!(test.code, JUMP_NOT_EQUAL | JUMP_EQUAL) {
            test.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
        }
    }
    tests.push(instruction(MOVE, 0, 0, 0, i32::from(rule.allow)));
    tests.push(instruction(EXIT, 0, 0, 0, 0));
    tests
}

const JUMP_EQUAL: u8 = 0x15;

#[cfg(test)]
mod tests;
