// SPDX-License-Identifier: MIT
//! Whom files shall belong to, looked up in the container's own `/etc/passwd` and `/etc/group`. Foreign bytes: what is malformed is
//! passed over.

use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};

use hyperbox_core::seam::FilesError;
use rustix::fs::FileType;

use super::path;

/// How much of either file is read.
const LONGEST_FILE: u64 = 4 << 20;

/// Finds the ids of `user[:group]`; a user without a group has that of its line, or 0.
pub(super) fn find(root: BorrowedFd<'_>, text: &str) -> Result<(u32, u32), FilesError> {
    choose(text, &read(root, b"etc/passwd"), &read(root, b"etc/group"))
}

fn choose(text: &str, passwd: &str, group: &str) -> Result<(u32, u32), FilesError> {
    let (user, wish) = text.split_once(':').unwrap_or((text, ""));
    let line = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        (name == user || uid == user).then_some((uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?))
    });
    let (uid, gid) = match line {
        Some(ids) => ids,
        None => (number(user, "user", "passwd")?, 0),
    };
    if wish.is_empty() {
        return Ok((uid, gid));
    }
    let line = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, gid) = (fields.next()?, fields.nth(1)?);
        (name == wish).then_some(gid.parse::<u32>().ok()?)
    });
    Ok((uid, line.map_or_else(|| number(wish, "group", "group"), Ok)?))
}

/// An id of 2³²-1 means "leave it" to chown(2), so it is no id.
fn number(text: &str, what: &str, file: &str) -> Result<u32, FilesError> {
    let id = text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| FilesError::Refused {
        reason: format!("unable to find {what} {text}: no matching entries in {file} file"),
    })
}

fn read(root: BorrowedFd<'_>, name: &[u8]) -> String {
    let Ok(file) = path::open(root, name) else {
        return String::new();
    };
    let is_file =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let mut bytes = Vec::new();
    if is_file && let Ok(file) = std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        // What cannot be read names nobody.
        drop(file.take(LONGEST_FILE).read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:::\n";
        let group = "root:x:0:\nstaff:x:50:web\n";
        for (text, expected) in [
            ("web", Some((33, 34))),
            ("33", Some((33, 34))),
            ("web:staff", Some((33, 50))),
            ("web:7", Some((33, 7))),
            ("1234:77", Some((1234, 77))),
            ("1234", Some((1234, 0))),
            ("nobody", None),
            ("web:nobody", None),
            ("4294967295", None),
        ] {
            assert_eq!(choose(text, passwd, group).ok(), expected, "{text}");
        }
    }
}
