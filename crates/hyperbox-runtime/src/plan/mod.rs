// SPDX-License-Identifier: MIT
//! From an OCI runtime specification to what is to be done: decided, checked and laid out before anything happens. Pure.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod mounts;
pub(crate) mod namespaces;
mod options;
pub(crate) mod process;
pub(crate) mod sysctl;
pub(crate) mod target;

use std::path::{Path, PathBuf};

use hyperbox_sys::spawn::NewNamespaces;
use oci_spec::runtime::{Linux, LinuxPersonalityDomain, Spec};
use rustix::mount::MountPropagationFlags;

use self::devices::DevicePlan;
use self::mounts::MountPlan;
use self::namespaces::NamespacePlan;
use self::sysctl::Sysctl;
use self::target::{Target, TargetKind};
use crate::cgroup::hierarchy::hierarchies;
use crate::error::StartError;

/// A container, decided.
#[derive(Debug)]
pub(crate) struct Plan {
    pub namespaces: NamespacePlan,
    pub mounts: Vec<MountPlan>,
    /// Devices to make, with the links of `/dev`; `None` when the specification binds a `/dev` of its own.
    pub devices: Option<Vec<DevicePlan>>,
    pub masked: Vec<Target>,
    pub read_only: Vec<Target>,
    pub read_only_root: bool,
    pub root_propagation: MountPropagationFlags,
    pub sysctls: Vec<Sysctl>,
    pub host_name: Option<String>,
    pub domain_name: Option<String>,
    pub personality: Option<u64>,
    pub cgroup: Option<PathBuf>,
}

impl Plan {
    /// Decides a container. `network_joined`: its network namespace is handed over beside the specification.
    pub(crate) fn new(spec: &Spec, network_joined: bool) -> Result<Self, StartError> {
        let none = Linux::default();
        let linux = spec.linux().as_ref().unwrap_or(&none);
        refuse_unsupported(spec, linux)?;
        let namespaces = NamespacePlan::new(linux, network_joined)?;
        refuse_names_of_the_host(spec, &namespaces)?;
        let mounts = mounts::mounts(spec)?;
        Ok(Self {
            devices: devices::devices(linux, &mounts)?,
            masked: targets(linux.masked_paths().as_deref(), "maskedPaths")?,
            read_only: targets(linux.readonly_paths().as_deref(), "readonlyPaths")?,
            read_only_root: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
            root_propagation: root_propagation(linux.rootfs_propagation().as_deref())?,
            sysctls: sysctl::sysctls(linux, &namespaces)?,
            host_name: spec.hostname().clone().filter(|name| !name.is_empty()),
            domain_name: spec.domainname().clone().filter(|name| !name.is_empty()),
            personality: linux
                .personality()
                .as_ref()
                .map(|personality| match personality.domain() {
                    LinuxPersonalityDomain::PerLinux => 0,
                    LinuxPersonalityDomain::PerLinux32 => 8,
                }),
            cgroup: cgroup_path(linux)?,
            namespaces,
            mounts,
        })
    }
}

fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), StartError> {
    let hooks = spec.hooks().as_ref().is_some_and(|hooks| {
        [
            hooks.create_runtime(),
            hooks.create_container(),
            hooks.start_container(),
            hooks.poststart(),
            hooks.poststop(),
        ]
        .into_iter()
        .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
    });
    let empty_label = |label: &Option<String>| label.as_deref().unwrap_or_default().is_empty();
    let refused = [
        (hooks, "a hook"),
        (linux.intel_rdt().is_some(), "intelRdt"),
        (!empty_label(linux.mount_label()), "a SELinux mount label"),
        (
            spec.process()
                .as_ref()
                .is_some_and(|process| !empty_label(process.selinux_label())),
            "a SELinux process label",
        ),
    ];
    match refused.into_iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(StartError::unsupported(what)),
        None => Ok(()),
    }
}

/// Names set in the machine's UTS namespace would be the machine's.
fn refuse_names_of_the_host(spec: &Spec, namespaces: &NamespacePlan) -> Result<(), StartError> {
    if namespaces.separates(NewNamespaces::UTS) {
        return Ok(());
    }
    let given = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    if given(spec.hostname()) {
        return Err(StartError::invalid(
            "unable to set hostname without a private UTS namespace",
        ));
    }
    if given(spec.domainname()) {
        return Err(StartError::invalid(
            "sysctl \"kernel.domainname\" is not in a separate kernel namespace",
        ));
    }
    Ok(())
}

