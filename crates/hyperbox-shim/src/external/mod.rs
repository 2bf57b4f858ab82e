// SPDX-License-Identifier: MIT
//! A container run by an external OCI runtime (crun, runc, youki, runsc, …).
//!
//! The shim moves into a mount namespace of its own and mounts the root filesystem there, under the bundle: the host never sees
//! the mount, and it goes with the last process of the container. The container's first process becomes a child of the shim,
//! which is a subreaper, when `create` ends.
//!
//! On disk, in the run directory: `bundle/config.json`, `bundle/rootfs`, `runtime/` (the runtime's own state), `runtime.log`.

mod command;
mod console;

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hyperbox_runtime::{Cgroups, StdioPlan};
use hyperbox_types::shim::{Launch, ShimError, UserSpec};
use hyperbox_types::{ContainerId, ErrorKind, Signal};
use oci_spec::runtime::{BoxBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Process, Root, Spec, User};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::engine::{Started, cgroup_failed};
use crate::failure::{chained, failure, system};
use crate::run_directory::RunDirectory;
use command::Program;
use console::Console;

/// A container of an external runtime.
#[derive(Debug)]
pub(crate) struct External {
    id: ContainerId,
    program: Program,
    directory: PathBuf,
    short: PathBuf,
    root: OwnedFd,
    cgroups: Cgroups,
    init: u32,
    execs: u64,
}

