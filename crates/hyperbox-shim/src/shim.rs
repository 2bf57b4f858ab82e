// SPDX-License-Identifier: MIT
//! A shim from its fork to its event loop: becomes independent, starts the container, reports.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hyperbox_runtime::{Born, Cgroups, Filter, Step, Watch};
use hyperbox_sys::{message, signals};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::{
    FdRole, LAUNCH_FILE, Launch, LaunchRecord, MAX_MESSAGE, RuntimeChoice, SOCKET_NAME, ShimError, ShimMessage,
};
use hyperbox_types::trace::Party;
use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::Connection;
use crate::engine;
use crate::failure::{failure, system};
use crate::init;
use crate::log::Log;
use crate::marks::Marks;
use crate::requests::clients;
use crate::run_directory::RunDirectory;
use crate::stdio;
use crate::supervised::Supervised;
use crate::supervisor::{OomState, Supervisor};

/// How long a daemon may take to read the news of a failed launch.
const FAREWELL: Duration = Duration::from_secs(5);

/// What came with a [`Launch`].
struct Passed {
    network_namespace: Option<OwnedFd>,
    roles: Vec<FdRole>,
    attached: Vec<OwnedFd>,
}

/// What a launcher leaves to a shim, beside the request.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// The system call filter of the request, if the launcher could compile it.
    pub(crate) filter: Option<Filter>,
    /// What was noted so far.
    pub(crate) marks: Marks,
    /// Tells of children that end.
    pub(crate) signals: signals::ChildSignals,
}

/// Lives the life of a shim in a process that [`become_independent`] has prepared.
pub(crate) fn run(launch: serde_json::Result<Launch>, inherited: Inherited, descriptors: Vec<OwnedFd>) {
    let Inherited {
        filter,
        mut marks,
        signals,
    } = inherited;
    marks.mark(Party::Shim, "begun");
    let mut descriptors = VecDeque::from(descriptors);
    // The protocol puts the control connection first, so that even an unreadable request can be answered.
    let Some(control) = descriptors.pop_front() else {
        return;
    };
    let result = rustix::thread::set_name(c"hyperbox-shim")
        .map_err(|error| system("cannot set up the shim", error))
        .and_then(|()| launch_container(launch, filter, &mut marks, descriptors.into(), signals));
    match result {
        Ok(mut supervisor) => {
            marks.mark(Party::Shim, "container supervised");
            match Connection::new(control) {
                Ok(mut connection) => {
                    if let Some(marks) = marks.into_list() {
                        connection.send(&ShimMessage::Traced { marks });
                    }
                    connection.send(&ShimMessage::Launched(supervisor.record.clone()));
                    supervisor.connections.push(connection);
                }
                // The daemon finds the shim again by its socket.
                Err(_) => supervisor.connections.clear(),
            }
            supervisor.run();
        }
        Err(error) => report_failure(control, error),
    }
}

/// Leaves the launcher's session and takes charge of all descendants.
pub(crate) fn become_independent() -> io::Result<signals::ChildSignals> {
    signals::reset()?;
    signals::ignore_broken_pipes();
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    signals::ChildSignals::open()
}

fn launch_container(
    launch: serde_json::Result<Launch>,
    filter: Option<Filter>,
    marks: &mut Marks,
    descriptors: Vec<OwnedFd>,
    signals: signals::ChildSignals,
) -> Result<Supervisor, ShimError> {
    let invalid = |what: &str, error| failure(ErrorKind::InvalidArgument, format!("malformed {what}: {error}"));
    let launch = launch.map_err(|error| invalid("launch request", error))?;
    let mut spec: Spec = serde_json::from_str(&launch.spec).map_err(|error| invalid("runtime configuration", error))?;
    if filter.is_none() || launch.runtime != RuntimeChoice::Embedded {
        complete_filter(&mut spec, launch.seccomp.as_deref()).map_err(|error| invalid("seccomp profile", error))?;
    }
    let passed = sort(&launch.fds, descriptors)?;
    let directory = RunDirectory::open(&launch.run_dir)
        .map_err(|error| system(&format!("cannot open {}", launch.run_dir.display()), error))?;
    let log = Log::open(&launch.log).map_err(|error| system("cannot open the container's log", error))?;
    // Before the start: a daemon that restarts right now must be able to find this shim, and wait.
    let listener = directory
        .listen(SOCKET_NAME)
        .map_err(|error| system("cannot listen for the daemon", error))?;
    if launch.init {
        init::put_before(&mut spec, &directory)?;
    }
    // Before anything is made, for whoever cleans up if this process is killed while it starts the container.
    let mut record = LaunchRecord {
        shim_pid: std::process::id(),
        init_pid: 0,
        init_start_time: 0,
        cgroups: hyperbox_runtime::possible_cgroups(&spec),
        runtime: launch.runtime.clone(),
    };
    directory
        .write_record(LAUNCH_FILE, &record)
        .map_err(|error| system("cannot write the launch record", error))?;
    marks.mark(Party::Shim, "log, socket and record made");
    let mut noted = Noted {
        directory: &directory,
        record: &mut record,
        oom: None,
        marks,
    };
    let result = start(&launch, spec, filter, passed, &mut noted);
    let oom = noted.oom;
    match result {
        Ok((engine, first, own_pid_namespace)) => Ok(Supervisor {
            oom: oom.unwrap_or_else(|| OomState::open(engine.cgroups())),
            directory,
            record,
            engine,
            own_pid_namespace,
            signals,
            listener,
            connections: Vec::new(),
            processes: vec![first],
            log,
            paused: false,
            exit: None,
        }),
        Err(error) => {
            // Nothing of it is left, so nobody need look for it. The directory itself is the daemon's to remove.
            drop(directory.remove(LAUNCH_FILE));
            drop(directory.remove(SOCKET_NAME));
            Err(error)
        }
    }
}

