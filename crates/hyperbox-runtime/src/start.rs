// SPDX-License-Identifier: MIT
//! Starting a container.
//!
//! The parent decides (`plan`), makes the cgroups, opens and copies everything the child needs (`prepare`), clones, and then
//! moves the child into its version-1 cgroups while the child builds its mounts; [`crate::report`] is what they say to each
//! other. When the stream of reports ends without a failure, `execve` has succeeded.
//!
//! Until then everything that exists hangs on values of this function: detached mounts and descriptors on `OwnedFd`s, the
//! process and the cgroups on a guard that kills, reaps and removes. So every error, and a panic too, leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::execute::duplicate_above;
use hyperbox_sys::spawn::{NewNamespaces, Spawned, spawn};
use hyperbox_types::RootMount;
use hyperbox_types::run::TerminalSize;
use hyperbox_types::shim::UserSpec;
use oci_spec::runtime::{LinuxResources, Spec};

use crate::cgroup::Cgroups;
use crate::child::{self, ContainerSetup, Entry, Job, Streams};
use crate::container::{Container, Identity, Process};
use crate::error::StartError;
use crate::explain::explain;
use crate::hold::{Hold, reap};
use crate::plan::Plan;
use crate::plan::process::{ProcessPlan, apparmor_enabled};
use crate::prepare::{open_namespace, prepare};
use crate::report::{self, Heard};
use crate::seccomp::Filter;
use crate::user::resolve_user;
use crate::watch::{Born, Step, Unwatched, Watch};

/// What to start.
#[derive(Debug)]
pub struct StartRequest {
    /// The OCI runtime specification. `root.path` and the numbers of `process.user` are not looked at.
    pub spec: Spec,
    /// The root filesystem.
    pub rootfs: RootMount,
    /// Whom to run as.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: StdioPlan,
    /// The network namespace to join, in place of what the specification says.
    pub network_namespace: Option<OwnedFd>,
    /// The system call filter, in place of what the specification says.
    pub filter: Option<Filter>,
}

/// Where the standard streams of a process lead.
#[derive(Debug)]
pub enum StdioPlan {
    /// To these files.
    Streams {
        /// Read by the process.
        stdin: OwnedFd,
        /// Written by the process.
        stdout: OwnedFd,
        /// Written by the process.
        stderr: OwnedFd,
    },
    /// To a new terminal, whose master side the caller takes.
    Terminal {
        /// Its initial size.
        size: TerminalSize,
    },
}

/// Starts a container. Returns once `execve(2)` has succeeded.
///
/// # Errors
/// Anything that kept the command from running. Nothing is left then: no process, mount, cgroup or namespace.
pub fn start(request: StartRequest) -> Result<Container, StartError> {
    start_watched(request, &mut Unwatched)
}

/// [`start`] that somebody follows.
///
/// # Errors
/// Those of [`start`], and what [`Watch::born`] returns, after which nothing is left either.
pub fn start_watched(request: StartRequest, watch: &mut dyn Watch) -> Result<Container, StartError> {
    let StartRequest {
        spec,
        rootfs,
        user,
        stdio,
        network_namespace,
        filter,
    } = request;
    let plan = Plan::new(&spec, network_namespace.is_some())?;
    let process = spec
        .process()
        .as_ref()
        .ok_or_else(|| StartError::invalid("there is no process"))?;
    let linux = spec.linux().as_ref();
    let own = linux.and_then(|linux| linux.seccomp().as_ref());
    let filter = match filter {
        Some(filter) => Some(filter),
        None => own.map(Filter::compile).transpose()?,
    };
    watch.passed(Step::Planned);
    let root = crate::rootfs::detached_root(&rootfs)?;
    let user = resolve_user(root.as_fd(), &user)?;
    watch.passed(Step::RootMounted);
    let mut process = ProcessPlan::new(process, &user)?;
    if process.apparmor.is_some() && !apparmor_enabled() {
        process.apparmor = None;
    }
    let resources = linux.and_then(|linux| linux.resources().clone()).unwrap_or_default();
    let mut hold = Hold::new(make_cgroups(&plan, &resources)?);
    watch.passed(Step::CgroupsMade);
    let streams = OpenStreams::new(stdio)?;
    let setup = prepare(plan, root, hold.cgroups(), network_namespace)?;
    watch.passed(Step::Prepared);
    let launch = Launch {
        setup: &setup,
        process: &process,
        filter: filter.as_ref(),
        streams: streams.borrow(),
    };
    let (terminal, identity) = launch.run(&mut hold, watch)?;
    let namespaces = setup.plan.namespaces.clone();
    let (spawned, cgroups) = hold.release();
    Ok(Container::new(
        spawned,
        identity,
        terminal,
        cgroups,
        filter,
        &namespaces,
    ))
}

fn make_cgroups(plan: &Plan, resources: &LinuxResources) -> Result<Cgroups, StartError> {
    match &plan.cgroup {
        Some(path) => Ok(Cgroups::create(path, resources)?),
        None => Ok(Cgroups::none()),
    }
}

/// Everything about one clone, borrowed.
struct Launch<'a> {
    setup: &'a ContainerSetup,
    process: &'a ProcessPlan,
    filter: Option<&'a Filter>,
    streams: Streams<'a>,
}

