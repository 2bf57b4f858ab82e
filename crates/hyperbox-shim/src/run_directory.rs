// SPDX-License-Identifier: MIT
//! The container's run directory: socket, launch record and exit record.
//!
//! Everything goes through one open directory, so a long path is no problem for `sun_path` (`unix(7)`, 108 bytes) and a directory
//! that was removed meanwhile is not made again. Records appear by rename: whole or not at all.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;

/// An open run directory.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    directory: OwnedFd,
    path: PathBuf,
}

impl RunDirectory {
    /// Opens an existing directory.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            directory: rustix::fs::open(path, flags, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a short path of something in it, valid in every process while this one lives.
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        format!("/proc/{}/fd/{}/{name}", std::process::id(), self.directory.as_raw_fd()).into()
    }

    /// Makes a listening socket that only root may connect to.
    pub(crate) fn listen(&self, name: &str) -> io::Result<OwnedFd> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        self.remove(name)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(self.short_path(name))?)?;
        // Nobody can connect before the socket listens.
        rustix::fs::chmodat(&self.directory, name, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        rustix::net::listen(&socket, 128)?;
        Ok(socket)
    }

    /// Writes a record as JSON.
    pub(crate) fn write_record(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        let temporary = format!(".{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let count = rustix::io::write(&file, rest)?;
            rest = &rest[count..];
        }
        Ok(rustix::fs::renameat(
            &self.directory,
            &temporary,
            &self.directory,
            name,
        )?)
    }

    /// Removes a file; removing what is not there succeeds.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for RunDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
