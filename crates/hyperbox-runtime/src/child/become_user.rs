// SPDX-License-Identifier: MIT
//! From a root process in a container to the user, limits and rights that the command is to have.
//!
//! The order is forced: the bounding set needs `CAP_SETPCAP`, so it is dropped before the user changes; `setresuid` would drop
//! the permitted set, so `PR_SET_KEEPCAPS` keeps it; the final sets come after; and the filter comes last of all, because it
//! may forbid any of the calls before. Without `no_new_privs` installing it needs `CAP_SYS_ADMIN`, which is kept effective
//! exactly until then.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_sys::execute;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Job, Streams};
use crate::plan::capabilities::CapabilityPlan;
use crate::plan::process::ProcessPlan;
use crate::report::{At, Failure, Stage};

/// Number of `CAP_SYS_ADMIN`.
const SYS_ADMIN: u64 = 1 << 21;

pub(super) fn become_user(job: &Job<'_>, terminal: Option<OwnedFd>) -> Result<(), Failure> {
    let process = job.process;
    set_streams(job, terminal.as_ref().map(AsFd::as_fd))?;
    drop(terminal);
    execute::close_all_but(job.socket).at(Stage::Streams)?;
    set_limits(&process.limits)?;
    rustix::process::umask(Mode::from_raw_mode(process.umask & 0o777));
    if let Some(capabilities) = &process.capabilities {
        drop_bounding(capabilities.bounding).at(Stage::Capabilities)?;
    }
    // First as root: a directory above may be closed to the user, as Docker allows.
    let entered = change_directory(process);
    set_user(process)?;
    if entered.is_err() {
        change_directory(process).at(Stage::ChangeDirectory)?;
    }
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).at(Stage::NoNewPrivileges)?;
    }
    crate::report::send_ready(job.socket);
    restrict(job)
}

fn set_streams(job: &Job<'_>, terminal: Option<BorrowedFd<'_>>) -> Result<(), Failure> {
    if let Some(terminal) = terminal {
        for number in 0..3 {
            execute::duplicate_to(terminal, number).at(Stage::Streams)?;
        }
        return rustix::process::ioctl_tiocsctty(terminal).at(Stage::Terminal);
    }
    if let Streams::Files(files) = job.streams {
        for (number, file) in (0..3).zip(files) {
            // Pipes of the shim belong to root; the user must be able to open them again as /dev/stdout.
            if job.process.uid != 0 {
                give_away(file, job.process.uid);
            }
            execute::duplicate_to(file, number).at(Stage::Streams)?;
        }
    }
    Ok(())
}

/// Makes a pipe or socket the user's. Files of others, such as `/dev/null`, stay as they are.
fn give_away(file: BorrowedFd<'_>, uid: u32) {
    use rustix::fs::FileType;
    let kind = rustix::fs::fstat(file).map(|status| FileType::from_raw_mode(status.st_mode));
    if matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        // Not possible for every kind of file; the command then cannot open the stream by name, as under runc.
        let _ = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), None);
    }
}

fn set_limits(limits: &[(Resource, Rlimit)]) -> Result<(), Failure> {
    for (index, (resource, limit)) in limits.iter().enumerate() {
        match rustix::process::setrlimit(*resource, *limit) {
            // Without CAP_SYS_RESOURCE a hard limit cannot be raised: the container gets as much as the engine itself has.
            Err(Errno::PERM) => rustix::process::setrlimit(*resource, lowered(*resource, *limit)),
            other => other,
        }
        .at_index(Stage::ResourceLimit, index)?;
    }
    Ok(())
}

fn lowered(resource: Resource, limit: Rlimit) -> Rlimit {
    let possible = rustix::process::getrlimit(resource).maximum;
    let smaller = |value: Option<u64>| match (value, possible) {
        (Some(value), Some(possible)) => Some(value.min(possible)),
        (value, possible) => value.or(possible),
    };
    Rlimit {
        current: smaller(limit.current),
        maximum: smaller(limit.maximum),
    }
}

fn drop_bounding(keep: u64) -> Result<(), Errno> {
    for number in 0..64 {
        if keep & 1 << number != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The kernel knows no capability from here on.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn change_directory(process: &ProcessPlan) -> Result<(), Errno> {
    rustix::process::chdir(process.directory.as_c_str())?;
    match execute::current_directory_is_reachable() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Errno::NOENT),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::NOENT)),
    }
}

fn set_user(process: &ProcessPlan) -> Result<(), Failure> {
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    rustix::thread::set_thread_groups(&process.groups).at(Stage::Groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(Stage::Groups)?;
    rustix::thread::set_keep_capabilities(true).at(Stage::Capabilities)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(Stage::User)?;
    rustix::thread::set_keep_capabilities(false).at(Stage::Capabilities)
}

/// Sets the final capabilities and installs the filter.
fn restrict(job: &Job<'_>) -> Result<(), Failure> {
    let process = job.process;
    let own = rustix::thread::capabilities(None).at(Stage::Capabilities)?;
    // Kept as they are when the configuration does not speak of them; a new user still loses the effective ones.
    let wished = process.capabilities.unwrap_or(CapabilityPlan {
        bounding: 0,
        effective: own.effective.bits(),
        permitted: own.permitted.bits(),
        inheritable: own.inheritable.bits(),
        ambient: 0,
    });
    // What this machine withholds from the engine (a container in a container) it cannot pass on.
    let possible = own.permitted.bits();
    if let Some(filter) = job.filter {
        if !process.no_new_privileges {
            set_capabilities(&wished, possible, SYS_ADMIN)?;
        } else {
            set_capabilities(&wished, possible, 0)?;
        }
        raise_ambient(&wished);
        hyperbox_sys::seccomp::install_filter(filter.program(), filter.flags()).at(Stage::Seccomp)?;
        if !process.no_new_privileges {
            set_capabilities(&wished, possible, 0)?;
        }
    } else {
        set_capabilities(&wished, possible, 0)?;
        raise_ambient(&wished);
    }
    Ok(())
}

fn set_capabilities(wished: &CapabilityPlan, possible: u64, also: u64) -> Result<(), Failure> {
    let permitted = (wished.permitted | also) & possible;
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain((wished.effective | also) & permitted),
        permitted: CapabilitySet::from_bits_retain(permitted),
        inheritable: CapabilitySet::from_bits_retain(wished.inheritable & possible),
    };
    rustix::thread::set_capabilities(None, sets).at(Stage::Capabilities)
}

/// An ambient capability that is not also permitted and inheritable cannot be raised; it is left out, as under runc.
fn raise_ambient(wished: &CapabilityPlan) {
    for number in 0..64 {
        if wished.ambient & 1 << number != 0 {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            let _ = rustix::thread::configure_capability_in_ambient_set(capability, true);
        }
    }
}
