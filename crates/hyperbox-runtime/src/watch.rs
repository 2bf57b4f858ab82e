// SPDX-License-Identifier: MIT
//! Following a start from inside, for those who keep records of it or measure it.

use std::io;

use crate::cgroup::Cgroups;

/// What is known of a container while its first process still sets itself up.
#[derive(Debug, Clone, Copy)]
pub struct Born<'a> {
    /// The first process, in the caller's pid namespace.
    pub pid: u32,
    /// Its start time: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// Its groups, which it has joined.
    pub cgroups: &'a Cgroups,
}

/// A step of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The specification is understood, and the filter compiled.
    Planned,
    /// The root filesystem exists and the user is found in it.
    RootMounted,
    /// The cgroups exist with their limits.
    CgroupsMade,
    /// Everything that the first process needs is open.
    Prepared,
    /// The first process exists.
    Cloned,
    /// It is in its cgroups.
    CgroupsJoined,
    /// It has made its mounts and has become its user; what is left is the filter and the command.
    Ready,
    /// Its command runs.
    Executed,
}

/// Who follows a start.
pub trait Watch {
    /// Called once, while the first process makes its mounts: what is done here costs no time.
    ///
    /// # Errors
    /// Whatever makes the start pointless; it is undone then.
    fn born(&mut self, born: Born<'_>) -> io::Result<()>;

    /// Called after each step.
    fn passed(&mut self, step: Step);
}

/// Nobody follows.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn born(&mut self, _: Born<'_>) -> io::Result<()> {
        Ok(())
    }

    fn passed(&mut self, _: Step) {}
}
