// SPDX-License-Identifier: MIT
//! `--chown`: whom files shall belong to, looked up in the root filesystem's own `/etc/passwd` and `/etc/group`.
//!
//! The rules are BuildKit's (`readUser` in `solver/llbsolver/file/user_linux.go`), which differ from those of processes: a number is
//! user and group at once, and a name that is not there is root. Foreign bytes: what is malformed is passed over.

use std::io::Read as _;

use crate::StepError;
use crate::context::path::{as_path, resolve_in};
use crate::context::{EntryKind, Tree, TreeError};

/// How much of either file is read.
const LONGEST_FILE: u64 = 4 << 20;

/// Tells whether somebody is called by a name, so that the root filesystem has to be looked at.
pub(super) fn needs_names(text: &str) -> bool {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    [user, group]
        .iter()
        .any(|part| !part.is_empty() && number(part).is_none())
}

/// Finds the ids of `user[:group]`.
///
/// # Errors
/// `InvalidArgument` for a name where there is no root filesystem, I/O classes.
pub(super) fn find(text: &str, root: Option<&dyn Tree>) -> Result<(u32, u32), StepError> {
    if !needs_names(text) {
        return Ok(choose(text, "", ""));
    }
    let Some(root) = root else {
        return Err(StepError::invalid(format!(
            "cannot find {text:?}: there is no root filesystem that could name users"
        )));
    };
    let read = |path: &[u8]| {
        read(root, path).map_err(|source| StepError::Tree {
            doing: format!("cannot find {text:?}"),
            source,
        })
    };
    Ok(choose(text, &read(b"etc/passwd")?, &read(b"etc/group")?))
}

fn choose(text: &str, passwd: &str, group: &str) -> (u32, u32) {
    let (user, wish) = match text.split_once(':') {
        Some((user, wish)) => (user, Some(wish)),
        None => (text, None),
    };
    let (uid, gid) = match number(user) {
        Some(id) => (id, id),
        None => find_user(user, passwd).unwrap_or((0, 0)),
    };
    let gid = match wish {
        None => gid,
        Some("") => 0,
        Some(wish) => number(wish).or_else(|| find_group(wish, group)).unwrap_or(gid),
    };
    (uid, gid)
}

fn find_user(name: &str, passwd: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (known, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        (known == name).then_some((number(uid)?, number(gid)?))
    })
}

fn find_group(name: &str, group: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (known, gid) = (fields.next()?, fields.nth(1)?);
        if known == name { number(gid) } else { None }
    })
}

/// An id of 2³²-1 means "leave it" to chown(2), so it is no id.
fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|id| *id != u32::MAX)
}

fn read(root: &dyn Tree, path: &[u8]) -> Result<String, TreeError> {
    let path = as_path(&resolve_in(root, path)?);
    let is_file = root
        .entry(&path)?
        .is_some_and(|entry| matches!(entry.kind, EntryKind::File { .. }));
    let mut bytes = Vec::new();
    if is_file {
        let read = root.open(&path)?.take(LONGEST_FILE).read_to_end(&mut bytes);
        read.map_err(|source| TreeError::Io {
            operation: "read",
            path,
            source,
        })?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_as_the_oracle_finds_them() {
        let passwd = "root:x:0:0::/:/x\nbroken\nweb:x:33:34::/:/x\n";
        let group = "root:x:0:\nstaff:x:50:\n";
        for (text, expected) in [
            ("web", (33, 34)),
            ("web:staff", (33, 50)),
            ("12:staff", (12, 50)),
            ("web:77", (33, 77)),
            ("55", (55, 55)),
            ("33", (33, 33)),
            ("web:", (33, 0)),
            (":50", (0, 50)),
            (":staff", (0, 50)),
            ("nobody", (0, 0)),
            ("web:nogrp", (33, 34)),
            ("4294967295", (0, 0)),
        ] {
            assert_eq!(choose(text, passwd, group), expected, "{text}");
        }
        assert!(needs_names("web:1") && needs_names("1:staff") && !needs_names("1:2") && !needs_names(":2"));
    }
}