impl External {
    /// Creates and starts the container. After an error nothing of it is left.
    pub(crate) fn start(
        launch: &Launch,
        program: &Path,
        arguments: &[String],
        mut spec: Spec,
        directory: &RunDirectory,
        stdio: StdioPlan,
        network_namespace: Option<OwnedFd>,
    ) -> Result<(Self, Started), ShimError> {
        let rootfs = prepare_bundle(directory.path())?;
        hyperbox_sys::fork::unshare_mounts().map_err(|error| system("cannot make a mount namespace", error))?;
        hyperbox_runtime::mount_root(&launch.rootfs, &rootfs).map_err(|error| chained(ErrorKind::Internal, &error))?;
        hyperbox_runtime::make_mounts_plain(&mut spec, &directory.path().join("bundle/mounts"))
            .map_err(|error| chained(error.kind(), &error))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&rootfs, flags, Mode::empty())
            .map_err(|error| system("cannot open the root filesystem", error))?;
        let user = resolve(&root, &launch.user)?;
        complete(&mut spec, &rootfs, user, network_namespace.as_ref())?;
        write_json(&directory.path().join("bundle/config.json"), &spec)?;
        let mut external = Self {
            id: launch.container.clone(),
            program: Program::new(program, arguments, directory.path()),
            directory: directory.path().to_owned(),
            short: directory.short_path(""),
            root,
            cgroups: Cgroups::load(Vec::new()),
            init: 0,
            execs: 0,
        };
        let started = external.create_and_start(stdio).inspect_err(|_| external.clean_up())?;
        external.init = started.pid;
        external.cgroups = Cgroups::load(own_cgroups(started.pid));
        Ok((external, started))
    }

    fn create_and_start(&mut self, stdio: StdioPlan) -> Result<Started, ShimError> {
        let mut create = self.program.subcommand("create");
        create.arg("--bundle").arg(self.directory.join("bundle"));
        let id = self.id.to_string();
        let started = self.run_with_stdio(create, "init", &[&id], stdio)?;
        let mut start = self.program.subcommand("start");
        start.arg(&id);
        self.program.run(start)?;
        Ok(started)
    }

    /// Starts another process in the container.
    pub(crate) fn exec(
        &mut self,
        mut process: Process,
        user: &UserSpec,
        stdio: StdioPlan,
    ) -> Result<Started, ShimError> {
        self.execs += 1;
        let name = format!("exec-{}", self.execs);
        process.set_user(resolve(&self.root, user)?);
        process.set_terminal(Some(matches!(stdio, StdioPlan::Terminal { .. })));
        if let StdioPlan::Terminal { size } = &stdio {
            // The process may ask for the size before the shim has the terminal in its hands.
            let size = BoxBuilder::default()
                .height(u64::from(size.rows))
                .width(u64::from(size.columns))
                .build();
            process.set_console_size(size.ok());
        }
        let file = self.directory.join(format!("{name}.json"));
        write_json(&file, &process)?;
        let mut exec = self.program.subcommand("exec");
        exec.arg("--detach").arg("--process").arg(&file);
        let id = self.id.to_string();
        let result = self.run_with_stdio(exec, &name, &[&id], stdio);
        // The file has done its work; a left-over goes with the run directory.
        drop(std::fs::remove_file(&file));
        result
    }

    /// Runs `create` or `exec` with the process's streams, and finds the process.
    fn run_with_stdio(
        &self,
        mut command: Command,
        name: &str,
        operands: &[&str],
        stdio: StdioPlan,
    ) -> Result<Started, ShimError> {
        let pid_file = self.directory.join(format!("{name}.pid"));
        command.arg("--pid-file").arg(&pid_file);
        let mut console = None;
        match stdio {
            StdioPlan::Streams { stdin, stdout, stderr } => {
                command
                    .stdin(Stdio::from(stdin))
                    .stdout(Stdio::from(stdout))
                    .stderr(Stdio::from(stderr));
            }
            StdioPlan::Terminal { size } => {
                let path = self.short.join(format!("{name}.sock"));
                let open = Console::open(&path, size).map_err(|error| system("cannot make a console socket", error))?;
                command.arg("--console-socket").arg(&path);
                console = Some(open);
            }
        }
        command.args(operands);
        self.program.run(command)?;
        let terminal = console.map(Console::receive).transpose();
        let terminal = terminal.map_err(|error| system("the runtime gave no terminal", error))?;
        let pid = read_pid(&pid_file).map_err(|error| system("the runtime wrote no process id", error))?;
        drop(std::fs::remove_file(&pid_file));
        let pidfd =
            pidfd_open(pid, PidfdFlags::empty()).map_err(|error| system("cannot keep hold of the process", error))?;
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        Ok(Started {
            pid: number,
            pidfd,
            start_time: crate::proc_stat::start_time(number).unwrap_or(0),
            terminal,
        })
    }

    /// Sends a signal to all processes of the container.
    pub(crate) fn signal_all(&self, signal: Signal) -> Result<(), ShimError> {
        for pid in self.processes()? {
            let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
                continue;
            };
            // One that ended meanwhile needs no signal.
            if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
                drop(hyperbox_sys::signals::send(pidfd.as_fd(), signal));
            }
        }
        Ok(())
    }

    /// Freezes all processes.
    pub(crate) fn pause(&self) -> Result<(), ShimError> {
        self.simple("pause")
    }

    /// Thaws all processes.
    pub(crate) fn resume(&self) -> Result<(), ShimError> {
        self.simple("resume")
    }

    /// Changes limits.
    pub(crate) fn update(&self, resources: &str) -> Result<(), ShimError> {
        let file = self.directory.join("resources.json");
        std::fs::write(&file, resources).map_err(|error| system("cannot write the new limits", error))?;
        let mut update = self.program.subcommand("update");
        update.arg("--resources").arg(&file).arg(self.id.as_str());
        let result = self.program.run(update);
        drop(std::fs::remove_file(&file));
        result
    }

    /// Lists processes: those of the cgroups, or (without any) those in the first process's pid namespace.
    pub(crate) fn processes(&self) -> Result<Vec<u32>, ShimError> {
        if self.cgroups.paths().is_empty() {
            crate::proc_stat::in_pid_namespace_of(self.init)
                .map_err(|error| system("cannot list the container's processes", error))
        } else {
            self.cgroups.processes().map_err(|error| cgroup_failed(&error))
        }
    }

    /// Returns the cgroups that the runtime made.
    pub(crate) fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// Kills everything that is left in the container's cgroups.
    pub(crate) fn kill_all(&self) {
        if !self.cgroups.paths().is_empty() {
            // What cannot be killed now is killed by whoever removes the container.
            drop(self.cgroups.kill_all());
        }
    }

    /// Lets the runtime remove its traces.
    pub(crate) fn clean_up(&mut self) {
        let mut delete = self.program.subcommand("delete");
        delete.arg("--force").arg(self.id.as_str());
        // A runtime that never made the container fails here; the run directory is removed in any case.
        drop(self.program.run(delete));
        drop(self.cgroups.remove());
    }

    fn simple(&self, name: &str) -> Result<(), ShimError> {
        let mut command = self.program.subcommand(name);
        command.arg(self.id.as_str());
        self.program.run(command)
    }
}

