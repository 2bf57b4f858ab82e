// SPDX-License-Identifier: MIT
//! A running container, and more processes in it.
//!
//! Dropping a [`Container`] or [`Process`] does nothing to its processes. The caller is their parent and reaps them; the
//! cgroups are removed by [`Cgroups::remove`] once all processes have ended.
//!
//! A container keeps its mount namespace open: otherwise the last process to leave it would spend half of its exit on taking
//! the mounts down, and the exit would be seen that much later. The namespace goes when the container is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::pidfd::send_signal;
use hyperbox_sys::spawn::{NewNamespaces, Spawned, spawn};
use hyperbox_types::Signal;
use hyperbox_types::shim::UserSpec;
use rustix::fs::{Mode, OFlags};

use crate::cgroup::Cgroups;
use crate::child::{self, Entry, Job};
use crate::error::StartError;
use crate::hold::Hold;
use crate::plan::namespaces::NamespacePlan;
use crate::plan::process::{ProcessPlan, apparmor_enabled};
use crate::report;
use crate::seccomp::Filter;
use crate::start::{OpenStreams, StdioPlan, adjust_oom_score, in_pid_namespace, listen};
use crate::user::resolve_user;

/// A running container.
#[derive(Debug)]
pub struct Container {
    init: Process,
    start_time: u64,
    cgroups: Cgroups,
    filter: Option<Filter>,
    namespaces: NewNamespaces,
    /// See the module.
    _mounts: Option<OwnedFd>,
}

/// Another process to start in a container.
#[derive(Debug)]
pub struct ExecRequest {
    /// The OCI process. The numbers of its `user` are not looked at.
    pub process: oci_spec::runtime::Process,
    /// Whom to run as.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: StdioPlan,
}

/// A process in a container, a child of the caller.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
}

/// What of a first process has to be asked while it surely lives.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) start_time: u64,
    mounts: Option<OwnedFd>,
}

impl Identity {
    /// Asks for that of a process that was cloned into these new namespaces.
    pub(crate) fn of(pid: u32, new: NewNamespaces) -> Self {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = || rustix::fs::open(format!("/proc/{pid}/ns/mnt"), flags, Mode::empty()).ok();
        Self {
            start_time: start_time(pid).unwrap_or(0),
            mounts: new.contains(NewNamespaces::MOUNT).then(mounts).flatten(),
        }
    }
}

impl Process {
    pub(crate) fn new(pid: u32, pidfd: OwnedFd, terminal: Option<OwnedFd>) -> Self {
        Self { pid, pidfd, terminal }
    }

    /// Returns its id in the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a handle that becomes readable when it ends and never means another process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Hands over the master side of its terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `ESRCH` when it has ended and was reaped.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        send_signal(self.pidfd.as_fd(), signal)
    }
}

impl Container {
    pub(crate) fn new(
        spawned: Spawned,
        identity: Identity,
        terminal: Option<OwnedFd>,
        cgroups: Cgroups,
        filter: Option<Filter>,
        namespaces: &NamespacePlan,
    ) -> Self {
        let kinds = [
            NewNamespaces::MOUNT,
            NewNamespaces::UTS,
            NewNamespaces::IPC,
            NewNamespaces::USER,
            NewNamespaces::PID,
            NewNamespaces::NETWORK,
            NewNamespaces::CGROUP,
        ];
        let separate = kinds
            .into_iter()
            .filter(|kind| {
                namespaces.separates(*kind) || (*kind == NewNamespaces::NETWORK && namespaces.network_is_separate())
            })
            .fold(NewNamespaces::default(), NewNamespaces::with);
        Self {
            _mounts: identity.mounts,
            start_time: identity.start_time,
            init: Process::from_spawned(spawned, terminal),
            cgroups,
            filter,
            namespaces: separate,
        }
    }

