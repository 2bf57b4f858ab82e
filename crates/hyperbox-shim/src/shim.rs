// SPDX-License-Identifier: MIT
//! A shim from its fork to its event loop: becomes independent, starts the container, reports.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use hyperbox_sys::{fork, message, signals};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::{
    FdRole, LAUNCH_FILE, Launch, LaunchRecord, MAX_MESSAGE, SOCKET_NAME, ShimError, ShimMessage,
};
use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::Connection;
use crate::engine;
use crate::failure::{failure, system};
use crate::init;
use crate::log::Log;
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

/// Lives the life of a shim in a freshly forked process.
pub(crate) fn run(payload: &[u8], descriptors: Vec<OwnedFd>) {
    let mut descriptors = VecDeque::from(descriptors);
    // The protocol puts the control connection first, so that even an unreadable request can be answered.
    let Some(control) = descriptors.pop_front() else {
        return;
    };
    let result = become_independent()
        .map_err(|error| system("cannot set up the shim", error))
        .and_then(|signals| launch(payload, descriptors.into(), signals));
    match result {
        Ok(mut supervisor) => {
            match Connection::new(control) {
                Ok(mut connection) => {
                    connection.send(&ShimMessage::Launched(supervisor.record.clone()));
                    supervisor.connections.push(connection);
                }
                // The daemon finds the shim again by its socket.
                Err(_) => supervisor.connections.clear(),
            }
            fork::trim_heap();
            supervisor.run();
        }
        Err(error) => report_failure(control, error),
    }
}

/// Leaves the launcher's session and takes charge of all descendants.
fn become_independent() -> io::Result<signals::ChildSignals> {
    signals::reset()?;
    signals::ignore_broken_pipes();
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_name(c"hyperbox-shim")?;
    signals::ChildSignals::open()
}

fn launch(payload: &[u8], descriptors: Vec<OwnedFd>, signals: signals::ChildSignals) -> Result<Supervisor, ShimError> {
    let launch: Launch = serde_json::from_slice(payload)
        .map_err(|error| failure(ErrorKind::InvalidArgument, format!("malformed launch request: {error}")))?;
    let mut spec: Spec = serde_json::from_str(&launch.spec).map_err(|error| {
        failure(
            ErrorKind::InvalidArgument,
            format!("malformed runtime configuration: {error}"),
        )
    })?;
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
    let result = start(&launch, spec, passed, &directory);
    match result {
        Ok((engine, first, own_pid_namespace)) => {
            record.init_pid = first.pid;
            record.init_start_time = first.start_time;
            let made = engine.cgroup_paths();
            if !made.is_empty() {
                // Of a process that has ended already nobody can tell where it was: then all that may have been made stays noted.
                record.cgroups = made.to_vec();
            }
            let mut supervisor = Supervisor {
                oom: OomState::open(&engine),
                directory,
                record,
                engine,
                own_pid_namespace,
                signals,
                listener,
                connections: Vec::new(),
                processes: vec![first.process],
                log,
                paused: false,
                exit: None,
            };
            if let Err(error) = supervisor.directory.write_record(LAUNCH_FILE, &supervisor.record) {
                supervisor.abandon();
                return Err(system("cannot write the launch record", error));
            }
            Ok(supervisor)
        }
        Err(error) => {
            // Nothing of it is left, so nobody need look for it. The directory itself is the daemon's to remove.
            drop(directory.remove(LAUNCH_FILE));
            drop(directory.remove(SOCKET_NAME));
            Err(error)
        }
    }
}

/// The container's first process, started.
struct First {
    process: Supervised,
    pid: u32,
    start_time: u64,
}

fn start(
    launch: &Launch,
    spec: Spec,
    passed: Passed,
    directory: &RunDirectory,
) -> Result<(engine::Engine, First, bool), ShimError> {
    let own_pid_namespace = engine::has_own_pid_namespace(&spec);
    let prepared = stdio::prepare(launch.stdio, stdio::NoInput::First)
        .map_err(|error| system("cannot make the streams", error))?;
    let attached = clients(&passed.roles, passed.attached, launch.stdio.terminal.is_none())?;
    let (mut engine, started) = engine::start(launch, spec, directory, prepared.theirs, passed.network_namespace)?;
    let (pid, start_time) = (started.pid, started.start_time);
    match Supervised::new(None, started, prepared.ours, launch.stdio, attached) {
        Ok(process) => Ok((
            engine,
            First {
                process,
                pid,
                start_time,
            },
            own_pid_namespace,
        )),
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
