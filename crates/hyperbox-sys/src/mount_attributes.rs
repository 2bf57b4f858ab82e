// SPDX-License-Identifier: MIT
//! `mount_setattr(2)`: attributes and propagation of a mount, or of a whole tree, in one step.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attributes of a mount (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u64);

impl Attributes {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Refuses writes.
    pub const READ_ONLY: Self = Self(0x1);
    /// Ignores set-user-id bits and file capabilities.
    pub const NO_SUID: Self = Self(0x2);
    /// Refuses to open devices.
    pub const NO_DEV: Self = Self(0x4);
    /// Refuses to execute.
    pub const NO_EXEC: Self = Self(0x8);
    /// All bits of the access-time policy; to be cleared before one of them is set.
    pub const ATIME_POLICY: Self = Self(0x70);
    /// Never updates access times.
    pub const NO_ATIME: Self = Self(0x10);
    /// Always updates access times.
    pub const STRICT_ATIME: Self = Self(0x20);
    /// Does not update access times of directories.
    pub const NO_DIR_ATIME: Self = Self(0x80);
    /// Does not follow symbolic links.
    pub const NO_SYMLINK_FOLLOW: Self = Self(0x20_0000);
    /// Maps owners by a user namespace.
    pub const ID_MAPPED: Self = Self(0x10_0000);

    /// Returns these and those of `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether any bit is shared.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How mount events travel between copies of a mount (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the original only.
    Slave,
    /// Both ways.
    Shared,
    /// Not at all, and the mount cannot be bound again.
    Unbindable,
}

/// What to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Attributes to set.
    pub set: Attributes,
    /// Attributes to clear, before the others are set.
    pub clear: Attributes,
    /// The new propagation.
    pub propagation: Option<Propagation>,
}

impl Change {
    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.clear.is_empty() && self.propagation.is_none()
    }
}

/// Which mounts to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount itself.
    Mount,
    /// The mount and all below it.
    Tree,
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes the mount that `mount` refers to. `user_namespace` is for [`Attributes::ID_MAPPED`].
///
/// # Errors
/// Those of `mount_setattr(2)` (kernel 5.12). With [`Reach::Tree`] either all mounts change or none.
pub fn change_mount(
    mount: BorrowedFd<'_>,
    reach: Reach,
    change: &Change,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let attributes = MountAttributes {
        set: change.set.0,
        clear: change.clear.0,
        propagation: change.propagation.map_or(0, |propagation| match propagation {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        }),
        userns_fd: user_namespace.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    const AT_RECURSIVE: libc::c_int = 0x8000;
    let flags = libc::AT_EMPTY_PATH | if reach == Reach::Tree { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure has the kernel's layout and its size is passed; the path is a live empty string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