impl Launch<'_> {
    /// Clones the child and brings it to its command. Returns the terminal, if it has one.
    fn run(&self, hold: &mut Hold, watch: &mut dyn Watch) -> Result<(Option<OwnedFd>, Identity), StartError> {
        let namespaces = &self.setup.plan.namespaces;
        let (ours, theirs) = report::pair().map_err(|error| StartError::system("make a socket pair", error))?;
        let job = Job {
            socket: theirs.as_fd(),
            entry: Entry::Create(self.setup),
            process: self.process,
            filter: self.filter,
            streams: self.streams,
        };
        let into = hold.cgroups().open_version_two()?;
        let new = namespaces.new.without(NewNamespaces::CGROUP);
        let spawned = in_pid_namespace(self.pid_namespace()?.as_ref().map(AsFd::as_fd), || {
            spawn(new, into.as_ref().map(AsFd::as_fd), || child::run(&job))
        })
        .map_err(|error| StartError::system("clone the first process", error))?;
        drop(theirs);
        let born = spawned.in_cgroup;
        let pid = hold.own(spawned);
        watch.passed(Step::Cloned);
        if let Some((uid_map, gid_map)) = &namespaces.id_maps {
            write_id_maps(pid, uid_map, gid_map)?;
        }
        adjust_oom_score(pid, self.process)?;
        hold.cgroups().join(pid, born)?;
        watch.passed(Step::CgroupsJoined);
        report::send_go(ours.as_fd());
        // While the child makes its mounts; afterwards a short-lived command would be gone.
        let identity = Identity::of(pid, new);
        let born = Born {
            pid,
            start_time: identity.start_time,
            cgroups: hold.cgroups(),
        };
        let noted = watch.born(born);
        noted.map_err(|error| StartError::system("note the new container", error))?;
        let on_ready = || watch.passed(Step::Ready);
        let terminal = listen(ours.as_fd(), self.process, Some(self.setup), on_ready)?;
        watch.passed(Step::Executed);
        Ok((terminal, identity))
    }

    fn pid_namespace(&self) -> Result<Option<OwnedFd>, StartError> {
        let joined = &self.setup.plan.namespaces.joined;
        let found = joined.iter().find(|(kind, _)| *kind == NewNamespaces::PID);
        found.map(|(_, path)| open_namespace(path)).transpose()
    }
}

/// Hears a child out. `Ok` means that its command runs.
pub(crate) fn listen(
    socket: BorrowedFd<'_>,
    process: &ProcessPlan,
    setup: Option<&ContainerSetup>,
    mut on_ready: impl FnMut(),
) -> Result<Option<OwnedFd>, StartError> {
    let (mut terminal, mut ready) = (None, false);
    loop {
        match report::hear(socket).map_err(|error| StartError::system("hear from the new process", error))? {
            Heard::Terminal(master) => terminal = Some(master),
            Heard::Failure(failure) => return Err(explain(failure, process, setup)),
            Heard::Ready => {
                ready = true;
                on_ready();
            }
            Heard::End if ready => return Ok(terminal),
            Heard::End => return Err(StartError::Vanished),
        }
    }
}

/// Calls `clone` while children of this thread are born into another pid namespace (`setns(2)`, `CLONE_NEWPID`).
pub(crate) fn in_pid_namespace(
    namespace: Option<BorrowedFd<'_>>,
    clone: impl FnOnce() -> io::Result<Spawned>,
) -> io::Result<Spawned> {
    let Some(namespace) = namespace else {
        return clone();
    };
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/thread-self/ns/pid", flags, rustix::fs::Mode::empty())?;
    rustix::thread::move_into_link_name_space(namespace, None)?;
    let result = clone();
    let back = rustix::thread::move_into_link_name_space(own.as_fd(), None);
    let spawned = result?;
    if let Err(error) = back {
        reap(&spawned);
        return Err(error.into());
    }
    Ok(spawned)
}

fn write_id_maps(pid: u32, uid_map: &str, gid_map: &str) -> Result<(), StartError> {
    for (file, map) in [("uid_map", uid_map), ("gid_map", gid_map)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, map).map_err(|error| StartError::system(format!("write {path}"), error))?;
    }
    Ok(())
}

/// Tells the kernel how readily to kill the process for want of memory. Lowering that needs `CAP_SYS_RESOURCE`; without it
/// the process keeps what the engine has, as rootless engines do.
pub(crate) fn adjust_oom_score(pid: u32, process: &ProcessPlan) -> Result<(), StartError> {
    let Some((score, text)) = &process.oom_score else {
        return Ok(());
    };
    match std::fs::write(format!("/proc/{pid}/oom_score_adj"), text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(|error| StartError::system(format!("set oom_score_adj to {score}"), error)),
    }
}

/// The standard streams, held open and out of the way of numbers 0 to 2.
pub(crate) enum OpenStreams {
    Files([OwnedFd; 3]),
    Terminal(TerminalSize),
}

impl OpenStreams {
    pub(crate) fn new(plan: StdioPlan) -> Result<Self, StartError> {
        let above = |file: OwnedFd| {
            use std::os::fd::AsRawFd;
            if file.as_raw_fd() > 2 {
                return Ok(file);
            }
            duplicate_above(file.as_fd(), 3).map_err(|error| StartError::system("duplicate a stream", error))
        };
        Ok(match plan {
            StdioPlan::Streams { stdin, stdout, stderr } => {
                Self::Files([above(stdin)?, above(stdout)?, above(stderr)?])
            }
            StdioPlan::Terminal { size } => Self::Terminal(size),
        })
    }

    pub(crate) fn borrow(&self) -> Streams<'_> {
        match self {
            Self::Files([stdin, stdout, stderr]) => Streams::Files([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
            Self::Terminal(size) => Streams::Terminal(*size),
        }
    }
}

impl Process {
    /// Makes a process of what a clone returned.
    pub(crate) fn from_spawned(spawned: Spawned, terminal: Option<OwnedFd>) -> Self {
        Self::new(spawned.pid, spawned.pidfd, terminal)
    }
}
