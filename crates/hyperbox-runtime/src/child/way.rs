// SPDX-License-Identifier: MIT
//! Making a place that does not exist, by way of links that lead nowhere yet.
//!
//! `openat2(2)` follows a link only to something that exists. So the way is walked name by name, as the kernel would with the
//! container's root as `/`: links are read and put in front of what is left, and what is missing is made. Every step is looked up
//! without following any link, from the root: whoever replaces a directory by a link meanwhile gets `ELOOP`, and nothing outside
//! is ever touched.
//!
//! Runs in the child, so the text of both parts is on the stack.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::place::{Links, find, open};
use crate::plan::target::TargetKind;

/// The longest path (`PATH_MAX`), with its final zero byte.
const LONGEST: usize = 4096;

/// As many links as the kernel follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Makes what is missing on the way to `path`, and at its end a file or directory. Returns the place.
pub(super) fn make(root: BorrowedFd<'_>, path: &CStr, kind: TargetKind, links: Links) -> Result<OwnedFd, Errno> {
    let mut way = Way::new();
    way.lead(path.to_bytes())?;
    let mut followed = 0;
    while way.step()? {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let found = match open(root, way.here()?, flags, Links::Refuse) {
            Err(Errno::NOENT) => {
                way.make_here(root, kind)?;
                continue;
            }
            other => other?,
        };
        let status = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Symlink {
            followed += 1;
            if links == Links::Refuse || followed > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let mut text = [0_u8; LONGEST];
            let length = rustix::fs::readlinkat_raw(&found, c"", &mut text)?;
            way.back();
            way.lead(&text[..length])?;
        }
    }
    find(root, way.here()?, Links::Refuse)
}

/// What was walked, free of links and relative to the root, and what is left to walk.
struct Way {
    walked: [u8; LONGEST],
    walked_length: usize,
    /// Right-aligned: links are put in front.
    left: [u8; LONGEST],
    left_start: usize,
}

impl Way {
    fn new() -> Self {
        Self {
            walked: [0; LONGEST],
            walked_length: 0,
            left: [0; LONGEST],
            left_start: LONGEST,
        }
    }

    /// Puts a path in front of what is left; an absolute one starts again at the root.
    fn lead(&mut self, path: &[u8]) -> Result<(), Errno> {
        let start = self.left_start.checked_sub(path.len() + 1).ok_or(Errno::NAMETOOLONG)?;
        self.left[start..start + path.len()].copy_from_slice(path);
        self.left[start + path.len()] = b'/';
        self.left_start = start;
        if path.first() == Some(&b'/') {
            self.walked_length = 0;
        }
        Ok(())
    }

