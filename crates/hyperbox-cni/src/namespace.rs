// SPDX-License-Identifier: MIT
//! How plugins find a network namespace that has no name.
//!
//! The engine holds namespaces by file descriptor; plugins want a path. `/proc/PID/fd/N` of the daemon is one: opening it opens the
//! namespace (proc(5)). It needs no mount, so nothing is left after a crash; the price is that the path is valid in this process and as
//! long as the descriptor is open only. A later daemon finds the namespace of a living container by what identifies it, device and inode
//! (namespaces(7)), among the namespaces of all processes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::fstat;
use serde::{Deserialize, Serialize};

/// What identifies a namespace while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// A namespace that is kept open while plugins use it.
#[derive(Debug)]
pub(crate) struct Namespace {
    descriptor: OwnedFd,
    identity: Identity,
}

impl Namespace {
    /// Keeps a namespace open by a descriptor of its own.
    pub(crate) fn of(descriptor: impl AsFd) -> io::Result<Self> {
        let descriptor = descriptor.as_fd().try_clone_to_owned()?;
        let status = fstat(&descriptor)?;
        let identity = Identity {
            device: status.st_dev,
            inode: status.st_ino,
        };
        Ok(Self { descriptor, identity })
    }

    /// Returns what identifies it.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns a path under which every process can open it as long as this value lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.descriptor.as_raw_fd())
    }
}

/// Finds the network namespaces that processes live in.
pub(crate) fn of_processes() -> BTreeMap<Identity, Namespace> {
    let mut found = BTreeMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().is_ok();
    for process in processes.filter(is_process) {
        let path = process.path().join("ns/net");
        // A process that ended meanwhile, or is a zombie, has none.
        let Ok(status) = std::fs::metadata(&path) else { continue };
        let identity = Identity {
            device: status.dev(),
            inode: status.ino(),
        };
        if let std::collections::btree_map::Entry::Vacant(vacant) = found.entry(identity)
            && let Ok(namespace) = File::open(&path).and_then(Namespace::of)
            // Between both looks the process may have moved.
            && namespace.identity == identity
        {
            vacant.insert(namespace);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_leads_to_the_namespace() {
        let namespace = Namespace::of(File::open("/proc/self/ns/net").unwrap()).unwrap();
        let again = Namespace::of(File::open(namespace.path()).unwrap()).unwrap();
        assert_eq!(again.identity(), namespace.identity());
        assert!(of_processes().contains_key(&namespace.identity()));
    }
}