fn targets(paths: Option<&[String]>, field: &str) -> Result<Vec<Target>, StartError> {
    paths
        .unwrap_or_default()
        .iter()
        .map(|path| {
            Target::new(Path::new(path), TargetKind::Directory)
                .ok_or_else(|| StartError::invalid(format!("linux.{field} contains {path:?}")))
        })
        .collect()
}

fn root_propagation(word: Option<&str>) -> Result<MountPropagationFlags, StartError> {
    let (recursive, base) = match word.unwrap_or_default() {
        "" => return Ok(MountPropagationFlags::empty()),
        word => match word.strip_prefix('r') {
            Some(base) => (MountPropagationFlags::REC, base),
            None => (MountPropagationFlags::empty(), word),
        },
    };
    let flag = match base {
        // Every mount of a container starts private, so nothing is left to do.
        "private" => return Ok(MountPropagationFlags::empty()),
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return Err(StartError::invalid(format!("linux.rootfsPropagation is {word:?}"))),
    };
    Ok(flag | recursive)
}

/// Returns every directory that may become a cgroup of this container, whatever runtime starts it: its path in each hierarchy of
/// the machine. None of them need ever exist.
pub fn possible_cgroups(spec: &Spec) -> Vec<PathBuf> {
    let Some(Ok(Some(path))) = spec.linux().as_ref().map(cgroup_path) else {
        return Vec::new();
    };
    let relative = path.strip_prefix("/").unwrap_or(&path);
    hierarchies()
        .iter()
        .map(|hierarchy| hierarchy.mount.join(relative))
        .collect()
}

/// Returns the path of the container's cgroup, below the root of each hierarchy.
fn cgroup_path(linux: &Linux) -> Result<Option<PathBuf>, StartError> {
    let Some(path) = linux.cgroups_path() else {
        return Ok(None);
    };
    if path.to_string_lossy().contains(':') {
        return Err(StartError::unsupported("a systemd cgroup path"));
    }
    let path = target::normalise(path);
    if path == Path::new("/") {
        return Err(StartError::invalid("linux.cgroupsPath is the root"));
    }
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<Plan, String> {
        let spec: Spec = serde_json::from_str(json).unwrap();
        Plan::new(&spec, false).map_err(|error| error.to_string())
    }

    #[test]
    fn refusals_name_the_field() {
        for (json, text) in [
            (
                r#"{"hooks":{"createRuntime":[{"path":"/x"}]}}"#,
                "a hook is not supported by the embedded runtime",
            ),
            (
                r#"{"linux":{"cgroupsPath":"a.slice:b:c"}}"#,
                "a systemd cgroup path is not supported by the embedded runtime",
            ),
            (
                r#"{"linux":{"cgroupsPath":"/../"}}"#,
                "invalid runtime configuration: linux.cgroupsPath is the root",
            ),
            (
                r#"{"hostname":"box","linux":{}}"#,
                "invalid runtime configuration: unable to set hostname without a private UTS namespace",
            ),
            (
                r#"{"domainname":"example.org","linux":{}}"#,
                "invalid runtime configuration: sysctl \"kernel.domainname\" is not in a separate kernel namespace",
            ),
            (
                r#"{"linux":{"rootfsPropagation":"sideways"}}"#,
                "invalid runtime configuration: linux.rootfsPropagation is Some(\"sideways\")",
            ),
            (
                r#"{"linux":{"maskedPaths":["/"]}}"#,
                "invalid runtime configuration: linux.maskedPaths contains \"/\"",
            ),
            (
                r#"{"linux":{"namespaces":[{"type":"mount"}],"sysctl":{"net.ipv4.ip_forward":"1"}}}"#,
                "invalid runtime configuration: sysctl \"net.ipv4.ip_forward\" is not in a separate kernel namespace",
            ),
        ] {
            let spec = if json.contains("namespaces") || !json.contains("\"linux\":{") {
                json.to_owned()
            } else {
                json.replace("\"linux\":{", "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],")
                    .replace(",}", "}")
            };
            assert_eq!(plan(&spec).unwrap_err(), text, "{json}");
        }
    }

    #[test]
    fn root_propagations() {
        assert_eq!(
            root_propagation(Some("rshared")).unwrap(),
            MountPropagationFlags::SHARED | MountPropagationFlags::REC
        );
        assert_eq!(
            root_propagation(Some("rprivate")).unwrap(),
            MountPropagationFlags::empty()
        );
    }
}
