// SPDX-License-Identifier: MIT
//! Holds a process and cgroups that are not a container yet, and undoes both unless they become one.

use std::os::fd::AsFd;

use hyperbox_sys::spawn::Spawned;
use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::cgroup::Cgroups;

/// The guard.
#[derive(Debug)]
pub(crate) struct Hold {
    spawned: Option<Spawned>,
    cgroups: Option<Cgroups>,
}

impl Hold {
    /// Holds cgroups, which are removed unless released.
    pub(crate) fn new(cgroups: Cgroups) -> Self {
        Self {
            spawned: None,
            cgroups: Some(cgroups),
        }
    }

    /// Holds a process only.
    pub(crate) fn process_only(spawned: Spawned) -> Self {
        Self {
            spawned: Some(spawned),
            cgroups: None,
        }
    }

    /// Returns the cgroups.
    pub(crate) fn cgroups(&self) -> &Cgroups {
        self.cgroups.as_ref().expect("cgroups are taken out only by `release`")
    }

    /// Holds a process too, which is killed and reaped unless released. Returns its id.
    pub(crate) fn own(&mut self, spawned: Spawned) -> u32 {
        let pid = spawned.pid;
        self.spawned = Some(spawned);
        pid
    }

    /// Lets both go: they are a container now.
    pub(crate) fn release(mut self) -> (Spawned, Cgroups) {
        let spawned = self.spawned.take().expect("a process is held before it is released");
        let cgroups = self.cgroups.take().expect("cgroups are taken out only here");
        (spawned, cgroups)
    }

    /// Lets a process go that was held alone.
    pub(crate) fn release_process(mut self) -> Spawned {
        self.spawned.take().expect("a process is held before it is released")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(spawned) = &self.spawned {
            reap(spawned);
        }
        if let Some(cgroups) = &self.cgroups {
            // There is nobody to report to: a group that stays is made anew under its name by the next start.
            drop(cgroups.kill_all());
            drop(cgroups.remove());
        }
    }
}

/// Kills a child and waits until it is gone.
pub(crate) fn reap(spawned: &Spawned) {
    // Both fail only when it is gone already.
    let _ = rustix::process::pidfd_send_signal(&spawned.pidfd, Signal::KILL);
    let _ = rustix::io::retry_on_intr(|| {
        rustix::process::waitid(WaitId::PidFd(spawned.pidfd.as_fd()), WaitIdOptions::EXITED)
    });
}
