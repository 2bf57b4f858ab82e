// SPDX-License-Identifier: MIT
//! What COPY takes: sources resolved to places of trees, and what of each place is meant.
//!
//! The rules are BuildKit's (`docopy` in `solver/llbsolver/file/backend.go`, `ResolveWildcards` of tonistiigi/fsutil): links that a
//! source names are followed inside its tree, links below it are copied; a pattern that matches nothing copies nothing; `--exclude`
//! says what of a directory is left out, never that the source itself is.

use std::path::Path;
use std::sync::Arc;

use hyperbox_dockerfile::Ignore;

use super::pattern::{Pattern, is_pattern};
use crate::StepError;
use crate::context::path::{self, as_path, resolve_in};
use crate::context::{Entry, EntryKind, Tree, TreeError};

/// A place that is copied.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) tree: Arc<dyn Tree>,
    /// What is there, links followed.
    pub(super) entry: Entry,
    /// What it is called by who asked for it; empty for a root.
    pub(super) name: Vec<u8>,
}

/// Which part of a directory is meant. Patterns are those of `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) included: Option<Ignore>,
    excluded: Option<Ignore>,
}

impl Filter {
    /// Leaves out what patterns match.
    ///
    /// # Errors
    /// `InvalidArgument` for malformed patterns.
    pub(super) fn without(patterns: &[String]) -> Result<Self, StepError> {
        let excluded = if patterns.is_empty() {
            None
        } else {
            Some(parse(patterns)?)
        };
        Ok(Self {
            included: None,
            excluded,
        })
    }

    fn wants(&self, path: &[u8]) -> bool {
        let path = String::from_utf8_lossy(path);
        let matches = |ignore: &Ignore| ignore.excludes(&path);
        self.included.as_ref().is_none_or(matches) && !self.excluded.as_ref().is_some_and(matches)
    }
}

fn parse(patterns: &[String]) -> Result<Ignore, StepError> {
    let mut text = String::new();
    for pattern in patterns {
        let (sign, pattern) = match pattern.trim().strip_prefix('!') {
            Some(rest) => ("!", rest.trim()),
            None => ("", pattern.trim()),
        };
        if pattern.contains('\n') {
            return Err(StepError::invalid(format!("a pattern with a line end: {pattern:?}")));
        }
        // The slash keeps a pattern from being a comment, and means nothing.
        text.push_str(&format!("{sign}/{pattern}\n"));
    }
    Ignore::parse(&text).map_err(|error| StepError::invalid(error.to_string()))
}

/// Finds the places that a source names; with `parents`, also which part of them.
///
/// # Errors
/// `NotFound` for a path, or a match, that leads to nothing; `InvalidArgument` for malformed patterns.
pub(super) fn find(
    tree: &Arc<dyn Tree>,
    text: &str,
    parents: bool,
    filter: &Filter,
) -> Result<(Vec<Found>, Filter), StepError> {
    let mut filter = filter.clone();
    let mut text = text;
    if parents {
        let (root, pattern) = text.split_once("/./").unwrap_or(("/", text));
        let pattern = path::clean(pattern.as_bytes());
        filter.included = match pattern.as_slice() {
            b"" => None,
            pattern => Some(parse(&[String::from_utf8_lossy(pattern).into_owned()])?),
        };
        text = root;
    }
    let places = matches(tree.as_ref(), &path::clean(text.as_bytes()))?;
    let found = places.into_iter().map(|place| follow(tree, &place));
    Ok((found.collect::<Result<_, _>>()?, filter))
}

/// Says, in BuildKit's words, that nothing is at a path.
pub(super) fn missing(path: &[u8]) -> StepError {
    StepError::not_found(format!(
        "failed to compute cache key: {:?}: not found",
        path::shown(path)
    ))
}

pub(super) fn unreadable(path: &[u8], source: TreeError) -> StepError {
    StepError::Tree {
        doing: format!("cannot read {}: {source}", path::shown(path)),
        source,
    }
}

fn follow(tree: &Arc<dyn Tree>, place: &[u8]) -> Result<Found, StepError> {
    let failed = |error| unreadable(place, error);
    let end = resolve_in(tree.as_ref(), place).map_err(failed)?;
    let entry = tree.entry(&as_path(&end)).map_err(failed)?;
    Ok(Found {
        tree: Arc::clone(tree),
        entry: entry.ok_or_else(|| missing(place))?,
        name: path::split(place).1.to_vec(),
    })
}

fn matches(tree: &dyn Tree, text: &[u8]) -> Result<Vec<Vec<u8>>, StepError> {
    let names: Vec<&[u8]> = path::names(text).collect();
    let Some(first) = names.iter().position(|name| is_pattern(name)) else {
        return Ok(vec![text.to_vec()]);
    };
    let (plain, patterned) = names.split_at(first);
    let malformed = |_| {
        let text = String::from_utf8_lossy(text);
        StepError::invalid(format!("invalid includepatterns: [{text}]: syntax error in pattern"))
    };
    let pattern = Pattern::parse(&patterned.join(&b'/')).map_err(malformed)?;
    let failed = |error| unreadable(text, error);
    let base = resolve_in(tree, &plain.join(&b'/')).map_err(failed)?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    for entry in tree.walk(&as_path(&base)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let whole = path::bytes(&entry.path);
        let relative = relative(&base, whole);
        // What is below a match comes with it.
        let with_last = found.last().is_some_and(|last| {
            whole
                .strip_prefix(last.as_slice())
                .is_some_and(|rest| rest.starts_with(b"/"))
        });
        if !relative.is_empty() && !with_last && pattern.matches(relative) {
            found.push(whole.to_vec());
        }
    }
    Ok(found)
}

/// Returns a path as it is below another.
fn relative<'p>(base: &[u8], whole: &'p [u8]) -> &'p [u8] {
    let rest = whole.strip_prefix(base).unwrap_or(whole);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

impl Found {
    /// Visits what is meant of the place, directories before what is in them; paths are relative to the place. A directory that is not
    /// meant itself is visited when something in it is.
    ///
    /// # Errors
    /// Those of the tree and of the visitor.
    pub(super) fn visit(
        &self,
        filter: &Filter,
        mut visitor: impl FnMut(&[u8], &Entry) -> Result<(), StepError>,
    ) -> Result<(), StepError> {
        if self.entry.kind != EntryKind::Directory {
            return visitor(b"", &self.entry);
        }
        let base = path::bytes(&self.entry.path).to_vec();
        let failed = |error| unreadable(&base, error);
        let mut unmet: Vec<Entry> = Vec::new();
        for entry in self.tree.walk(&self.entry.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let relative = relative(&base, path::bytes(&entry.path)).to_vec();
            unmet.retain(|above| is_above(above, &entry.path));
            if relative.is_empty() || filter.wants(&relative) {
                for above in unmet.drain(..) {
                    visitor(self::relative(&base, path::bytes(&above.path)), &above)?;
                }
                visitor(&relative, &entry)?;
            } else if entry.kind == EntryKind::Directory {
                unmet.push(entry);
            }
        }
        Ok(())
    }
}

fn is_above(directory: &Entry, below: &Path) -> bool {
    below.starts_with(&directory.path)
}
