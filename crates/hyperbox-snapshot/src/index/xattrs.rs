// SPDX-License-Identifier: MIT
//! Which extended attributes a file may have: Linux's answers (`xattr(7)`, `fs/xattr.c`), for trees that are not on a disk. Pure.

use rustix::io::Errno;

/// `XATTR_NAME_MAX`.
const LONGEST_NAME: usize = 255;
/// What EROFS can say of a value's length.
const LONGEST_VALUE: usize = 65_535;
/// Who holds an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A directory.
    Directory,
    /// A plain file.
    File,
    /// A link, a device or a pipe.
    Other,
}

/// Tells whether the kernel would take an attribute: `OPNOTSUPP` and `PERM` as it says them.
pub(super) fn check(holder: Holder, key: &[u8], value: &[u8]) -> Result<(), Errno> {
    if key.is_empty() || key.len() > LONGEST_NAME {
        return Err(Errno::RANGE);
    }
    if value.len() > LONGEST_VALUE {
        return Err(Errno::TOOBIG);
    }
    let rest = |prefix: &[u8]| key.strip_prefix(prefix).map(<[u8]>::is_empty);
    if key == b"system.posix_acl_access" || key == b"system.posix_acl_default" {
        return check_acl(holder, key, value);
    }
    match (rest(b"user."), rest(b"trusted."), rest(b"security.")) {
        (Some(true), ..) | (_, Some(true), _) | (.., Some(true)) => Err(Errno::INVAL),
        (Some(false), ..) if holder == Holder::Other => Err(Errno::PERM),
        (.., Some(false)) if key == b"security.capability" => check_capability(value),
        (Some(false), ..) | (_, Some(false), _) | (.., Some(false)) => Ok(()),
        (None, None, None) => Err(Errno::OPNOTSUPP),
    }
}

/// A header of version 2 and entries of 8 bytes (`linux/posix_acl_xattr.h`).
fn check_acl(holder: Holder, key: &[u8], value: &[u8]) -> Result<(), Errno> {
    if holder == Holder::Other {
        return Err(Errno::OPNOTSUPP);
    }
    if key.ends_with(b"default") && holder != Holder::Directory {
        return Err(Errno::ACCESS);
    }
    match value.strip_prefix(&[2, 0, 0, 0]) {
        Some(entries) if entries.len().is_multiple_of(8) => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// Revisions 2 and 3, each of one length (`linux/capability.h`).
fn check_capability(value: &[u8]) -> Result<(), Errno> {
    match (value.get(3), value.len()) {
        (Some(2), 20) | (Some(3), 24) => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_answers() {
        use Holder::{Directory, File, Other};
        let acl: &[u8] = &[2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255];
        let capability = [&[1, 0, 0, 2][..], &[0; 16]].concat();
        type Case<'a> = (Holder, &'a [u8], &'a [u8], Result<(), Errno>);
        let cases: &[Case<'_>] = &[
            (File, b"user.a", b"", Ok(())),
            (Other, b"user.a", b"", Err(Errno::PERM)),
            (Other, b"trusted.a", b"x", Ok(())),
            (File, b"user.", b"x", Err(Errno::INVAL)),
            (File, b"unknown.a", b"x", Err(Errno::OPNOTSUPP)),
            (File, b"system.posix_acl_access", acl, Ok(())),
            (File, b"system.posix_acl_default", acl, Err(Errno::ACCESS)),
            (Directory, b"system.posix_acl_default", acl, Ok(())),
            (Other, b"system.posix_acl_access", acl, Err(Errno::OPNOTSUPP)),
            (File, b"system.posix_acl_access", b"x", Err(Errno::INVAL)),
            (File, b"security.capability", &capability, Ok(())),
            (File, b"security.capability", b"x", Err(Errno::INVAL)),
            (File, b"security.selinux", b"label", Ok(())),
            (File, &[b'u'; 256], b"", Err(Errno::RANGE)),
            (File, b"", b"", Err(Errno::RANGE)),
            (File, b"user.a", &[0; 65_536], Err(Errno::TOOBIG)),
        ];
        for (holder, key, value, expected) in cases {
            assert_eq!(check(*holder, key, value), *expected, "{}", key.escape_ascii());
        }
    }
}
