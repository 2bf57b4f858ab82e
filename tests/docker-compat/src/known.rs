// SPDX-License-Identifier: MIT
//! `known-differences.toml`: the steps whose outcome differs from Docker Engine's, each with its reason.
//!
//! The file shrinks: an entry whose step has become equal, or that names no step, fails the run.

use std::path::Path;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifferences {
    /// The entries.
    #[serde(default)]
    pub difference: Vec<KnownDifference>,
}

/// One entry.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDifference {
    /// `area/case`.
    pub case: String,
    /// The command line of the step; all steps of the case when it is missing.
    pub step: Option<String>,
    /// Why it is so.
    pub reason: String,
}

impl KnownDifferences {
    /// Reads the file of this crate.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn load() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("known-differences.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Tells whether a step may differ.
    pub fn allows(&self, case: &str, step: &str) -> bool {
        let mut entries = self.difference.iter();
        entries.any(|entry| entry.case == case && entry.step.as_deref().is_none_or(|named| named == step))
    }

    /// Returns the entries of a case that none of the steps that differ needs.
    pub fn untrue(&self, case: &str, differing: &[&str]) -> Vec<String> {
        let of_case = self.difference.iter().filter(|entry| entry.case == case);
        of_case
            .filter(|entry| match &entry.step {
                Some(step) => !differing.contains(&step.as_str()),
                None => differing.is_empty(),
            })
            .map(|entry| {
                let step = entry.step.as_deref().unwrap_or("all steps");
                format!("{case}: no difference in {step}: remove it from known-differences.toml")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::KnownDifferences;

    #[test]
    fn entries_apply_and_become_untrue() {
        let text =
            "[[difference]]\ncase = 'a/b'\nstep = 'x'\nreason = 'r'\n[[difference]]\ncase = 'a/c'\nreason = 'r'\n";
        let known: KnownDifferences = toml::from_str(text).expect("good TOML");
        assert!(known.allows("a/b", "x") && !known.allows("a/b", "y") && known.allows("a/c", "y"));
        assert!(known.untrue("a/b", &["x"]).is_empty());
        assert_eq!(known.untrue("a/b", &["y"]).len(), 1);
        assert_eq!(known.untrue("a/c", &[]).len(), 1);
    }
}