    /// Returns the id of the first process in the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        self.init.pid
    }

    /// Returns a handle of the first process, which becomes readable when it ends.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.init.pidfd.as_fd()
    }

    /// Returns the start time of the first process: field 22 of `/proc/PID/stat`.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Hands over the master side of the terminal, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.init.take_terminal()
    }

    /// Returns the cgroups.
    pub fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// Sends a signal to the first process.
    ///
    /// # Errors
    /// `ESRCH` when it has ended and was reaped.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.init.signal(signal)
    }

    /// Sends a signal to every process of the container.
    ///
    /// # Errors
    /// The processes cannot be listed, or one cannot be signalled; all are tried.
    pub fn signal_all(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::KILL && !self.cgroups.paths().is_empty() {
            return self.cgroups.kill_all().map_err(io::Error::other);
        }
        if self.cgroups.paths().is_empty() {
            return self.signal(signal);
        }
        let mut result = Ok(());
        for pid in self.cgroups.processes().map_err(io::Error::other)? {
            let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) else {
                continue;
            };
            // Through a handle, so that a number that is given anew meanwhile is noticed as "no such process" at worst.
            let sent = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
                .map_err(io::Error::from)
                .and_then(|pidfd| send_signal(pidfd.as_fd(), signal));
            match sent {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                    result = Err(error);
                }
                _ => {}
            }
        }
        result
    }

    /// Starts another process in the container. Returns once `execve(2)` has succeeded.
    ///
    /// # Errors
    /// Anything that kept the command from running; the process is gone then.
    pub fn exec(&self, request: ExecRequest) -> Result<Process, StartError> {
        let ExecRequest { process, user, stdio } = request;
        let root = self.open_root()?;
        let user = resolve_user(root.as_fd(), &user)?;
        drop(root);
        let mut process = ProcessPlan::new(&process, &user)?;
        if process.apparmor.is_some() && !apparmor_enabled() {
            process.apparmor = None;
        }
        let streams = OpenStreams::new(stdio)?;
        let (ours, theirs) = report::pair().map_err(|error| StartError::system("make a socket pair", error))?;
        let job = Job {
            socket: theirs.as_fd(),
            entry: Entry::Join {
                init: self.init.pidfd.as_fd(),
                namespaces: self.namespaces.without(NewNamespaces::PID),
            },
            process: &process,
            filter: self.filter.as_ref(),
            streams: streams.borrow(),
        };
        let into = self.cgroups.open_version_two()?;
        let pid_namespace = self.pid_namespace()?;
        let spawned = in_pid_namespace(pid_namespace.as_ref().map(AsFd::as_fd), || {
            spawn(NewNamespaces::default(), into.as_ref().map(AsFd::as_fd), || {
                child::run(&job)
            })
        })
        .map_err(|error| StartError::system("clone a process into the container", error))?;
        drop(theirs);
        let (pid, born) = (spawned.pid, spawned.in_cgroup);
        let hold = Hold::process_only(spawned);
        adjust_oom_score(pid, &process)?;
        self.cgroups.join(pid, born)?;
        report::send_go(ours.as_fd());
        let terminal = listen(ours.as_fd(), &process, None, || {})?;
        Ok(Process::from_spawned(hold.release_process(), terminal))
    }

    /// Opens the root directory as the first process sees it.
    fn open_root(&self) -> Result<OwnedFd, StartError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = format!("/proc/{}/root", self.init.pid);
        rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| StartError::system("open the root of the container", error))
    }

    fn pid_namespace(&self) -> Result<Option<OwnedFd>, StartError> {
        if !self.namespaces.contains(NewNamespaces::PID) {
            return Ok(None);
        }
        let path = format!("/proc/{}/ns/pid", self.init.pid);
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map(Some)
            .map_err(|error| StartError::system("open the pid namespace of the container", error))
    }
}

/// Reads field 22 of `/proc/PID/stat`. The second field is a name in parentheses that may contain anything.
fn start_time(pid: u32) -> Option<u64> {
    parse_start_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_comes_after_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 123 4";
        assert_eq!(parse_start_time(stat), Some(987_654));
    }
}
