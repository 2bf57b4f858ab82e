// SPDX-License-Identifier: MIT
//! Kernel parameters of a container: only those that a namespace of its own separates from the host's. Pure.

use std::ffi::CString;

use hyperbox_sys::spawn::NewNamespaces;
use oci_spec::runtime::Linux;

use super::namespaces::NamespacePlan;
use super::target::c_string;
use crate::error::StartError;

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// One parameter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sysctl {
    /// Its name, for messages.
    pub name: String,
    /// Its file below `/proc/sys`.
    pub path: CString,
    /// Its value.
    pub value: CString,
}

/// Checks and lays out the parameters, in the order of their names.
pub(crate) fn sysctls(linux: &Linux, namespaces: &NamespacePlan) -> Result<Vec<Sysctl>, StartError> {
    let Some(map) = linux.sysctl() else {
        return Ok(Vec::new());
    };
    let mut list = map
        .iter()
        .map(|(name, value)| {
            let dotted = name.replace('/', ".");
            if !is_separate(&dotted, namespaces) {
                return Err(StartError::invalid(format!(
                    "sysctl {name:?} is not in a separate kernel namespace"
                )));
            }
            layout(name, value)
        })
        .collect::<Result<Vec<_>, _>>()?;
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

fn is_separate(name: &str, namespaces: &NamespacePlan) -> bool {
    if name.split('.').any(str::is_empty) {
        return false;
    }
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return namespaces.separates(NewNamespaces::IPC);
    }
    if name.starts_with("net.") {
        return namespaces.network_is_separate();
    }
    (name == "kernel.domainname" || name == "kernel.hostname") && namespaces.separates(NewNamespaces::UTS)
}

fn layout(name: &str, value: &str) -> Result<Sysctl, StartError> {
    // A name with slashes may contain dots (of an interface); without, dots separate (`sysctl(8)`).
    let path = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    let zero = || StartError::invalid(format!("sysctl {name:?} contains a zero byte"));
    Ok(Sysctl {
        name: name.to_owned(),
        path: c_string(format!("/proc/sys/{path}")).ok_or_else(zero)?,
        value: c_string(value).ok_or_else(zero)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_separate_ones() {
        let namespaces = NamespacePlan {
            new: NewNamespaces::IPC.with(NewNamespaces::NETWORK),
            ..NamespacePlan::default()
        };
        for (name, fine) in [
            ("net.ipv4.ip_forward", true),
            ("net/ipv4/conf/eth0.1/forwarding", true),
            ("kernel.shmmax", true),
            ("fs.mqueue.msg_max", true),
            ("kernel.hostname", false),
            ("kernel.panic", false),
            ("net...kernel.panic", false),
            ("net/../kernel/panic", false),
            ("vm.swappiness", false),
        ] {
            assert_eq!(is_separate(&name.replace('/', "."), &namespaces), fine, "{name}");
        }
        let sysctl = layout("net.ipv4.ip_forward", "1").unwrap();
        assert_eq!(sysctl.path.to_str().unwrap(), "/proc/sys/net/ipv4/ip_forward");
    }
}
