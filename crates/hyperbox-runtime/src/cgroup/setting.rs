// SPDX-License-Identifier: MIT
//! One value to be written to one file of a cgroup, and how it is written.

use std::fs::File;
use std::io::{self, Write as _};
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
}

/// Writes a file of a cgroup in one write, as the kernel wants it.
pub(crate) fn write_value(file: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(value.as_bytes())
}

/// Writes settings in order; each error names its file.
pub(crate) fn write_all(cgroup: &Path, settings: &[Setting]) -> Result<(), SettingError> {
    let mut opened: Option<(&str, File)> = None;
    for setting in settings {
        write(cgroup, setting, &mut opened).map_err(|source| SettingError {
            file: setting.file.clone(),
            value: setting.value.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Writes one value; its file stays open, as rules of devices are a dozen values of one file.
fn write<'a>(cgroup: &Path, setting: &'a Setting, opened: &mut Option<(&'a str, File)>) -> io::Result<()> {
    if opened.as_ref().is_none_or(|(name, _)| *name != setting.file) {
        let file = File::options().write(true).open(cgroup.join(&setting.file));
        match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound && setting.missing == Missing::Ignore => {
                return Ok(());
            }
            file => *opened = Some((&setting.file, file?)),
        }
    }
    let Some((_, file)) = opened else { return Ok(()) };
    file.write_all(setting.value.as_bytes())
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
