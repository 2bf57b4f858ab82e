// SPDX-License-Identifier: MIT
//! Limits of `hyperbox.toml` in the words of the daemon.

use hyperbox_project::settings::Limits;
use hyperbox_types::project::{IoLimits, ProjectLimits};

/// Says them.
pub(crate) fn of_settings(limits: &Limits) -> ProjectLimits {
    let io = IoLimits {
        read_bytes: limits.io.read,
        write_bytes: limits.io.write,
        read_operations: limits.io.read_operations,
        write_operations: limits.io.write_operations,
        weight: limits.io.weight,
    };
    ProjectLimits {
        cpus: limits.cpus,
        memory: limits.memory,
        pids: limits.pids,
        io: (io != IoLimits::default()).then_some(io),
    }
}
