// SPDX-License-Identifier: MIT
//! Notices while the container runs that the kernel kills for want of memory.
//!
//! cgroup v2 wakes a poll of `memory.events` (`cgroup-v2.rst`, `POLLPRI`); v1 counts up an eventfd registered with
//! `cgroup.event_control` (`cgroup-v1/memory.rst`, section 9). Both only say "look again": v1 does so before the kill itself,
//! so the caller looks once more a little later. Where neither exists there is no watch, and the count at the end decides.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, PollFlags, eventfd};

/// A watch of one cgroup.
#[derive(Debug)]
pub(crate) enum OomWatch {
    /// `memory.events` of v2.
    Version2(File),
    /// An eventfd, and the file that it watches.
    Version1 {
        /// Counts events.
        events: OwnedFd,
        /// Has to stay open for as long as events are wanted.
        _control: File,
    },
}

impl OomWatch {
    /// Watches a cgroup that has a memory controller.
    pub(crate) fn open(cgroup: &Path) -> io::Result<Self> {
        Self::version2(cgroup).or_else(|_| Self::version1(cgroup))
    }

    /// Returns what to poll for.
    pub(crate) fn interest(&self) -> PollFlags {
        match self {
            Self::Version2(_) => PollFlags::PRI,
            Self::Version1 { .. } => PollFlags::IN,
        }
    }

    /// Makes the next poll wait for the next event.
    pub(crate) fn clear(&self) {
        let mut buffer = [0; 4096];
        // Only the side effect is wanted: reading from the start re-arms the poll of v2, and empties the counter of v1.
        let _ = match self {
            Self::Version2(file) => rustix::io::pread(file, &mut buffer, 0),
            Self::Version1 { events, .. } => rustix::io::read(events, &mut buffer),
        };
    }

    fn version2(directory: &Path) -> io::Result<Self> {
        let watch = Self::Version2(File::open(directory.join("memory.events"))?);
        watch.clear();
        Ok(watch)
    }

    fn version1(directory: &Path) -> io::Result<Self> {
        let control = File::open(directory.join("memory.oom_control"))?;
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let registration = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        std::fs::write(directory.join("cgroup.event_control"), registration)?;
        Ok(Self::Version1 {
            events,
            _control: control,
        })
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Version2(file) => file.as_fd(),
            Self::Version1 { events, .. } => events.as_fd(),
        }
    }
}
