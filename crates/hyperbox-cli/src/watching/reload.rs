// SPDX-License-Identifier: MIT
//! A project whose own files change while it is watched: it is read again, and what is different of it is brought up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::rule::Rules;
use crate::error::CliError;
use crate::project::Opened;

/// A project that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) opened: Opened,
    /// The files that it is described by, those that would be if they were there included.
    pub(crate) sources: BTreeSet<PathBuf>,
    /// What is watched besides.
    pub(crate) rules: Rules,
}

/// How a project is read again and brought up.
pub(crate) trait Reload {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with its files; then nothing changes.
    fn read(&self) -> Result<Watched, CliError>;

    /// Brings up what is different.
    ///
    /// # Errors
    /// Why that failed.
    fn apply(&self, opened: &Opened) -> Result<(), CliError>;
}

/// What became of reading a project again.
#[derive(Debug)]
pub(super) enum Read {
    /// It says what it said.
    Same,
    /// It says something else.
    Different(Box<Watched>),
}

/// Reads a project again.
///
/// # Errors
/// Those of [`Reload::read`]; a name that is another one, because that would be another project beside this one.
pub(super) fn read_again(reload: &dyn Reload, before: &Watched) -> Result<Read, CliError> {
    let now = reload.read()?;
    let (old, new) = (&before.opened, &now.opened);
    if old.name != new.name {
        let message = format!(
            "the project is called {} now, and {} goes on as it was",
            new.name, old.name
        );
        return Err(CliError::new(message).with_hint("watch it anew to have the other one"));
    }
    let same = old.document == new.document && old.limits == new.limits && old.contents == new.contents;
    // Files that came and say nothing new are watched from now on, too.
    if same && before.sources == now.sources {
        return Ok(Read::Same);
    }
    Ok(Read::Different(Box::new(now)))
}
