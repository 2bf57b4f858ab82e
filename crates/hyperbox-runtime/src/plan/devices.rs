// SPDX-License-Identifier: MIT
//! The device nodes of a container. Pure.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};
use rustix::fs::FileType;

use super::mounts::{Content, MountPlan};
use super::target::{Target, TargetKind};
use crate::error::StartError;

/// The devices that the OCI specification promises every container ("Default Devices"). `/dev/ptmx` and `/dev/console` are made
/// elsewhere.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// One device node.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DevicePlan {
    /// Where.
    pub target: Target,
    /// Character device, block device or pipe.
    pub kind: FileType,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// Decides all devices; `None` when the container brings its own `/dev` along by a bind mount.
pub(crate) fn devices(linux: &Linux, mounts: &[MountPlan]) -> Result<Option<Vec<DevicePlan>>, StartError> {
    let own = mounts
        .iter()
        .any(|mount| mount.destination == Path::new("/dev") && matches!(mount.content, Content::Bind { .. }));
    if own {
        return Ok(None);
    }
    let mut plans = Vec::new();
    let configured = linux.devices().as_deref().unwrap_or_default();
    for (path, major, minor) in DEFAULTS {
        if !configured.iter().any(|device| device.path() == Path::new(path)) {
            plans.push(DevicePlan {
                target: target(&PathBuf::from(path))?,
                kind: FileType::CharacterDevice,
                number: (major, minor),
                mode: 0o666,
                owner: (0, 0),
            });
        }
    }
    for device in configured {
        // Both are made by the runtime itself, for the container's own terminals.
        if device.path() != Path::new("/dev/ptmx") && device.path() != Path::new("/dev/console") {
            plans.push(plan(device)?);
        }
    }
    Ok(Some(plans))
}

fn target(path: &Path) -> Result<Target, StartError> {
    Target::new(path, TargetKind::File)
        .ok_or_else(|| StartError::invalid(format!("a device has the path {:?}", path.display().to_string())))
}

fn plan(device: &LinuxDevice) -> Result<DevicePlan, StartError> {
    let shown = device.path().display();
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(StartError::invalid(format!("the device {shown} has the type \"a\""))),
    };
    let number = |number: i64| {
        u32::try_from(number).map_err(|_| StartError::invalid(format!("the device {shown} has the number {number}")))
    };
    Ok(DevicePlan {
        target: target(device.path())?,
        kind,
        number: (number(device.major())?, number(device.minor())?),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_can_be_overridden() {
        let linux: Linux = serde_json::from_str(
            r#"{"devices":[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384,"uid":5},
                {"path":"/dev/console","type":"c","major":5,"minor":1},{"path":"/dev/x","type":"p","major":0,"minor":0}]}"#,
        )
        .unwrap();
        let plans = devices(&linux, &[]).unwrap().unwrap();
        assert_eq!(plans.len(), 7);
        let null = plans
            .iter()
            .find(|plan| plan.target.shown == Path::new("/dev/null"))
            .unwrap();
        assert_eq!((null.mode, null.owner), (0o600, (5, 0)));
        assert!(plans.iter().all(|plan| plan.target.shown != Path::new("/dev/console")));
    }
}
