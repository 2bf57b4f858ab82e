// SPDX-License-Identifier: MIT
//! The last step: becoming the command.

use std::ffi::CStr;

use hyperbox_sys::execute::execute;
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::plan::process::{Lookup, ProcessPlan};
use crate::report::{ExecFault, Failure, IntoErrno, Stage};

/// Replaces this process; returns only the reason why it could not.
pub(super) fn become_command(process: &ProcessPlan) -> Failure {
    let (fault, errno) = match &process.lookup {
        Lookup::Path(path) => {
            let errno = try_execute(process, path);
            (diagnose(path, errno), errno)
        }
        Lookup::Candidates(candidates) => try_candidates(process, candidates),
    };
    Failure {
        stage: Stage::Execute,
        index: fault as u32,
        errno,
    }
}

fn try_execute(process: &ProcessPlan, path: &CStr) -> Errno {
    execute(path, &process.arguments, &process.environment).into_errno()
}

/// Tries one directory of `PATH` after the other. What is missing or not executable does not count, as with Go's `LookPath`.
fn try_candidates(process: &ProcessPlan, candidates: &[std::ffi::CString]) -> (ExecFault, Errno) {
    for path in candidates {
        // Cheaper than an execution that fails; what else is wrong with it the execution tells.
        if matches!(
            rustix::fs::stat(path.as_c_str()),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::NAMETOOLONG | Errno::LOOP)
        ) {
            continue;
        }
        let errno = try_execute(process, path);
        match errno {
            Errno::NOENT if is_executable_file(path) => return (ExecFault::NoInterpreter, errno),
            Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::NAMETOOLONG | Errno::LOOP => {}
            errno => return (ExecFault::Other, errno),
        }
    }
    (ExecFault::NotInPath, Errno::NOENT)
}

fn diagnose(path: &CStr, errno: Errno) -> ExecFault {
    match errno {
        Errno::NOENT if is_executable_file(path) => ExecFault::NoInterpreter,
        Errno::NOENT => ExecFault::NoFile,
        Errno::ACCESS if is_kind(path, FileType::Directory) => ExecFault::Directory,
        Errno::ACCESS => ExecFault::Denied,
        _ => ExecFault::Other,
    }
}

fn is_executable_file(path: &CStr) -> bool {
    is_kind(path, FileType::RegularFile) && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()).is_ok()
}

fn is_kind(path: &CStr, kind: FileType) -> bool {
    rustix::fs::stat(path).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == kind)
}
