// SPDX-License-Identifier: MIT
//! One value to be written to one file of a cgroup, and how it is written.

use std::io;
use std::path::Path;

/// What to do when the kernel has no such file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be kept: fail.
    Fail,
    /// Go without, as Docker does (swap accounting, block weights): not every kernel is built with it.
    Ignore,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The file's name.
    pub file: String,
    /// What to write.
    pub value: String,
    /// What if there is no such file.
    pub missing: Missing,
}

impl Setting {
    /// A value whose file must exist.
    pub(crate) fn new(file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            file: file.into(),
            value: value.to_string(),
            missing: Missing::Fail,
        }
    }

    /// A value that is left out where the kernel has no such file.
    pub(crate) fn optional(file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            missing: Missing::Ignore,
            ..Self::new(file, value)
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, cgroup: &Path) -> io::Result<()> {
        match write_value(&cgroup.join(&self.file), &self.value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.missing == Missing::Ignore => Ok(()),
            other => other,
        }
    }
}

/// Writes a file of a cgroup in one write, as the kernel wants it.
pub(crate) fn write_value(file: &Path, value: &str) -> io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all(value.as_bytes())
}

/// Writes settings in order; each error names its file.
pub(crate) fn write_all(cgroup: &Path, settings: &[Setting]) -> Result<(), SettingError> {
    for setting in settings {
        setting.write(cgroup).map_err(|source| SettingError {
            file: setting.file.clone(),
            value: setting.value.clone(),
            source,
        })?;
    }
    Ok(())
}

/// A value that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot set {file} to {value:?}")]
pub(crate) struct SettingError {
    /// The file's name.
    pub file: String,
    /// The refused value.
    pub value: String,
    /// Why.
    #[source]
    pub source: io::Error,
}
