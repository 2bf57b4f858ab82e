// SPDX-License-Identifier: MIT
//! System call filters: the `seccomp` of an OCI specification compiled to a classic BPF program.
//!
//! The kernel runs the program on every system call, and copies and checks it on every start, so it has to be short. Most
//! numbers next to each other have the same verdict: `rules` gives every number its verdict, `ranges` merges equal
//! neighbours, and [`assembler`] lays a balanced search tree over the ranges. Docker's default profile becomes some hundred
//! instructions, where one comparison per system call makes over a thousand.
//!
//! Meaning of a profile, as libseccomp and runc give it: names that an architecture does not know are skipped; an entry without
//! argument comparisons decides its call alone (the first such entry); otherwise the first entry whose comparisons all hold
//! decides; otherwise the default. Entries with the default's action are no entries. Two comparisons of one argument in one
//! entry are alternatives. Above the highest call that a refusing profile names, the answer is `ENOSYS` instead of the default,
//! so that programs fall back from calls that are younger than the profile. A system call of an architecture that the profile
//! does not list kills the process.

mod assembler;
mod ranges;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use hyperbox_sys::seccomp::{FLAG_LOG, FLAG_SPEC_ALLOW, Instruction};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompFilterFlag};

use self::assembler::{Assembler, Label};
use self::ranges::Range;
use self::rules::{Decision, Profile};
use crate::error::StartError;

/// A compiled filter.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Vec<Instruction>,
    flags: u32,
}

/// What the kernel accepts (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// `SECCOMP_RET_KILL_PROCESS`.
const KILL_PROCESS: u32 = 0x8000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The mark of an x32 call in an x86-64 process's number.
const X32: u32 = 0x4000_0000;

/// An architecture whose calls a profile may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Architecture {
    X86_64,
    X86,
    X32,
    Aarch64,
}

impl Architecture {
    #[cfg(target_arch = "aarch64")]
    const NATIVE: Self = Self::Aarch64;
    #[cfg(not(target_arch = "aarch64"))]
    const NATIVE: Self = Self::X86_64;

    fn new(arch: Arch) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(Self::NATIVE),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// Returns the column of the table.
    fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::X86 => 1,
            Self::X32 => 2,
            Self::Aarch64 => 3,
        }
    }

    /// Returns the `AUDIT_ARCH_*` number that the kernel reports.
    fn audit_number(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// Returns the bits that mark its calls.
    fn mark(self) -> u32 {
        if self == Self::X32 { X32 } else { 0 }
    }
}

impl Filter {
    /// Compiles a profile for this machine.
    ///
    /// # Errors
    /// What the profile asks for is unknown, not supported, or too long for the kernel.
    pub fn compile(profile: &LinuxSeccomp) -> Result<Self, StartError> {
        let flags = flags(profile)?;
        let architectures = architectures(profile);
        let profile = Profile::new(profile)?;
        let program = compile(&profile, &architectures);
        if program.len() > LONGEST {
            return Err(StartError::invalid("linux.seccomp is too long for the kernel"));
        }
        Ok(Self { program, flags })
    }

    /// Returns the program.
    pub(crate) fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// Returns the flags to install it with.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }
}

/// Returns the architectures to decide; the machine's own is always one.
fn architectures(profile: &LinuxSeccomp) -> Vec<Architecture> {
    let mut list = vec![Architecture::NATIVE];
    for arch in profile.architectures().as_deref().unwrap_or_default() {
        if let Some(architecture) = Architecture::new(*arch)
            && !list.contains(&architecture)
            && runs_here(architecture)
        {
            list.push(architecture);
        }
    }
    list
}

/// A process of another family of processors never makes a system call here.
fn runs_here(architecture: Architecture) -> bool {
    (architecture == Architecture::Aarch64) == (Architecture::NATIVE == Architecture::Aarch64)
}

fn flags(profile: &LinuxSeccomp) -> Result<u32, StartError> {
    if profile.listener_path().is_some() {
        return Err(StartError::unsupported("a seccomp listener"));
    }
    let Some(list) = profile.flags() else {
        // As runc: what the bypass costs is more than what it saves.
        return Ok(FLAG_SPEC_ALLOW);
    };
    Ok(list.iter().fold(0, |flags, flag| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => flags | FLAG_LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flags | FLAG_SPEC_ALLOW,
        // The process has one thread, and nobody listens.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync | LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            flags
        }
    }))
}

fn compile(profile: &Profile, architectures: &[Architecture]) -> Vec<Instruction> {
    let mut assembler = Assembler::default();
    let mut next = assembler.give(KILL_PROCESS);
    for architecture in architectures.iter().rev() {
        if *architecture == Architecture::X32 {
            // Its calls carry the architecture of x86-64 and are told apart by their numbers.
            continue;
        }
        let x32 = *architecture == Architecture::X86_64 && architectures.contains(&Architecture::X32);
        let ranges = ranges(profile, *architecture, x32);
        let tree = tree(&mut assembler, &ranges, profile);
        let section = assembler.load(NUMBER, tree);
        next = assembler.equal(architecture.audit_number(), section, next);
    }
    let start = assembler.load(ARCHITECTURE, next);
    assembler.finish(start)
}

/// Returns the verdicts over all numbers of an architecture.
fn ranges(profile: &Profile, architecture: Architecture, x32: bool) -> Vec<Range> {
    if architecture != Architecture::X86_64 {
        return ranges::cover(profile, architecture, 0, u32::MAX);
    }
    let mut ranges = ranges::cover(profile, architecture, 0, X32 - 1);
    if x32 {
        ranges.extend(ranges::cover(profile, Architecture::X32, X32, u32::MAX - 1));
    } else {
        ranges.push(Range {
            start: X32,
            decision: Decision::Always(KILL_PROCESS),
        });
    }
    // A debugger that cancels a call leaves the number -1; nothing is executed for it.
    ranges.push(Range {
        start: u32::MAX,
        decision: Decision::Always(profile.default),
    });
    ranges::merge(ranges)
}

/// A balanced search tree over the ranges, built from its leaves.
fn tree(assembler: &mut Assembler, ranges: &[Range], profile: &Profile) -> Label {
    match ranges {
        [] => assembler.give(profile.default),
        [only] => leaf(assembler, &only.decision, profile.default),
        _ => {
            let middle = ranges.len() / 2;
            let upper = tree(assembler, &ranges[middle..], profile);
            let lower = tree(assembler, &ranges[..middle], profile);
            assembler.at_least(ranges[middle].start, upper, lower)
        }
    }
}

fn leaf(assembler: &mut Assembler, decision: &Decision, default: u32) -> Label {
    match decision {
        Decision::Always(verdict) => assembler.give(*verdict),
        Decision::When(rules) => {
            let mut otherwise = assembler.give(default);
            for rule in rules.iter().rev() {
                let mut next = assembler.give(rule.verdict);
                for comparison in rule.comparisons.iter().rev() {
                    next = assembler.compare(comparison, next, otherwise);
                }
                otherwise = next;
            }
            otherwise
        }
    }
}