    /// Walks to the next name; `false` at the end.
    fn step(&mut self) -> Result<bool, Errno> {
        while self.left_start < LONGEST {
            let rest = &self.left[self.left_start..];
            let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let start = self.left_start;
            self.left_start = (start + length + 1).min(LONGEST);
            match &self.left[start..start + length] {
                b"" | b"." => {}
                b".." => self.back(),
                _ => {
                    self.forward(start, length)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn forward(&mut self, start: usize, length: usize) -> Result<(), Errno> {
        let mut end = self.walked_length;
        // One more for the final zero byte of `here`.
        if end + length + 2 > LONGEST {
            return Err(Errno::NAMETOOLONG);
        }
        if end > 0 {
            self.walked[end] = b'/';
            end += 1;
        }
        self.walked[end..end + length].copy_from_slice(&self.left[start..start + length]);
        self.walked_length = end + length;
        Ok(())
    }

    /// Goes up; the root is above itself.
    fn back(&mut self) {
        let walked = &self.walked[..self.walked_length];
        self.walked_length = walked.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    }

    /// Tells whether nothing but slashes and dots is left.
    fn is_last(&self) -> bool {
        self.left[self.left_start..]
            .split(|byte| *byte == b'/')
            .all(|name| matches!(name, b"" | b"."))
    }

    /// Returns where the way has led to. The root itself is no place to make anything at.
    fn here(&mut self) -> Result<&CStr, Errno> {
        if self.walked_length == 0 {
            return Err(Errno::INVAL);
        }
        self.walked[self.walked_length] = 0;
        CStr::from_bytes_until_nul(&self.walked).map_err(|_| Errno::INVAL)
    }

    /// Makes the missing name that the way has led to: what `kind` says at its end, a directory before.
    fn make_here(&mut self, root: BorrowedFd<'_>, kind: TargetKind) -> Result<(), Errno> {
        let (whole, kind) = (
            self.walked_length,
            if self.is_last() { kind } else { TargetKind::Directory },
        );
        self.back();
        let parent = match self.here() {
            Ok(path) => Some(open(root, path, OFlags::PATH | OFlags::DIRECTORY, Links::Refuse)?),
            Err(_) => None,
        };
        let name_start = if self.walked_length == 0 {
            0
        } else {
            self.walked_length + 1
        };
        self.walked_length = whole;
        if name_start > 0 {
            // `here` has ended the text where the parent ends.
            self.walked[name_start - 1] = b'/';
        }
        let above = parent.as_ref().map_or(root, AsFd::as_fd);
        self.here()?;
        let name = CStr::from_bytes_until_nul(&self.walked[name_start..]).map_err(|_| Errno::INVAL)?;
        match make_name(above, name, kind) {
            // Somebody was faster; the lookup at the end tells what it is.
            Err(Errno::EXIST) => Ok(()),
            other => other,
        }
    }
}

/// Makes a name that is missing in a directory. What is there already, links to nowhere included, is an error (`EEXIST`).
pub(super) fn make_name(above: BorrowedFd<'_>, name: &CStr, kind: TargetKind) -> Result<(), Errno> {
    match kind {
        TargetKind::Directory => rustix::fs::mkdirat(above, name, Mode::from(0o755)),
        TargetKind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
            rustix::fs::openat(above, name, flags, Mode::from(0o644)).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::symlink;

    use super::*;

    fn make_in(root: &std::path::Path, path: &str, kind: TargetKind, links: Links) -> Result<(), Errno> {
        let root = std::fs::File::open(root).unwrap();
        make(root.as_fd(), &CString::new(path).unwrap(), kind, links).map(drop)
    }

    #[test]
    fn links_to_nowhere_lead_inside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir(&root).unwrap();
        symlink("/nowhere/deep", root.join("absolute")).unwrap();
        symlink("../../../up", root.join("above")).unwrap();
        symlink("absolute/../beside", root.join("chain")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        for (path, kind, made) in [
            ("absolute", TargetKind::Directory, "nowhere/deep"),
            ("absolute/x/y", TargetKind::File, "nowhere/deep/x/y"),
            ("above", TargetKind::File, "up"),
            ("chain", TargetKind::Directory, "nowhere/beside"),
            ("plain/./deep//", TargetKind::Directory, "plain/deep"),
        ] {
            make_in(&root, path, kind, Links::Follow).unwrap();
            let found = std::fs::symlink_metadata(root.join(made)).unwrap();
            assert_eq!(found.is_dir(), kind == TargetKind::Directory, "{path}");
            assert_eq!(found.is_file(), kind == TargetKind::File, "{path}");
        }
        for (path, error) in [("a/x", Errno::LOOP), ("file/x", Errno::NOTDIR), ("..", Errno::INVAL)] {
            let result = make_in(&root, path, TargetKind::Directory, Links::Follow);
            assert_eq!(result.unwrap_err(), error, "{path}");
        }
        let refused = make_in(&root, "absolute", TargetKind::Directory, Links::Refuse);
        assert_eq!(refused.unwrap_err(), Errno::LOOP);
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "nothing outside");
    }

    #[test]
    fn paths_that_are_too_long_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let long = "x/".repeat(LONGEST / 2);
        let result = make_in(root.path(), &long, TargetKind::Directory, Links::Follow);
        assert_eq!(result.unwrap_err(), Errno::NAMETOOLONG);
    }
}