fn prepare_bundle(directory: &Path) -> Result<PathBuf, ShimError> {
    let rootfs = directory.join("bundle/rootfs");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&rootfs)
        .map_err(|error| system("cannot make the bundle", error))?;
    Ok(rootfs)
}

/// Fills in what the daemon leaves to the shim.
fn complete(spec: &mut Spec, rootfs: &Path, user: User, network: Option<&OwnedFd>) -> Result<(), ShimError> {
    // Older runtimes refuse a version that they do not know, though all of 1.x is compatible (specification, "spec version").
    spec.set_version("1.0.2".to_owned());
    let mut root = spec.root().clone().unwrap_or_default();
    root.set_path(rootfs.to_owned());
    spec.set_root(Some(Root::clone(&root)));
    if let Some(process) = spec.process_mut() {
        process.set_user(user);
    }
    if let (Some(network), Some(linux)) = (network, spec.linux_mut()) {
        // The runtime opens it while the shim, which holds it, waits.
        let path = format!("/proc/{}/fd/{}", std::process::id(), network.as_raw_fd());
        let namespace = LinuxNamespaceBuilder::default()
            .typ(LinuxNamespaceType::Network)
            .path(path)
            .build()
            .map_err(|error| chained(ErrorKind::Internal, &error))?;
        let namespaces = linux.namespaces_mut().get_or_insert_with(Vec::new);
        namespaces.retain(|namespace| namespace.typ() != LinuxNamespaceType::Network);
        namespaces.push(namespace);
    }
    Ok(())
}

fn resolve(root: &OwnedFd, user: &UserSpec) -> Result<User, ShimError> {
    let resolved = hyperbox_runtime::resolve_user(root.as_fd(), user)
        .map_err(|error| chained(ErrorKind::InvalidArgument, &error))?;
    let mut user = User::default();
    user.set_uid(resolved.uid)
        .set_gid(resolved.gid)
        .set_additional_gids(Some(resolved.additional_gids));
    Ok(user)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), ShimError> {
    let file = File::create(path).map_err(|error| system("cannot write to the bundle", error))?;
    serde_json::to_writer(io::BufWriter::new(file), value)
        .map_err(|error| failure(ErrorKind::Internal, error.to_string()))
}

fn read_pid(path: &Path) -> io::Result<Pid> {
    let text = std::fs::read_to_string(path)?;
    let number = text.trim().parse().map_err(io::Error::other)?;
    Pid::from_raw(number).ok_or_else(|| io::Error::other("not a process id"))
}

/// Finds the cgroups in which a process is and this one is not: those that the runtime made for it.
fn own_cgroups(pid: u32) -> Vec<PathBuf> {
    let theirs = std::fs::read_to_string(format!("/proc/{pid}/cgroup"));
    let ours = std::fs::read_to_string("/proc/self/cgroup");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    match (theirs, ours, mounts) {
        (Ok(theirs), Ok(ours), Ok(mounts)) => crate::proc_stat::cgroup_directories(&theirs, &ours, &mounts),
        // Rather none than one that has other processes in it.
        _ => Vec::new(),
    }
}
