// SPDX-License-Identifier: MIT
//! A resolved project.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the files of a folder describe, everything resolved: paths absolute, variables replaced, short forms long.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    name: String,
    document: Value,
    warnings: Vec<String>,
    disabled: BTreeSet<String>,
}

impl Project {
    pub(crate) fn new(name: String, document: Value, warnings: Vec<String>, disabled: BTreeSet<String>) -> Self {
        Self {
            name,
            document,
            warnings,
            disabled,
        }
    }

    /// The project's name: lower case letters, digits, `-` and `_`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole model, in the shape of `docker compose config --format json`.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What the user should know and what stops nothing, such as variables that are not set.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Services that do not take part because none of their profiles is active.
    pub fn disabled_services(&self) -> &BTreeSet<String> {
        &self.disabled
    }
}
