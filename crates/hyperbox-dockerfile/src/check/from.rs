// SPDX-License-Identifier: MIT
//! FROM lines: what they build on and for which platform, with the arguments that are declared before them.

use std::collections::BTreeMap;

use super::variables::{Evaluated, Variables};
use super::{Mistake, Report, Rule, Surroundings, name};
use crate::{Dockerfile, Globals, Stage};

/// Returns the variables of FROM lines.
fn globals(file: &Dockerfile, around: &Surroundings<'_>, with_given: bool) -> Result<Variables, Mistake> {
    let nothing = BTreeMap::new();
    let given = if with_given { around.arguments } else { &nothing };
    let globals = Globals::new(file, given, around.predefined.clone())?;
    let mut variables = Variables::default();
    for (name, value) in around.predefined {
        variables.set(name, value);
    }
    for argument in globals.arguments() {
        match &argument.value {
            Some(value) => variables.set(&argument.name, value),
            None => variables.declare(&argument.name),
        }
    }
    Ok(variables)
}

/// Each base is the name of an image also when no argument is given.
pub(super) fn check_defaults(file: &Dockerfile, around: &Surroundings<'_>, report: &mut Report) {
    // A mistake in a default ends the build anyway.
    let Ok(variables) = globals(file, around, false) else {
        return;
    };
    for stage in &file.stages {
        let Ok(base) = variables.word(&stage.base, file.directives.escape).result else {
            return;
        };
        if !name::is_image(&base) {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base
            );
            report.find(Rule::InvalidDefaultArgInFrom, stage.lines, message);
        }
    }
}

/// Checks all FROM lines; returns their variables.
///
/// # Errors
/// Bases and platforms that are nothing or cannot be evaluated.
pub(super) fn check(file: &Dockerfile, around: &Surroundings<'_>, report: &mut Report) -> Result<Variables, Mistake> {
    let variables = globals(file, around, true)?;
    for stage in &file.stages {
        let base = variables.word(&stage.base, file.directives.escape);
        undefined(&base, stage, &variables, report);
        let base = base
            .result
            .map_err(|error| Mistake::new([stage.lines], error.to_string()))?;
        if base.is_empty() {
            let message = format!("base name ({}) should not be blank", stage.base);
            return Err(Mistake::new([stage.lines], message));
        }
        if let Some(platform) = &stage.platform {
            check_platform(platform, stage, (&variables, file.directives.escape), report)?;
        }
    }
    Ok(variables)
}

fn check_platform(
    text: &str,
    stage: &Stage,
    (variables, escape): (&Variables, char),
    report: &mut Report,
) -> Result<(), Mistake> {
    let platform = variables.word(text, escape);
    undefined(&platform, stage, variables, report);
    let used = (platform.matched.as_slice(), platform.unmatched.as_slice());
    let value = platform
        .result
        .map_err(|error| Mistake::new([stage.lines], error.to_string()))?;
    match used {
        ([only], []) if only == "TARGETPLATFORM" && variables.get(only) == Some(&value) => {
            let message =
                format!("Setting platform to predefined {text} in FROM is redundant as this is the default behavior");
            report.find(Rule::RedundantTargetPlatform, stage.lines, message);
        }
        ([], []) if !is_told(&value, stage) => {
            let message = format!("FROM --platform flag should not use constant value {value:?}");
            report.find(Rule::FromPlatformFlagConstDisallowed, stage.lines, message);
        }
        _ => {}
    }
    if value.is_empty() {
        return Err(Mistake::new(
            [stage.lines],
            format!("empty platform value from expression {text}"),
        ));
    }
    Ok(())
}

/// Tells whether a stage's name has a part of the platform in it.
fn is_told(platform: &str, stage: &Stage) -> bool {
    let name = stage.name.as_deref().unwrap_or_default();
    platform
        .split('/')
        .take(2)
        .any(|part| !part.is_empty() && name.contains(part))
}

fn undefined(word: &Evaluated, stage: &Stage, variables: &Variables, report: &mut Report) {
    for name in &word.unmatched {
        let mut message = format!("FROM argument '{name}' is not declared");
        if let Some(meant) = variables.nearest_declared(name) {
            message.push_str(&format!(" (did you mean {meant}?)"));
        }
        report.find(Rule::UndefinedArgInFrom, stage.lines, message);
    }
}
