// SPDX-License-Identifier: MIT
//! The containers' run directories, seen from the daemon.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::TaskError;
use hyperbox_types::ContainerId;
use hyperbox_types::shim::{EXIT_FILE, ExitRecord, LAUNCH_FILE, LaunchRecord, SOCKET_NAME};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The directory that has one directory per container.
#[derive(Debug)]
pub(crate) struct RunDirectories {
    root: PathBuf,
}

impl RunDirectories {
    /// Opens the directory below the engine's run directory and makes it if it is missing.
    pub(crate) fn open(run_dir: &Path) -> Result<Self, TaskError> {
        let root = run_dir.join("containers");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&root)
            .map_err(|error| TaskError::io(format!("cannot make {}", root.display()), error))?;
        Ok(Self { root })
    }

    /// Returns a container's directory, which may not exist.
    pub(crate) fn of(&self, container: &ContainerId) -> RunDirectory {
        RunDirectory {
            path: self.root.join(container.as_str()),
        }
    }

    /// Lists the containers that have one.
    pub(crate) fn list(&self) -> Result<Vec<ContainerId>, TaskError> {
        let failed = |error| TaskError::io(format!("cannot list {}", self.root.display()), error);
        let mut containers = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            containers.extend(name.to_str().and_then(|name| ContainerId::parse(name).ok()));
        }
        containers.sort();
        Ok(containers)
    }
}

/// One container's directory.
#[derive(Debug, Clone)]
pub(crate) struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it; `AlreadyExists` when it is there.
    pub(crate) fn create(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.path)
    }

    /// Removes it with everything in it; removing what is not there succeeds.
    pub(crate) fn remove(&self) -> io::Result<()> {
        // A shim in its last moments may still remove a file of its own: then the removal is tried again.
        for _ in 0..3 {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.path.exists() => return Ok(()),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
                result => return result,
            }
        }
        std::fs::remove_dir_all(&self.path)
    }

    /// Tells whether it exists.
    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Tells whether no shim has done anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Reads what the shim has made, if it wrote that down.
    pub(crate) fn launch_record(&self) -> Option<LaunchRecord> {
        self.read(LAUNCH_FILE)
    }

    /// Reads how the container ended, if it did.
    pub(crate) fn exit_record(&self) -> Option<ExitRecord> {
        self.read(EXIT_FILE)
    }

    /// Connects to the shim.
    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        let directory = self.open()?;
        // Through the open directory, as a path may be longer than a socket address (unix(7), 108 bytes).
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
        UnixStream::connect(path).await
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = std::fs::read(self.path.join(name)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
