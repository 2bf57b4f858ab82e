// SPDX-License-Identifier: MIT
//! Freezing, killing, listing and removing everything in a container's cgroups.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::Timespec;
use rustix::process::{Pid, Signal};

use super::setting::write_value;
use super::{CgroupError, Cgroups};

/// How long the kernel gets to freeze a group or to let go of one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(1);

impl Cgroups {
    /// Freezes all processes and waits until they are.
    ///
    /// # Errors
    /// The group is gone, or did not freeze in five seconds.
    pub fn pause(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Thaws all processes.
    ///
    /// # Errors
    /// The group is gone, or did not thaw in five seconds.
    pub fn resume(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    /// Returns whether all processes are frozen.
    pub fn is_paused(&self) -> bool {
        if let Some(path) = self.version_two() {
            return frozen_two(path);
        }
        self.version_one("freezer")
            .is_some_and(|path| state_one(path) == "FROZEN")
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        let verb = if frozen { "freeze" } else { "thaw" };
        let (path, file, value) = if let Some(path) = self.version_two() {
            (path, "cgroup.freeze", if frozen { "1" } else { "0" })
        } else if let Some(path) = self.version_one("freezer") {
            (path, "freezer.state", if frozen { "FROZEN" } else { "THAWED" })
        } else {
            return Err(CgroupError::NoController {
                controller: "freezer".to_owned(),
            });
        };
        let failed = |error| CgroupError::system(format!("{verb} {}", path.display()), error);
        let file = path.join(file);
        write_value(&file, value).map_err(failed)?;
        let done = wait_until(|| {
            if self.is_paused() == frozen {
                return true;
            }
            // A version-1 group that gained a process meanwhile has to be told again.
            file.ends_with("freezer.state") && write_value(&file, value).is_err()
        });
        if done {
            return Ok(());
        }
        if frozen {
            // Half frozen is worse than not frozen.
            drop(self.set_frozen(false));
        }
        Err(failed(io::ErrorKind::TimedOut.into()))
    }

    /// Returns the ids of all processes, those of groups that the container made inside included.
    ///
    /// # Errors
    /// The group is gone.
    pub fn processes(&self) -> Result<Vec<u32>, CgroupError> {
        let Some(path) = self.paths().first() else {
            return Ok(Vec::new());
        };
        let mut pids = Vec::new();
        collect_processes(path, &mut pids)
            .map_err(|error| CgroupError::system(format!("list the processes of {}", path.display()), error))?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Kills all processes. They may still be dying when this returns.
    ///
    /// # Errors
    /// The processes cannot be listed. Groups that are gone are no error.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if let Some(path) = self.version_two() {
            match write_value(&path.join("cgroup.kill"), "1") {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => return Ok(()),
                // Kernels before 5.14 kill one by one.
                Err(_) => {}
            }
        }
        if self.paths().first().is_none_or(|path| !path.exists()) {
            return Ok(());
        }
        // Frozen, a group cannot fork faster than it is killed.
        let frozen = self.pause().is_ok();
        let killed = self.processes().map(|pids| pids.into_iter().for_each(kill));
        if frozen {
            drop(self.resume());
        }
        killed
    }

    /// Removes the groups with all groups that the container made inside. The processes must have ended; those that are just
    /// ending are waited for. Groups that are gone already are no error.
    ///
    /// # Errors
    /// A group still has processes after five seconds. All groups are tried; the first error is returned.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for path in self.paths() {
            let mut result = Ok(());
            wait_until(|| {
                result = remove_tree(path);
                !matches!(&result, Err(error) if error.kind() == io::ErrorKind::ResourceBusy)
            });
            if let (Err(error), true) = (result, first.is_ok()) {
                first = Err(CgroupError::system(format!("remove cgroup {}", path.display()), error));
            }
        }
        first
    }
}

fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        // It may have ended since it was listed; its number is not given anew while its group is frozen.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn frozen_two(path: &Path) -> bool {
    std::fs::read_to_string(path.join("cgroup.events")).is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
}

fn state_one(path: &Path) -> String {
    std::fs::read_to_string(path.join("freezer.state")).map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

/// Looks again and again until `done` or out of patience. The kernel notifies of neither change in version 1.
pub(super) fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > PATIENCE {
            return false;
        }
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(PAUSE.subsec_nanos()),
        };
        // Woken early it only looks earlier.
        let _ = rustix::thread::nanosleep(&pause);
    }
}

pub(super) fn directories(path: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list.push(entry.path());
        }
    }
    Ok(list)
}

pub(super) fn collect_processes(path: &Path, pids: &mut Vec<u32>) -> io::Result<()> {
    let text = std::fs::read_to_string(path.join("cgroup.procs"))?;
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for below in directories(path)? {
        match collect_processes(&below, pids) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match rustix::fs::unlinkat(rustix::fs::CWD, path, rustix::fs::AtFlags::REMOVEDIR) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(rustix::io::Errno::BUSY | rustix::io::Errno::NOTEMPTY) => {}
        Err(error) => return Err(error.into()),
    }
    for below in directories(path)? {
        remove_tree(&below)?;
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
