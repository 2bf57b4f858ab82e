// SPDX-License-Identifier: MIT
//! The root filesystem as a detached mount: it exists, has a file descriptor, and is attached nowhere.
//!
//! The child attaches it inside its own mount namespace. Until then nothing on the machine can see it, and when the last
//! descriptor goes, also by a crash, it goes too. Kernels that take overlay layers one by one (`lowerdir+`, 6.5) are asked that
//! way; older ones get one option string, and where the 256 bytes of `fsconfig(2)` are too few for it, `mount(2)` in a
//! throw-away mount namespace.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hyperbox_sys::mount_attributes::{Attributes, Change, Propagation, Reach, change_mount};
use hyperbox_sys::mount_view::{self, Submounts};
use hyperbox_sys::spawn::{NewNamespaces, spawn};
use hyperbox_types::{RootMount, WritableLayer};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::error::StartError;
use crate::plan::target::c_string;

/// Mounts a root filesystem on `target` in the caller's own mount namespace. For runtimes that want a directory.
///
/// # Errors
/// Those of making the mount, and of attaching it.
pub fn mount_root(rootfs: &RootMount, target: &Path) -> Result<(), StartError> {
    let root = detached_root(rootfs)?;
    rustix::mount::move_mount(&root, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| StartError::system(format!("attach the root filesystem to {}", target.display()), error))
}

/// Makes the mount without attaching it anywhere.
pub(crate) fn detached_root(rootfs: &RootMount) -> Result<OwnedFd, StartError> {
    match rootfs {
        RootMount::Bind { source, read_only } => {
            let mut change = Change {
                propagation: Some(Propagation::Private),
                ..Change::default()
            };
            if *read_only {
                change.set = Attributes::READ_ONLY;
            }
            detached_bind(source, Reach::Tree, &change)
                .map_err(|error| StartError::system(format!("bind the root filesystem {}", source.display()), error))
        }
        RootMount::Overlay { lower, writable } => detached_overlay(lower, writable.as_ref())
            .map_err(|error| StartError::system("mount the overlay root filesystem", error)),
    }
}

/// Copies a mount (or a tree of them) without attaching it, and changes the copy.
pub(crate) fn detached_bind(source: &Path, reach: Reach, change: &Change) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if reach == Reach::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = match (rustix::mount::open_tree(CWD, source, flags), of_process(source)) {
        // It is in the mount namespace of another container, whose members alone may copy it.
        (Err(Errno::INVAL), Some((pid, path))) => mount_view::copy_from_process(pid, path, submounts(reach))?,
        (tree, _) => tree?,
    };
    if !change.is_empty() {
        change_mount(tree.as_fd(), reach, change, None)?;
    }
    Ok(tree)
}

/// Copies what is at a path beneath a source, however others rename and link things there meanwhile.
pub(crate) fn detached_beneath(source: &Path, path: &Path, reach: Reach, change: &Change) -> io::Result<OwnedFd> {
    let submounts = submounts(reach);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, source, flags, Mode::empty())?;
    let tree = match mount_view::copy_beneath(&directory, path, submounts) {
        // It is in the mount namespace of another container.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            mount_view::part_of(detached_bind(source, reach, &Change::default())?, path, submounts)?
        }
        tree => tree?,
    };
    if !change.is_empty() {
        change_mount(tree.as_fd(), reach, change, None)?;
    }
    Ok(tree)
}

/// Mounts directories, the uppermost first, over each other without attaching them; of that, what is at a path.
pub(crate) fn detached_layers(lower: &[PathBuf], path: Option<&Path>, change: &Change) -> io::Result<OwnedFd> {
    let whole = detached_overlay(lower, None)?;
    let tree = match path {
        Some(path) => mount_view::part_of(whole, path, Submounts::Included)?,
        None => whole,
    };
    if !change.is_empty() {
        change_mount(tree.as_fd(), Reach::Tree, change, None)?;
    }
    Ok(tree)
}

fn submounts(reach: Reach) -> Submounts {
    match reach {
        Reach::Tree => Submounts::Included,
        Reach::Mount => Submounts::LeftOut,
    }
}

