// SPDX-License-Identifier: MIT
//! What can be said of a file as a whole: names of stages, and how instructions are written.

use std::collections::HashSet;

use super::{Report, Rule};
use crate::Dockerfile;
use crate::logical::Logical;

/// Checks names of stages and the casing of instructions.
pub(super) fn check(file: &Dockerfile, logical: &[Logical], report: &mut Report) {
    stage_names(file, report);
    casing(logical, report);
}

fn stage_names(file: &Dockerfile, report: &mut Report) {
    let mut known: HashSet<&str> = HashSet::new();
    for stage in &file.stages {
        let Some(name) = &stage.name else { continue };
        if matches!(name.as_str(), "scratch" | "context") {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            report.find(Rule::ReservedStageName, stage.lines, message);
        }
        if !known.insert(name) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            report.find(Rule::DuplicateStageName, stage.lines, message);
        }
    }
}

/// Instructions are written as most of them are. ARG before the first FROM does not count.
fn casing(logical: &[Logical], report: &mut Report) {
    let of_stages = || logical.iter().skip_while(|one| one.keyword != "FROM");
    let (mut small, mut capital) = (0, 0);
    for one in of_stages() {
        let written = one.written();
        if written == written.to_lowercase() {
            small += 1;
        } else if written == written.to_uppercase() {
            capital += 1;
        }
    }
    for one in of_stages() {
        let written = one.written();
        let (right, called) = match small > capital {
            true => (written.to_lowercase(), "lowercase"),
            false => (written.to_uppercase(), "uppercase"),
        };
        if written != right {
            let message = format!("Command '{written}' should match the case of the command majority ({called})");
            report.find(Rule::ConsistentInstructionCasing, one.lines, message);
        }
    }
}
