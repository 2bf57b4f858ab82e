// SPDX-License-Identifier: MIT
//! What runs the container: the embedded runtime or an external program, behind one set of verbs.

use std::os::fd::OwnedFd;

use hyperbox_runtime::{CgroupError, Cgroups, Container, ExecRequest, Filter, StartError, StartRequest, StdioPlan};
use hyperbox_types::shim::{CgroupStats, Launch, RuntimeChoice, ShimError, UserSpec};
use hyperbox_types::{ErrorKind, Signal};
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Process, Spec};

use crate::external::External;
use crate::failure::{chained, failure, system};
use crate::shim::Noted;

/// A running container.
#[derive(Debug)]
pub(crate) enum Engine {
    /// In this process.
    Embedded(Box<Container>),
    /// By another program.
    External(Box<External>),
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its id in the daemon's pid namespace.
    pub(crate) pid: u32,
    /// Refers to it even when the id is used again.
    pub(crate) pidfd: OwnedFd,
    /// Start time, field 22 of `/proc/PID/stat`.
    pub(crate) start_time: u64,
    /// Master of its terminal.
    pub(crate) terminal: Option<OwnedFd>,
}

/// What a container is to be.
pub(crate) struct Specified {
    /// The specification.
    pub(crate) spec: Spec,
    /// Its system call filter, if that is compiled already.
    pub(crate) filter: Option<Filter>,
}

/// Starts the container's first process, and notes it before its command runs, or as soon as an external program tells of it.
pub(crate) fn start(
    launch: &Launch,
    specified: Specified,
    noted: &mut Noted<'_>,
    stdio: StdioPlan,
    network_namespace: Option<OwnedFd>,
) -> Result<(Engine, Started), ShimError> {
    let Specified { spec, filter } = specified;
    match &launch.runtime {
        RuntimeChoice::Embedded => {
            let request = StartRequest {
                spec,
                rootfs: launch.rootfs.clone(),
                user: launch.user.clone(),
                stdio,
                network_namespace,
                filter,
            };
            let started = hyperbox_runtime::start_watched(request, noted);
            let mut container = started.map_err(|error| start_failed(&error))?;
            let started = Started {
                pid: container.pid(),
                pidfd: clone_pidfd(container.pidfd())?,
                start_time: container.start_time(),
                terminal: container.take_terminal(),
            };
            Ok((Engine::Embedded(Box::new(container)), started))
        }
        RuntimeChoice::External { program, arguments } => {
            let directory = noted.directory();
            let (external, started) =
                External::start(launch, program, arguments, spec, directory, stdio, network_namespace)?;
            let mut engine = Engine::External(Box::new(external));
            if let Err(error) = noted.note(started.pid, started.start_time, engine.cgroups()) {
                engine.kill_all();
                engine.clean_up();
                return Err(system("cannot write the launch record", error));
            }
            Ok((engine, started))
        }
    }
}

/// Tells whether the end of the first process ends all others: it is pid 1 of a namespace of its own.
pub(crate) fn has_own_pid_namespace(spec: &Spec) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.is_some_and(|list| {
        list.iter()
            .any(|namespace| namespace.typ() == LinuxNamespaceType::Pid && namespace.path().is_none())
    })
}

impl Engine {
    /// Starts another process in the container.
    pub(crate) fn exec(&mut self, process: Process, user: &UserSpec, stdio: StdioPlan) -> Result<Started, ShimError> {
        match self {
            Self::Embedded(container) => {
                let request = ExecRequest {
                    process,
                    user: user.clone(),
                    stdio,
                };
                let mut process = container.exec(request).map_err(|error| start_failed(&error))?;
                Ok(Started {
                    pid: process.pid(),
                    pidfd: clone_pidfd(process.pidfd())?,
                    start_time: 0,
                    terminal: process.take_terminal(),
                })
            }
            Self::External(external) => external.exec(process, user, stdio),
        }
    }

    /// Sends a signal to all processes of the container.
    pub(crate) fn signal_all(&self, signal: Signal) -> Result<(), ShimError> {
        match self {
            Self::Embedded(container) => container
                .signal_all(signal)
                .map_err(|error| system("cannot signal the container's processes", error)),
            Self::External(external) => external.signal_all(signal),
        }
    }

    /// Freezes all processes.
    pub(crate) fn pause(&self) -> Result<(), ShimError> {
        match self {
            Self::Embedded(container) => container.cgroups().pause().map_err(|error| cgroup_failed(&error)),
            Self::External(external) => external.pause(),
        }
    }

    /// Thaws all processes.
    pub(crate) fn resume(&self) -> Result<(), ShimError> {
        match self {
            Self::Embedded(container) => container.cgroups().resume().map_err(|error| cgroup_failed(&error)),
            Self::External(external) => external.resume(),
        }
    }

    /// Changes limits; the argument is JSON of `LinuxResources`.
    pub(crate) fn update(&self, resources: &str) -> Result<(), ShimError> {
        let parsed: LinuxResources = serde_json::from_str(resources)
            .map_err(|error| failure(ErrorKind::InvalidArgument, format!("malformed resources: {error}")))?;
        match self {
            Self::Embedded(container) => container
                .cgroups()
                .update(&parsed)
                .map_err(|error| cgroup_failed(&error)),
            Self::External(external) => external.update(resources),
        }
    }

    /// Reads counters.
    pub(crate) fn stats(&self) -> Result<CgroupStats, ShimError> {
        self.cgroups().stats().map_err(|error| cgroup_failed(&error))
    }

    /// Lists processes.
    pub(crate) fn processes(&self) -> Result<Vec<u32>, ShimError> {
        match self {
            Self::Embedded(container) => container.cgroups().processes().map_err(|error| cgroup_failed(&error)),
            Self::External(external) => external.processes(),
        }
    }

    /// Returns how many processes the kernel has killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        self.cgroups().oom_kills()
    }

    /// Kills everything that is left in the container's cgroups.
    pub(crate) fn kill_all(&self) {
        match self {
            // What cannot be killed now is killed by whoever removes the container.
            Self::Embedded(container) => drop(container.cgroups().kill_all()),
            Self::External(external) => external.kill_all(),
        }
    }

    /// Removes what the container used, after its end.
    pub(crate) fn clean_up(&mut self) {
        match self {
            // What cannot be removed now is found through the launch record by whoever removes the container.
            Self::Embedded(container) => drop(container.cgroups().remove()),
            Self::External(external) => external.clean_up(),
        }
    }

    /// Returns the container's cgroups.
    pub(crate) fn cgroups(&self) -> &Cgroups {
        match self {
            Self::Embedded(container) => container.cgroups(),
            Self::External(external) => external.cgroups(),
        }
    }
}

fn clone_pidfd(pidfd: std::os::fd::BorrowedFd<'_>) -> Result<OwnedFd, ShimError> {
    pidfd
        .try_clone_to_owned()
        .map_err(|error| system("cannot keep hold of the process", error))
}

/// Translates an error of the cgroups, which names what was tried.
pub(crate) fn cgroup_failed(error: &CgroupError) -> ShimError {
    chained(error.kind(), error)
}

fn start_failed(error: &StartError) -> ShimError {
    ShimError {
        command: error.command_fault(),
        ..chained(error.kind(), error)
    }
}