/// Returns the process and the path in its root that `/proc/PID/root/PATH` means.
fn of_process(source: &Path) -> Option<(u32, &Path)> {
    let mut parts = source.strip_prefix("/proc").ok()?.components();
    let pid = parts.next()?.as_os_str().to_str()?.parse().ok()?;
    let root = parts.next()?.as_os_str() == "root";
    root.then_some((pid, parts.as_path()))
}

fn detached_overlay(lower: &[PathBuf], writable: Option<&WritableLayer>) -> io::Result<OwnedFd> {
    if lower.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an overlay needs a layer"));
    }
    if lower.len() == 1 && writable.is_none() {
        // overlayfs refuses a single layer without a writable one; a read-only view of it is the same thing.
        let change = Change {
            set: Attributes::READ_ONLY,
            propagation: Some(Propagation::Private),
            ..Change::default()
        };
        return detached_bind(&lower[0], Reach::Tree, &change);
    }
    match overlay_by_layers(lower, writable) {
        Err(Errno::INVAL | Errno::NOSYS) => match overlay_by_string(lower, writable) {
            Err(Errno::INVAL | Errno::NOSYS) => overlay_by_mount(lower, writable),
            other => Ok(other?),
        },
        other => Ok(other?),
    }
}

fn overlay_by_layers(lower: &[PathBuf], writable: Option<&WritableLayer>) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in lower {
        rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir+", layer)?;
    }
    finish_overlay(&context, writable)
}

fn overlay_by_string(lower: &[PathBuf], writable: Option<&WritableLayer>) -> Result<OwnedFd, Errno> {
    let joined = joined_layers(lower);
    if joined.len() > 255 {
        return Err(Errno::INVAL);
    }
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir", joined.as_os_str())?;
    finish_overlay(&context, writable)
}

