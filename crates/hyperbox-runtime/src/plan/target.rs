// SPDX-License-Identifier: MIT
//! A place inside a container's root, prepared for a child that must not allocate. Pure.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What a missing mount point is created as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// One step of a path: everything up to it, and its own name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The path so far, relative to the root, such as `run/lock`.
    pub path: CString,
    /// The last name, such as `lock`.
    pub name: CString,
}

/// A place inside the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What to create it as.
    pub kind: TargetKind,
    /// Its path, step by step; never empty.
    pub steps: Vec<Step>,
    /// The path for messages, absolute in the container.
    pub shown: PathBuf,
}

impl Target {
    /// Prepares an absolute path. `..` is resolved by its text, as the OCI specification's "absolute path" allows none.
    /// Returns `None` for the root itself and for names with a zero byte.
    pub(crate) fn new(path: &Path, kind: TargetKind) -> Option<Self> {
        let shown = normalise(path);
        let mut steps: Vec<Step> = Vec::new();
        let mut so_far = Vec::new();
        for name in shown.iter().skip(1) {
            if !so_far.is_empty() {
                so_far.push(b'/');
            }
            so_far.extend_from_slice(name.as_bytes());
            steps.push(Step {
                path: c_string(OsStr::from_bytes(&so_far))?,
                name: c_string(name)?,
            });
        }
        (!steps.is_empty()).then_some(Self { kind, steps, shown })
    }

    /// Returns the path of the directory above; `None` for a place in the root itself.
    pub(crate) fn parent(&self) -> Option<&CString> {
        let above = self.steps.len().checked_sub(2)?;
        Some(&self.steps[above].path)
    }

    /// Returns the last step.
    pub(crate) fn last(&self) -> &Step {
        &self.steps[self.steps.len() - 1]
    }
}

/// Makes a C string; `None` when there is a zero byte in it.
pub(crate) fn c_string(text: impl AsRef<OsStr>) -> Option<CString> {
    CString::new(text.as_ref().as_bytes()).ok()
}

/// Makes a path absolute and free of `.` and `..`, by its text.
pub(crate) fn normalise(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_paths() {
        let target = Target::new(Path::new("/run/./a/../lock"), TargetKind::Directory).unwrap();
        let steps: Vec<_> = target
            .steps
            .iter()
            .map(|step| (step.path.to_str().unwrap(), step.name.to_str().unwrap()))
            .collect();
        assert_eq!(steps, [("run", "run"), ("run/lock", "lock")]);
        assert_eq!(target.shown, Path::new("/run/lock"));
        assert!(Target::new(Path::new("/.."), TargetKind::Directory).is_none());
        assert!(Target::new(Path::new("/a\0b"), TargetKind::File).is_none());
    }
}
