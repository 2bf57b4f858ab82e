// SPDX-License-Identifier: MIT
//! Getting into a container: making it around the first process, or joining it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::spawn::{NewNamespaces, unshare};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, UnmountFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::ThreadNameSpaceType;

use super::place::Links;
use super::{ContainerSetup, Job, Streams, devices, masking, mounting, place, terminal};
use crate::plan::Plan;
use crate::plan::target::Target;
use crate::report::{At, Failure, Stage, wait_for_go};

/// Makes the container around this process. Returns its side of a terminal, if it is to have one.
///
/// The host's `/proc` and `/dev` are used until the root is changed: they, unlike the container's, are not a stranger's.
pub(super) fn create(job: &Job<'_>, setup: &ContainerSetup) -> Result<Option<OwnedFd>, Failure> {
    let plan = &setup.plan;
    let own_users = plan.namespaces.new.contains(NewNamespaces::USER);
    begin()?;
    for (index, namespace) in setup.joined.iter().enumerate() {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), None).at_index(Stage::JoinNamespace, index)?;
    }
    if own_users {
        // Until the parent has written the id maps this process is nobody and may make nothing.
        wait_for_go(job.socket).at(Stage::Go)?;
        become_root()?;
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", private).at(Stage::Propagation)?;
    set_kernel_values(plan)?;
    set_security_profile(job)?;

    let root = setup.root.as_fd();
    // On top of the old root: as nothing is looked up through it any more, that hides nothing from this process.
    rustix::mount::move_mount(root, c"", CWD, c"/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).at(Stage::AttachRoot)?;
    mounting::mount_all(root, &setup.mounts)?;
    if let Some(target) = &job.process.directory_target {
        // Docker makes a missing working directory, owned by root. One that cannot be made fails when it is entered.
        drop(place::find_or_make(root, target, Links::Follow));
    }
    if let Some(list) = &plan.devices {
        devices::make(root, list, setup.bound_devices.as_deref())?;
    }
    let terminal = open_terminal(job, root, plan.devices.is_some().then_some(&setup.console))?;
    masking::protect(root, plan)?;
    if !own_users {
        wait_for_go(job.socket).at(Stage::Go)?;
    }
    if plan.namespaces.new.contains(NewNamespaces::CGROUP) {
        // Only now: the root of the new namespace is the cgroup that the process is in.
        unshare(NewNamespaces::CGROUP).at(Stage::NewNamespace)?;
    }
    change_root(root)?;
    if !plan.root_propagation.is_empty() {
        rustix::mount::mount_change(c"/", plan.root_propagation).at(Stage::RootPropagation)?;
    }
    set_personality(plan)?;
    Ok(terminal)
}

/// Joins the namespaces of a container's first process. The parent has joined its pid namespace before the clone.
pub(super) fn join(job: &Job<'_>, init: BorrowedFd<'_>, namespaces: NewNamespaces) -> Result<Option<OwnedFd>, Failure> {
    begin()?;
    set_security_profile(job)?;
    // The parent moves it into the cgroups, which it finds by paths of the host.
    wait_for_go(job.socket).at(Stage::Go)?;
    let kinds = ThreadNameSpaceType::from_bits_retain(u32::try_from(namespaces.bits()).unwrap_or_default());
    rustix::thread::move_into_thread_name_spaces(init, kinds).at(Stage::JoinNamespace)?;
    if namespaces.contains(NewNamespaces::USER) {
        become_root()?;
    }
    match job.streams {
        Streams::Terminal(_) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(c"/", flags, Mode::empty()).at(Stage::Terminal)?;
            open_terminal(job, root.as_fd(), None)
        }
        Streams::Files(_) => Ok(None),
    }
}

/// What every child does first.
fn begin() -> Result<(), Failure> {
    // See the module above: hides the shim's program from the container.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Stage::Session)?;
    rustix::process::setsid().at(Stage::Session)?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

fn become_root() -> Result<(), Failure> {
    let (uid, gid) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(Stage::Identity)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(Stage::Identity)
}

/// Values that belong to the new namespaces.
fn set_kernel_values(plan: &Plan) -> Result<(), Failure> {
    if let Some(name) = &plan.host_name {
        rustix::system::sethostname(name.as_bytes()).at(Stage::HostName)?;
    }
    if let Some(name) = &plan.domain_name {
        rustix::system::setdomainname(name.as_bytes()).at(Stage::DomainName)?;
    }
    for (index, sysctl) in plan.sysctls.iter().enumerate() {
        write_file(&sysctl.path, sysctl.value.as_bytes()).at_index(Stage::Sysctl, index)?;
    }
    Ok(())
}

fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes).map(drop)
}

fn set_security_profile(job: &Job<'_>) -> Result<(), Failure> {
    match &job.process.apparmor {
        Some(profile) => write_file(c"/proc/thread-self/attr/apparmor/exec", profile.as_bytes())
            .or_else(|_| write_file(c"/proc/thread-self/attr/exec", profile.as_bytes()))
            .at(Stage::SecurityProfile),
        None => Ok(()),
    }
}

fn set_personality(plan: &Plan) -> Result<(), Failure> {
    match plan.personality {
        Some(persona) => hyperbox_sys::execute::set_personality(persona).at(Stage::Personality),
        None => Ok(()),
    }
}

fn open_terminal(job: &Job<'_>, root: BorrowedFd<'_>, console: Option<&Target>) -> Result<Option<OwnedFd>, Failure> {
    let Streams::Terminal(size) = job.streams else {
        return Ok(None);
    };
    let (master, slave) = terminal::open(root, size).at(Stage::Terminal)?;
    // The user's own terminal, as with `login(1)`; in a user namespace without that user it stays as it is.
    let _ = rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(job.process.uid)), None);
    if let Some(console) = console {
        terminal::bind_console(root, console, slave.as_fd()).at(Stage::Console)?;
    }
    crate::report::send_descriptor(job.socket, master.as_fd()).at(Stage::Terminal)?;
    Ok(Some(slave))
}

/// Makes `root`, which is attached on top of the old root, the root of this process, and lets the old one go.
fn change_root(root: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::process::fchdir(root).at(Stage::PivotRoot)?;
    match rustix::process::pivot_root(c".", c".") {
        // The old root now lies on top of the new one, at "." (`pivot_root(2)`, "pivot_root(".", ".")").
        Ok(()) => rustix::mount::unmount(c".", UnmountFlags::DETACH).at(Stage::PivotRoot)?,
        // The initial RAM file system cannot be pivoted away from; it stays below, out of reach.
        Err(Errno::INVAL) => rustix::process::chroot(c".").at(Stage::PivotRoot)?,
        Err(error) => return Err(error).at(Stage::PivotRoot),
    }
    rustix::process::chdir(c"/").at(Stage::PivotRoot)
}
