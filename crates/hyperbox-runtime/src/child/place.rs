// SPDX-License-Identifier: MIT
//! Finding and making places inside a root that a stranger filled.
//!
//! Every lookup is one `openat2(2)` with `RESOLVE_IN_ROOT`: symbolic links and `..` are followed as if the root were `/`, so
//! none leads out, also when somebody changes them meanwhile (the class of CVE-2021-30465). What is found is a descriptor, and
//! it is the descriptor that is mounted on.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::way;
use crate::plan::target::{Target, TargetKind};

/// How often a lookup that raced with a rename is repeated; the kernel asks for it with `EAGAIN`.
const ATTEMPTS: usize = 32;

/// Whether symbolic links are followed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Inside the root.
    Follow,
    /// Not at all.
    Refuse,
}

/// Opens what is at `path` below `root`, as a place (`O_PATH`).
pub(super) fn find(root: BorrowedFd<'_>, path: &CStr, links: Links) -> Result<OwnedFd, Errno> {
    open(root, path, OFlags::PATH, links)
}

/// Opens what is at `path` below `root`.
pub(super) fn open(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, links: Links) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refuse {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let mut result = Err(Errno::AGAIN);
    for _ in 0..ATTEMPTS {
        result = rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        if !matches!(result, Err(Errno::AGAIN)) {
            break;
        }
    }
    result
}

/// Opens a place, and makes it (and the directories above) when it is missing. A link to nowhere is followed to where it would
/// lead inside the root, and the place is made there, as Docker does.
pub(super) fn find_or_make(root: BorrowedFd<'_>, target: &Target, links: Links) -> Result<OwnedFd, Errno> {
    let path = &target.last().path;
    match find(root, path, links) {
        Err(Errno::NOENT) => match make_last(root, target) {
            Ok(()) => find(root, path, Links::Refuse),
            // Something else is missing, or there are links on the way.
            Err(_) => way::make(root, path, target.kind, links),
        },
        other => other,
    }
}

/// Makes the usual missing place: only its last name is missing, and no link is on the way.
fn make_last(root: BorrowedFd<'_>, target: &Target) -> Result<(), Errno> {
    let above = match target.parent() {
        Some(path) => Some(open(root, path, OFlags::PATH | OFlags::DIRECTORY, Links::Refuse)?),
        None => None,
    };
    let above = above.as_ref().map_or(root, AsFd::as_fd);
    way::make_name(above, &target.last().name, target.kind)
}

/// Opens the directory above a place, making what is missing. `None` means the root itself.
pub(super) fn make_parent(root: BorrowedFd<'_>, target: &Target, links: Links) -> Result<Option<OwnedFd>, Errno> {
    let Some(path) = target.parent() else {
        return Ok(None);
    };
    match open(root, path, OFlags::PATH | OFlags::DIRECTORY, links) {
        Err(Errno::NOENT) => way::make(root, path, TargetKind::Directory, links).map(Some),
        other => other.map(Some),
    }
}

/// Returns whether a place is a directory.
pub(super) fn is_directory(place: BorrowedFd<'_>) -> Result<bool, Errno> {
    let status = rustix::fs::statat(place, c"", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(status.st_mode) == FileType::Directory)
}

/// The path of an open descriptor in `/proc/self/fd`, built without allocating.
#[derive(Debug)]
pub(super) struct DescriptorPath {
    bytes: [u8; 32],
}

impl DescriptorPath {
    /// Writes the path down.
    pub(super) fn new(descriptor: BorrowedFd<'_>) -> Self {
        let mut bytes = [0; 32];
        let prefix = b"/proc/self/fd/";
        bytes[..prefix.len()].copy_from_slice(prefix);
        let mut digits = [0_u8; 10];
        let mut rest = descriptor.as_raw_fd().unsigned_abs();
        let mut count = 0;
        loop {
            digits[count] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            count += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        for (place, digit) in bytes[prefix.len()..].iter_mut().zip(digits[..count].iter().rev()) {
            *place = *digit;
        }
        Self { bytes }
    }

    /// Returns it as a C string.
    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"/dev/null/none")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_paths() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let path = DescriptorPath::new(std::os::fd::AsFd::as_fd(&file));
        assert_eq!(
            path.as_c_str().to_str().unwrap(),
            format!("/proc/self/fd/{}", file.as_raw_fd())
        );
        assert_eq!(
            std::fs::read_link(path.as_c_str().to_str().unwrap()).unwrap(),
            std::path::Path::new("/dev/null")
        );
    }
}
