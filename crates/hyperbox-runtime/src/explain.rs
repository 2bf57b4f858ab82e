// SPDX-License-Identifier: MIT
//! What a child's failure means in words. Pure.

use crate::child::ContainerSetup;
use crate::error::StartError;
use crate::plan::process::{ProcessPlan, command_error};
use crate::report::{ExecFault, Failure, Stage};

/// Makes an error of a failure, with the names of what the child knew by number only.
pub(crate) fn explain(failure: Failure, process: &ProcessPlan, setup: Option<&ContainerSetup>) -> StartError {
    if failure.stage == Stage::Execute {
        return command_error(
            &process.shown_command,
            ExecFault::from_number(failure.index),
            failure.errno,
        );
    }
    StartError::system(operation(failure, process, setup), failure.errno)
}

fn operation(failure: Failure, process: &ProcessPlan, setup: Option<&ContainerSetup>) -> String {
    let index = failure.index as usize;
    let named = setup.and_then(|setup| object(failure.stage, index, setup));
    let object = || named.clone().unwrap_or_else(|| format!("number {index}"));
    match failure.stage {
        Stage::Session => "make a session".to_owned(),
        Stage::JoinNamespace => match setup {
            Some(_) => format!("join a namespace ({})", object()),
            None => "join the namespaces of the container".to_owned(),
        },
        Stage::NewNamespace => "make a cgroup namespace".to_owned(),
        Stage::Go => "hear from the parent process".to_owned(),
        Stage::Identity => "become root of the user namespace".to_owned(),
        Stage::Propagation => "separate the mount namespace".to_owned(),
        Stage::AttachRoot => "attach the root filesystem".to_owned(),
        Stage::Mount => object(),
        Stage::WorkingDirectory => format!("make the working directory {:?}", process.shown_directory()),
        Stage::Device => format!("make the device {}", object()),
        Stage::DeviceLink => "make the links in /dev".to_owned(),
        Stage::Terminal => "open a terminal in the container's /dev/pts".to_owned(),
        Stage::Console => "show the terminal as /dev/console".to_owned(),
        Stage::MaskPath => format!("mask {}", object()),
        Stage::ReadOnlyPath => format!("make {} read-only", object()),
        Stage::ReadOnlyRoot => "make the root filesystem read-only".to_owned(),
        Stage::PivotRoot => "change the root".to_owned(),
        Stage::RootPropagation => "set the propagation of the root".to_owned(),
        Stage::Sysctl => format!("set sysctl {}", object()),
        Stage::HostName => "set the host name".to_owned(),
        Stage::DomainName => "set the domain name".to_owned(),
        Stage::ResourceLimit => format!(
            "set the resource limit {}",
            process
                .limits
                .get(index)
                .map_or_else(object, |(resource, _)| format!("{resource:?}").to_lowercase())
        ),
        Stage::OomScore => "set oom_score_adj".to_owned(),
        Stage::Personality => "set the personality".to_owned(),
        Stage::SecurityProfile => "set the AppArmor profile".to_owned(),
        Stage::Streams => "set the standard streams".to_owned(),
        Stage::Groups => format!("become group {}", process.gid),
        Stage::User => format!("become user {}", process.uid),
        Stage::Capabilities => "set capabilities".to_owned(),
        Stage::NoNewPrivileges => "set no_new_privs".to_owned(),
        Stage::ChangeDirectory => format!("change to the working directory {:?}", process.shown_directory()),
        Stage::Seccomp => "install the system call filter".to_owned(),
        Stage::Execute => format!("execute {:?}", process.shown_command),
    }
}

fn object(stage: Stage, index: usize, setup: &ContainerSetup) -> Option<String> {
    let plan = &setup.plan;
    Some(match stage {
        Stage::Mount => plan.mounts.get(index)?.to_string(),
        Stage::Device => plan.devices.as_ref()?.get(index)?.target.shown.display().to_string(),
        Stage::MaskPath => plan.masked.get(index)?.shown.display().to_string(),
        Stage::ReadOnlyPath => plan.read_only.get(index)?.shown.display().to_string(),
        Stage::Sysctl => format!("{:?}", plan.sysctls.get(index)?.name),
        _ => return None,
    })
}