/// Puts the seccomp profile, which comes by itself, where the specification has it.
fn complete_filter(spec: &mut Spec, profile: Option<&str>) -> serde_json::Result<()> {
    if let (Some(profile), Some(linux)) = (profile, spec.linux_mut()) {
        linux.set_seccomp(Some(serde_json::from_str(profile)?));
    }
    Ok(())
}

/// What is kept of a container's start: on disk for whoever cleans up, and what has to be opened while its first process lives.
pub(crate) struct Noted<'a> {
    directory: &'a RunDirectory,
    record: &'a mut LaunchRecord,
    oom: Option<OomState>,
    marks: &'a mut Marks,
}

impl Watch for Noted<'_> {
    fn born(&mut self, born: Born<'_>) -> io::Result<()> {
        self.note(born.pid, born.start_time, born.cgroups)
    }

    fn passed(&mut self, step: Step) {
        self.marks.step(step);
    }
}

impl Noted<'_> {
    /// Returns the container's run directory.
    pub(crate) fn directory(&self) -> &RunDirectory {
        self.directory
    }

    /// Notes a first process that exists, before the daemon hears of it.
    pub(crate) fn note(&mut self, pid: u32, start_time: u64, cgroups: &Cgroups) -> io::Result<()> {
        self.record.init_pid = pid;
        self.record.init_start_time = start_time;
        let made = cgroups.paths();
        if !made.is_empty() {
            // Of a process that has ended already nobody can tell where it was: then all that may have been made stays noted.
            self.record.cgroups = made.to_vec();
        }
        self.directory.write_record(LAUNCH_FILE, self.record)?;
        self.oom = Some(OomState::open(cgroups));
        self.marks.mark(Party::Shim, "first process noted");
        Ok(())
    }
}

fn start(
    launch: &Launch,
    spec: Spec,
    filter: Option<Filter>,
    passed: Passed,
    noted: &mut Noted<'_>,
) -> Result<(engine::Engine, Supervised, bool), ShimError> {
    let own_pid_namespace = engine::has_own_pid_namespace(&spec);
    let prepared = stdio::prepare(launch.stdio, stdio::NoInput::First)
        .map_err(|error| system("cannot make the streams", error))?;
    let attached = clients(&passed.roles, passed.attached, launch.stdio.terminal.is_none())?;
    let specified = engine::Specified { spec, filter };
    let (mut engine, started) = engine::start(launch, specified, noted, prepared.theirs, passed.network_namespace)?;
    match Supervised::new(None, started, prepared.ours, launch.stdio, attached) {
        Ok(process) => Ok((engine, process, own_pid_namespace)),
        Err(error) => {
            engine.kill_all();
            engine.clean_up();
            Err(error)
        }
    }
}

/// Assigns the passed descriptors; the control connection was taken already.
fn sort(roles: &[FdRole], descriptors: Vec<OwnedFd>) -> Result<Passed, ShimError> {
    let mut passed = Passed {
        network_namespace: None,
        roles: Vec::new(),
        attached: Vec::new(),
    };
    let (Some(FdRole::Control), true) = (roles.first(), roles.len() == descriptors.len() + 1) else {
        let message = "the launch request does not fit its file descriptors";
        return Err(failure(ErrorKind::InvalidArgument, message));
    };
    for (role, descriptor) in roles[1..].iter().zip(descriptors) {
        match role {
            FdRole::Control => {
                return Err(failure(ErrorKind::InvalidArgument, "more than one control connection"));
            }
            FdRole::NetworkNamespace => passed.network_namespace = Some(descriptor),
            FdRole::Attach(_) => {
                passed.roles.push(*role);
                passed.attached.push(descriptor);
            }
        }
    }
    Ok(passed)
}

/// Tells the daemon that there is no container.
pub(crate) fn report_failure(control: OwnedFd, error: ShimError) {
    let message = ShimMessage::LaunchFailed(error);
    let Ok(bytes) = serde_json::to_vec(&message)
        .map_err(io::Error::other)
        .and_then(|payload| message::frame(&payload, MAX_MESSAGE))
    else {
        return;
    };
    let mut rest = bytes.as_slice();
    let patience = Timespec::try_from(FAREWELL).ok();
    while !rest.is_empty() {
        match message::send(control.as_fd(), rest, &[]) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(&control, PollFlags::OUT)];
                if !matches!(poll(&mut fds, patience.as_ref()), Ok(1..)) {
                    return;
                }
            }
            // The daemon is gone; there is nobody to tell.
            Err(_) => return,
        }
    }
}
