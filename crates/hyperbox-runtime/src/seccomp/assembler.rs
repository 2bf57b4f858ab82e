// SPDX-License-Identifier: MIT
//! Classic BPF, put together from its end: jumps lead forward only, so what is jumped to is there first. Pure.
//!
//! Conditional jumps reach 255 instructions; further ones go over an unconditional jump, which reaches everything.

use hyperbox_sys::seccomp::Instruction;
use oci_spec::runtime::LinuxSeccompOperator;

use super::rules::Comparison;

// Operations of `linux/bpf_common.h`.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;

/// Offset of the arguments in `struct seccomp_data`.
const ARGUMENTS: u32 = 16;

/// An instruction to jump to: its distance from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// The program so far, last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    verdicts: Vec<(u32, Label)>,
}

impl Assembler {
    /// Puts the program in order. `start` must be what was added last.
    pub(super) fn finish(mut self, start: Label) -> Vec<Instruction> {
        debug_assert_eq!(start.0 + 1, self.reversed.len());
        self.reversed.reverse();
        self.reversed
    }

    fn push(&mut self, code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Label {
        self.reversed.push(Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        });
        Label(self.reversed.len() - 1)
    }

    /// How many instructions the next one would have to skip to get to `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - label.0 - 1
    }

    /// Ends with a verdict.
    pub(super) fn give(&mut self, verdict: u32) -> Label {
        let near = self
            .verdicts
            .iter()
            .find(|(known, label)| *known == verdict && self.distance(*label) < 200);
        if let Some((_, label)) = near {
            return *label;
        }
        let label = self.push(RETURN, verdict, 0, 0);
        self.verdicts.retain(|(known, _)| *known != verdict);
        self.verdicts.push((verdict, label));
        label
    }

    /// Does something, then goes on at `next`.
    fn step(&mut self, code: u16, operand: u32, next: Label) -> Label {
        let distance = self.distance(next);
        if distance > 0 {
            self.push(JUMP, u32::try_from(distance).unwrap_or(u32::MAX), 0, 0);
        }
        self.push(code, operand, 0, 0)
    }

    /// Loads a word of `struct seccomp_data`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.step(LOAD, offset, next)
    }

    fn branch(&mut self, code: u16, operand: u32, mut yes: Label, mut no: Label) -> Label {
        // A stepping stone for one moves the other one instruction away, hence the order and the margin.
        for label in [&mut yes, &mut no] {
            if self.distance(*label) > 254 {
                let distance = u32::try_from(self.distance(*label)).unwrap_or(u32::MAX);
                *label = self.push(JUMP, distance, 0, 0);
            }
        }
        let near = |distance: usize| u8::try_from(distance).unwrap_or(u8::MAX);
        let (jump_true, jump_false) = (near(self.distance(yes)), near(self.distance(no)));
        self.push(code, operand, jump_true, jump_false)
    }

    /// Compares the loaded word.
    pub(super) fn equal(&mut self, operand: u32, yes: Label, no: Label) -> Label {
        self.branch(JUMP_EQUAL, operand, yes, no)
    }

    /// Compares the loaded word.
    pub(super) fn at_least(&mut self, operand: u32, yes: Label, no: Label) -> Label {
        self.branch(JUMP_AT_LEAST, operand, yes, no)
    }

    /// Compares an argument, which has 64 bits where BPF has 32, upper half first.
    pub(super) fn compare(&mut self, comparison: &Comparison, yes: Label, no: Label) -> Label {
        use LinuxSeccompOperator as Operator;
        match comparison.operator {
            Operator::ScmpCmpEq => self.same(comparison, None, yes, no),
            Operator::ScmpCmpNe => self.same(comparison, None, no, yes),
            Operator::ScmpCmpMaskedEq => self.same(comparison, Some(comparison.mask), yes, no),
            Operator::ScmpCmpGt => self.larger(comparison, JUMP_GREATER, yes, no),
            Operator::ScmpCmpGe => self.larger(comparison, JUMP_AT_LEAST, yes, no),
            Operator::ScmpCmpLe => self.larger(comparison, JUMP_GREATER, no, yes),
            Operator::ScmpCmpLt => self.larger(comparison, JUMP_AT_LEAST, no, yes),
        }
    }

    fn same(&mut self, comparison: &Comparison, mask: Option<u64>, yes: Label, no: Label) -> Label {
        let (high, low) = halves(comparison.value);
        let masks = mask.map(halves);
        let (upper, lower) = offsets(comparison.argument);
        let mut next = self.equal(low, yes, no);
        if let Some((_, mask)) = masks {
            next = self.step(AND, mask, next);
        }
        next = self.load(lower, next);
        if matches!(masks, Some((0, _))) && high == 0 {
            return next;
        }
        next = self.equal(high, next, no);
        if let Some((mask, _)) = masks {
            next = self.step(AND, mask, next);
        }
        self.load(upper, next)
    }

    fn larger(&mut self, comparison: &Comparison, code: u16, yes: Label, no: Label) -> Label {
        let (high, low) = halves(comparison.value);
        let (upper, lower) = offsets(comparison.argument);
        let mut next = self.branch(code, low, yes, no);
        next = self.load(lower, next);
        next = self.equal(high, next, no);
        next = self.branch(JUMP_GREATER, high, yes, next);
        self.load(upper, next)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

/// Returns the offsets of the upper and lower half of an argument, on the little-endian machines we know.
fn offsets(argument: u32) -> (u32, u32) {
    let lower = ARGUMENTS + 8 * argument;
    (lower + 4, lower)
}
