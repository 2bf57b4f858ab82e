// SPDX-License-Identifier: MIT
//! The child's side: from the clone to `execve(2)`.
//!
//! Everything here runs in a copy of the shim with whatever threads it had gone: no allocation, no lock, nothing of the C
//! library that keeps books. All strings, descriptors and programs were prepared by the parent; the child only borrows them and
//! never returns to code that would drop them. Order matters everywhere, and each step says why it stands where it does.
//!
//! The descriptors of the machine that the child still has (mount sources, sockets of the shim) are closed before the working
//! directory is entered and the command looked up, so that neither can lead back to the host through `/proc/self/fd`
//! (CVE-2024-21626). The process is not dumpable until then, so that nothing in a container it joins can reach the shim's
//! program through `/proc/PID/exe` (CVE-2019-5736).

mod become_user;
mod command;
mod devices;
mod enter;
mod masking;
mod mounting;
mod place;
mod terminal;
mod way;

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use hyperbox_sys::mount_attributes::{Propagation, Reach};
use hyperbox_sys::spawn::NewNamespaces;
use hyperbox_types::run::TerminalSize;
use rustix::mount::MountFlags;

use crate::plan::Plan;
use crate::plan::process::ProcessPlan;
use crate::plan::target::Target;
use crate::report::{self, Failure};
use crate::seccomp::Filter;

/// What a child is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Its end of the report channel.
    pub socket: BorrowedFd<'a>,
    /// How it gets into the container.
    pub entry: Entry<'a>,
    /// What it becomes there.
    pub process: &'a ProcessPlan,
    /// The system call filter, if any.
    pub filter: Option<&'a Filter>,
    /// Its standard streams.
    pub streams: Streams<'a>,
}

/// How a child gets into a container.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry<'a> {
    /// It is the first: it makes the container around itself.
    Create(&'a ContainerSetup),
    /// It joins the namespaces of the first process.
    Join {
        /// The first process.
        init: BorrowedFd<'a>,
        /// Which of its namespaces differ from the shim's; the pid namespace is joined by the parent.
        namespaces: NewNamespaces,
    },
}

/// The standard streams of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Streams<'a> {
    /// These descriptors, none of them below 3.
    Files([BorrowedFd<'a>; 3]),
    /// A new terminal of the container, of this size.
    Terminal(TerminalSize),
}

/// Everything that the first process of a container needs, made by the parent.
#[derive(Debug)]
pub(crate) struct ContainerSetup {
    /// The decisions.
    pub plan: Plan,
    /// Namespaces to join, opened.
    pub joined: Vec<OwnedFd>,
    /// The root filesystem, not attached yet.
    pub root: OwnedFd,
    /// Mounts, in order.
    pub mounts: Vec<ChildMount>,
    /// Set when device nodes cannot be made: copies of the host's, in the order of the plan's devices.
    pub bound_devices: Option<Vec<OwnedFd>>,
    /// Where a terminal is shown as the console.
    pub console: Target,
}

/// One mount, ready to be made.
#[derive(Debug)]
pub(crate) struct ChildMount {
    /// Where.
    pub target: Target,
    /// What.
    pub action: MountAction,
    /// Number of the mount in the specification, for messages.
    pub index: usize,
}

/// What a child does for a mount.
#[derive(Debug)]
pub(crate) enum MountAction {
    /// Attaches a tree that was copied (and made read-only and so on) beforehand.
    Attach(OwnedFd),
    /// Mounts a new file system.
    FileSystem(FileSystem),
    /// Makes a symbolic link to this text.
    Link(CString),
}

/// A new file system.
#[derive(Debug)]
pub(crate) struct FileSystem {
    /// Its type.
    pub kind: CString,
    /// Its source.
    pub source: CString,
    /// Flags for `mount(2)`.
    pub flags: MountFlags,
    /// Its own options.
    pub data: CString,
    /// Refuses symbolic links on the way to the mount point. For `/proc` and `/sys`, whose masking a link could evade.
    pub no_links: bool,
    /// A tmpfs without a mode takes that of the directory it covers.
    pub inherit_mode: bool,
    /// Propagation, when one was asked for.
    pub propagation: Option<(Propagation, Reach)>,
}

/// Runs in the child. Returns only on failure, with the exit code of the process.
pub(crate) fn run(job: &Job<'_>) -> u8 {
    let Err(failure) = steps(job);
    report::send_failure(job.socket, failure);
    127
}

fn steps(job: &Job<'_>) -> Result<Infallible, Failure> {
    let terminal = match job.entry {
        Entry::Create(setup) => enter::create(job, setup)?,
        Entry::Join { init, namespaces } => enter::join(job, init, namespaces)?,
    };
    become_user::become_user(job, terminal)?;
    Err(command::become_command(job.process))
}
