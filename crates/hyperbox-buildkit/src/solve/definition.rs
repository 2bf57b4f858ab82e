// SPDX-License-Identifier: MIT
//! The Dockerfile of a build, read from the client's session with what stands beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyperbox_dockerfile::{Dockerfile, Ignore};

use super::options::Options;
use crate::session::Session;
use crate::status::Course;
use crate::transport::status::{Code, Status};

/// What is left out of contexts, unless the Dockerfile has a list of its own.
pub(super) const IGNORE: &str = ".dockerignore";

/// A Dockerfile.
#[derive(Debug)]
pub(super) struct Definition {
    /// What it is called in messages.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
    /// `NAME.dockerignore`, if it is there.
    ignore: Option<String>,
}

impl Definition {
    /// Reads it.
    ///
    /// # Errors
    /// In BuildKit's words when it is not there or is no text.
    pub(super) async fn read(session: &dyn Session, options: &Options, course: &Course) -> Result<Self, Status> {
        let name = &options.filename;
        let title = format!("[internal] load build definition from {name}");
        let loading = course.begin(&title);
        let own_ignore = format!("{name}{IGNORE}");
        let mut paths = vec![name.clone(), own_ignore.clone()];
        let lower = lower(name);
        paths.extend(lower.clone());
        let mut files = match session.read(&options.dockerfile, &paths, &loading).await {
            Ok(files) => files,
            Err(status) => {
                loading.failed(&status);
                return Err(status);
            }
        };
        loading.done();
        let missing = || {
            let message = format!("failed to read dockerfile: open {name}: no such file or directory");
            Status::new(Code::Unknown, message)
        };
        let found = files
            .remove(name)
            .or_else(|| lower.and_then(|lower| files.remove(&lower)));
        let text = text(name, found.ok_or_else(missing)?)?;
        course.define(name, &text, &title);
        Ok(Self {
            name: name.clone(),
            text,
            ignore: files.remove(&own_ignore).map(lossy),
        })
    }

    /// Returns it parsed; `None` when it is malformed, which the build tells better.
    pub(super) fn parsed(&self) -> Option<Dockerfile> {
        Dockerfile::parse(&self.text).ok()
    }

    /// Returns what is left out of the context: lines for the client, malformed ones refused here.
    ///
    /// # Errors
    /// Those of the session; a malformed list.
    pub(super) async fn excludes(
        &self,
        session: &Arc<dyn Session>,
        directory: &str,
        course: &Course,
    ) -> Result<Vec<String>, Status> {
        let loading = course.begin(&format!("[internal] load {IGNORE}"));
        let list = match &self.ignore {
            Some(list) => Ok(Some(list.clone())),
            None => ignore_of(session.as_ref(), directory, &loading).await,
        };
        match list {
            Ok(list) => {
                loading.done();
                lines(&list.unwrap_or_default())
            }
            Err(status) => {
                loading.failed(&status);
                Err(status)
            }
        }
    }
}

/// Reads `.dockerignore` of a directory.
pub(super) async fn ignore_of(
    session: &dyn Session,
    directory: &str,
    loading: &crate::status::Loading,
) -> Result<Option<String>, Status> {
    let mut files: BTreeMap<String, Vec<u8>> = session.read(directory, &[IGNORE.to_owned()], loading).await?;
    Ok(files.remove(IGNORE).map(lossy))
}

/// Returns the patterns of a list, as its own parser reads lines: trimmed, cleaned, comments gone.
pub(super) fn lines(list: &str) -> Result<Vec<String>, Status> {
    let malformed = |error| Status::new(Code::Unknown, format!("failed parsing {IGNORE}: {error}"));
    Ignore::parse(list).map_err(malformed)?;
    let text = list.strip_prefix('\u{feff}').unwrap_or(list);
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(cleaned).collect())
}

/// Go's `filepath.Clean` of a pattern without a leading slash; `!` stays in front.
fn cleaned(line: &str) -> String {
    let (mark, path) = match line.strip_prefix('!') {
        Some(path) => ("!", path.trim()),
        None => ("", line),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => format!("{mark}."),
        false => format!("{mark}{}", parts.join("/")),
    }
}

/// The usual name is found in lower case too.
fn lower(name: &str) -> Option<String> {
    let (directory, last) = match name.rsplit_once('/') {
        Some((directory, last)) => (format!("{directory}/"), last),
        None => (String::new(), name),
    };
    (last == "Dockerfile").then(|| format!("{directory}dockerfile"))
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Status> {
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("failed to read dockerfile: open {name}: the file is not UTF-8 text");
        Status::new(Code::Unknown, message)
    })
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_patterns() {
        let list = "\u{feff}# comment\n\n  a/../b/ \n/c//d\n!e\n! /f\n.\n../x\n";
        assert_eq!(lines(list).expect("patterns"), ["b", "c/d", "!e", "!f", ".", "../x"]);
        assert!(lines("[").is_err());
    }

    #[test]
    fn the_usual_name_has_two_forms() {
        assert_eq!(lower("a/Dockerfile").as_deref(), Some("a/dockerfile"));
        assert_eq!(lower("Dockerfile").as_deref(), Some("dockerfile"));
        assert_eq!(lower("x"), None);
    }
}
