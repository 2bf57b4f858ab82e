// SPDX-License-Identifier: MIT
//! Capabilities of the OCI specification as the kernel's bit numbers (`linux/capability.h`). Pure.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities};

/// The five sets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CapabilityPlan {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

impl CapabilityPlan {
    /// Takes the sets of the configuration; an absent set is empty.
    pub(crate) fn new(capabilities: &LinuxCapabilities) -> Self {
        let set = |set: &Option<HashSet<Capability>>| set.as_ref().map_or(0, bits);
        Self {
            bounding: set(capabilities.bounding()),
            effective: set(capabilities.effective()),
            permitted: set(capabilities.permitted()),
            inheritable: set(capabilities.inheritable()),
            ambient: set(capabilities.ambient()),
        }
    }
}

fn bits(set: &HashSet<Capability>) -> u64 {
    set.iter().fold(0, |bits, capability| bits | 1 << number(*capability))
}

fn number(capability: Capability) -> u32 {
    match capability {
        Capability::Chown => 0,
        Capability::DacOverride => 1,
        Capability::DacReadSearch => 2,
        Capability::Fowner => 3,
        Capability::Fsetid => 4,
        Capability::Kill => 5,
        Capability::Setgid => 6,
        Capability::Setuid => 7,
        Capability::Setpcap => 8,
        Capability::LinuxImmutable => 9,
        Capability::NetBindService => 10,
        Capability::NetBroadcast => 11,
        Capability::NetAdmin => 12,
        Capability::NetRaw => 13,
        Capability::IpcLock => 14,
        Capability::IpcOwner => 15,
        Capability::SysModule => 16,
        Capability::SysRawio => 17,
        Capability::SysChroot => 18,
        Capability::SysPtrace => 19,
        Capability::SysPacct => 20,
        Capability::SysAdmin => 21,
        Capability::SysBoot => 22,
        Capability::SysNice => 23,
        Capability::SysResource => 24,
        Capability::SysTime => 25,
        Capability::SysTtyConfig => 26,
        Capability::Mknod => 27,
        Capability::Lease => 28,
        Capability::AuditWrite => 29,
        Capability::AuditControl => 30,
        Capability::Setfcap => 31,
        Capability::MacOverride => 32,
        Capability::MacAdmin => 33,
        Capability::Syslog => 34,
        Capability::WakeAlarm => 35,
        Capability::BlockSuspend => 36,
        Capability::AuditRead => 37,
        Capability::Perfmon => 38,
        Capability::Bpf => 39,
        Capability::CheckpointRestore => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_become_bits() {
        let json = r#"{"bounding":["CAP_CHOWN","CAP_SYS_ADMIN"],"ambient":["CAP_CHECKPOINT_RESTORE"]}"#;
        let plan = CapabilityPlan::new(&serde_json::from_str(json).unwrap());
        assert_eq!(plan.bounding, 1 | 1 << 21);
        assert_eq!(plan.ambient, 1 << 40);
        assert_eq!(plan.permitted, 0);
    }
}