fn finish_overlay(context: &OwnedFd, writable: Option<&WritableLayer>) -> Result<OwnedFd, Errno> {
    let mut attributes = MountAttrFlags::empty();
    if let Some(writable) = writable {
        if writable.volatile {
            forget_volatile(writable)?;
            // Kernels before 5.10 do not know it: then the unmount writes to the disk what nobody will read.
            match rustix::mount::fsconfig_set_flag(context.as_fd(), "volatile") {
                Err(Errno::INVAL) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        rustix::mount::fsconfig_set_string(context.as_fd(), "upperdir", &writable.upper)?;
        rustix::mount::fsconfig_set_string(context.as_fd(), "workdir", &writable.work)?;
    } else {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", "overlay")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Allows what was mounted with `volatile` to be mounted again. The kernel leaves a mark so that nobody trusts it after a crash of
/// the machine (overlayfs.rst, "Volatile mount"); the engine removes such containers then instead of starting them.
fn forget_volatile(writable: &WritableLayer) -> Result<(), Errno> {
    let incompatible = writable.work.join("work/incompat");
    let volatile = incompatible.join("volatile");
    for (path, flags) in [
        (volatile.join("dirty"), AtFlags::empty()),
        (volatile, AtFlags::REMOVEDIR),
        (incompatible, AtFlags::REMOVEDIR),
    ] {
        match rustix::fs::unlinkat(CWD, &path, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Joins layers with colons, escaping those (and backslashes) in names as overlayfs reads them.
fn joined_layers(lower: &[PathBuf]) -> OsString {
    let mut joined = Vec::new();
    for layer in lower {
        if !joined.is_empty() {
            joined.push(b':');
        }
        for byte in layer.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\') {
                joined.push(b'\\');
            }
            joined.push(*byte);
        }
    }
    std::os::unix::ffi::OsStringExt::from_vec(joined)
}

/// A helper process mounts the overlay over its own view of `/proc` in a private namespace and hands a detached copy back.
fn overlay_by_mount(lower: &[PathBuf], writable: Option<&WritableLayer>) -> io::Result<OwnedFd> {
    let data = overlay_data(lower, writable)?;
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let helper = spawn(NewNamespaces::MOUNT, None, || {
        match mount_and_clone(&data, writable.is_none()) {
            Ok(tree) => u8::from(crate::report::send_descriptor(theirs.as_fd(), tree.as_fd()).is_err()),
            Err(error) => u8::try_from(error.raw_os_error()).unwrap_or(1),
        }
    })?;
    drop(theirs);
    let received = crate::report::receive_descriptor(ours.as_fd());
    let status = waitid(WaitId::PidFd(helper.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    if let Some(tree) = received? {
        return Ok(tree);
    }
    let code = status
        .and_then(|status| status.exit_status())
        .unwrap_or(Errno::IO.raw_os_error());
    Err(io::Error::from_raw_os_error(code))
}

fn overlay_data(lower: &[PathBuf], writable: Option<&WritableLayer>) -> io::Result<CString> {
    let mut data = OsString::from("lowerdir=");
    data.push(without_commas(&joined_layers(lower)));
    if let Some(writable) = writable {
        for (key, directory) in [(",upperdir=", &writable.upper), (",workdir=", &writable.work)] {
            data.push(key);
            data.push(without_commas(&joined_layers(std::slice::from_ref(directory))));
        }
    }
    c_string(&data).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// In the one string of `mount(2)` a comma would end the option.
fn without_commas(text: &OsStr) -> OsString {
    let mut escaped = Vec::new();
    for byte in text.as_bytes() {
        if *byte == b',' {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    std::os::unix::ffi::OsStringExt::from_vec(escaped)
}

fn mount_and_clone(data: &CString, read_only: bool) -> Result<OwnedFd, Errno> {
    use rustix::mount::{MountFlags, MountPropagationFlags};
    let mut flags = MountFlags::empty();
    if read_only {
        flags |= MountFlags::RDONLY;
    }
    rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    rustix::mount::mount(c"overlay", c"/proc", c"overlay", flags, data.as_c_str())?;
    rustix::mount::open_tree(
        CWD,
        c"/proc",
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All three ways of mounting show the same; the machine would choose the first.
    #[test]
    fn privileged_older_kernels_are_served() {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: run it with `sudo`"
        );
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let layer = |name: &str| {
            let layer = directory.path().join(name);
            std::fs::create_dir(&layer).unwrap();
            std::fs::write(layer.join("top"), name).unwrap();
            layer
        };
        let lower = [layer("a:1"), layer("b,2"), layer("c 3")];
        let writable = WritableLayer {
            upper: directory.path().join("upper"),
            work: directory.path().join("work"),
            volatile: false,
        };
        std::fs::create_dir(&writable.upper).unwrap();
        for mount in [
            overlay_by_layers(&lower, None).unwrap(),
            overlay_by_string(&lower, None).unwrap(),
            overlay_by_mount(&lower, None).unwrap(),
        ] {
            let path = format!("/proc/self/fd/{}/top", std::os::fd::AsRawFd::as_raw_fd(&mount));
            assert_eq!(std::fs::read_to_string(path).unwrap(), "a:1");
        }
        for way in [0, 1, 2] {
            drop(std::fs::remove_dir_all(&writable.work));
            std::fs::create_dir(&writable.work).unwrap();
            let mount = match way {
                0 => overlay_by_layers(&lower, Some(&writable)).unwrap(),
                1 => overlay_by_string(&lower, Some(&writable)).unwrap(),
                _ => overlay_by_mount(&lower, Some(&writable)).unwrap(),
            };
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mount));
            std::fs::write(format!("{path}/new{way}"), "x").unwrap();
            assert!(writable.upper.join(format!("new{way}")).exists());
        }
        let missing = overlay_by_mount(&["/no/such".into(), "/layer".into()], None).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(2));
    }

    #[test]
    fn privileged_a_volatile_layer_is_mounted_again() {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: run it with `sudo`"
        );
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let made = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let lower = [made("lower")];
        let writable = WritableLayer {
            upper: made("upper"),
            work: made("work"),
            volatile: true,
        };
        for round in ["first", "second"] {
            let mount = overlay_by_layers(&lower, Some(&writable)).unwrap();
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mount));
            std::fs::write(format!("{path}/{round}"), round).unwrap();
            assert!(writable.work.join("work/incompat/volatile").is_dir());
        }
        assert!(writable.upper.join("first").exists() && writable.upper.join("second").exists());
    }

    #[test]
    fn layer_names_are_escaped() {
        assert_eq!(joined_layers(&["/a:b".into(), "/c\\d".into()]), "/a\\:b:/c\\\\d");
    }
}
