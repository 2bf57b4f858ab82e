// SPDX-License-Identifier: MIT
//! Which rules hold: `# check=skip=A,B;experimental=C;error=true`.

use std::collections::BTreeSet;

use super::Rule;

/// Which rules hold, and whether breaking one is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    skips: Names,
    experiments: Names,
    /// Whether a finding fails the build.
    pub is_error: bool,
}

/// All rules, or some by name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    All,
    Some(BTreeSet<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl Names {
    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::Some(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }

    fn has(&self, rule: Rule) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(rule.name()),
        }
    }
}

impl CheckOptions {
    /// Parses what a directive or the argument `BUILDKIT_DOCKERFILE_CHECK` says.
    ///
    /// # Errors
    /// The message for what is no option.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(3, ';') {
            let Some((name, value)) = part.split_once('=') else {
                return Err(format!("failed to parse check options: invalid check option {part:?}"));
            };
            match name.trim() {
                "skip" => options.skips = Names::parse(value),
                "experimental" => options.experiments = Names::parse(value),
                "error" => options.is_error = boolean(part, value.trim())?,
                other => return Err(format!("failed to parse check options: invalid check option {other:?}")),
            }
        }
        Ok(options)
    }

    /// Tells whether a rule holds.
    pub fn holds(&self, rule: Rule) -> bool {
        match rule.is_experimental() {
            true => self.experiments.has(rule),
            false => !self.skips.has(rule),
        }
    }
}

/// Reads what Go's `strconv.ParseBool` reads.
fn boolean(part: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(format!(
            "failed to parse check options: failed to parse check option {part:?}: strconv.ParseBool: parsing {other:?}: invalid syntax"
        )),
    }
}
