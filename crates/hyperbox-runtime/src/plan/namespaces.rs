// SPDX-License-Identifier: MIT
//! Which namespaces a container gets, and which it joins. Pure.

use std::path::PathBuf;

use hyperbox_sys::spawn::NewNamespaces;
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

use crate::error::StartError;

/// The namespaces of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NamespacePlan {
    /// Made new.
    pub new: NewNamespaces,
    /// Joined, by path.
    pub joined: Vec<(NewNamespaces, PathBuf)>,
    /// The network namespace comes as a descriptor.
    pub network_given: bool,
    /// Text for `uid_map` and `gid_map` of a new user namespace.
    pub id_maps: Option<(String, String)>,
}

impl NamespacePlan {
    /// Decides the namespaces. With `network_joined` the network namespace comes as a descriptor, whatever the list says.
    pub(crate) fn new(linux: &Linux, network_joined: bool) -> Result<Self, StartError> {
        let mut plan = Self {
            network_given: network_joined,
            ..Self::default()
        };
        for namespace in linux.namespaces().as_deref().unwrap_or_default() {
            let kind = kind(namespace.typ())?;
            if network_joined && kind == NewNamespaces::NETWORK {
                continue;
            }
            match namespace.path() {
                Some(path) if !path.as_os_str().is_empty() => plan.joined.push((kind, path.clone())),
                _ => plan.new = plan.new.with(kind),
            }
        }
        if !plan.new.contains(NewNamespaces::MOUNT) {
            return Err(StartError::unsupported(
                "a container without a mount namespace of its own",
            ));
        }
        if plan.new.contains(NewNamespaces::USER) {
            plan.id_maps = Some((
                id_map(linux.uid_mappings(), "uid")?,
                id_map(linux.gid_mappings(), "gid")?,
            ));
        }
        // A user namespace decides the rights over all others: it comes first.
        plan.joined.sort_by_key(|(kind, _)| *kind != NewNamespaces::USER);
        Ok(plan)
    }

    /// Returns whether processes of the container see other namespaces of that kind than the host's.
    pub(crate) fn separates(&self, kind: NewNamespaces) -> bool {
        self.new.contains(kind) || self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Returns whether the container's network is not the host's.
    pub(crate) fn network_is_separate(&self) -> bool {
        self.network_given || self.separates(NewNamespaces::NETWORK)
    }
}

fn kind(kind: LinuxNamespaceType) -> Result<NewNamespaces, StartError> {
    Ok(match kind {
        LinuxNamespaceType::Mount => NewNamespaces::MOUNT,
        LinuxNamespaceType::Cgroup => NewNamespaces::CGROUP,
        LinuxNamespaceType::Uts => NewNamespaces::UTS,
        LinuxNamespaceType::Ipc => NewNamespaces::IPC,
        LinuxNamespaceType::User => NewNamespaces::USER,
        LinuxNamespaceType::Pid => NewNamespaces::PID,
        LinuxNamespaceType::Network => NewNamespaces::NETWORK,
        LinuxNamespaceType::Time => return Err(StartError::unsupported("a time namespace")),
    })
}

fn id_map(mappings: &Option<Vec<LinuxIdMapping>>, what: &str) -> Result<String, StartError> {
    let mappings = mappings.as_deref().unwrap_or_default();
    if mappings.is_empty() {
        return Err(StartError::invalid(format!("a user namespace without {what} mappings")));
    }
    Ok(mappings.iter().fold(String::new(), |text, map| {
        format!("{text}{} {} {}\n", map.container_id(), map.host_id(), map.size())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str, network_joined: bool) -> Result<NamespacePlan, String> {
        let linux: Linux = serde_json::from_str(json).unwrap();
        NamespacePlan::new(&linux, network_joined).map_err(|error| error.to_string())
    }

    #[test]
    fn new_and_joined() {
        let json = r#"{"namespaces":[{"type":"mount"},{"type":"network"},{"type":"ipc","path":"/proc/1/ns/ipc"}]}"#;
        let own = plan(json, false).unwrap();
        assert_eq!(own.new, NewNamespaces::MOUNT.with(NewNamespaces::NETWORK));
        assert_eq!(own.joined, [(NewNamespaces::IPC, "/proc/1/ns/ipc".into())]);
        assert!(own.separates(NewNamespaces::IPC));
        let pooled = plan(json, true).unwrap();
        assert_eq!(pooled.new, NewNamespaces::MOUNT);
        assert!(plan(r#"{"namespaces":[]}"#, false).is_err());
    }

    #[test]
    fn user_namespaces_come_first_and_need_maps() {
        let json = r#"{"namespaces":[{"type":"mount"},{"type":"ipc","path":"/i"},{"type":"user","path":"/u"}]}"#;
        assert_eq!(plan(json, false).unwrap().joined[0].1, PathBuf::from("/u"));
        let json = r#"{"namespaces":[{"type":"mount"},{"type":"user"}],
            "uidMappings":[{"containerID":0,"hostID":1000,"size":10}],"gidMappings":[{"containerID":0,"hostID":7,"size":1}]}"#;
        assert_eq!(
            plan(json, false).unwrap().id_maps,
            Some(("0 1000 10\n".into(), "0 7 1\n".into()))
        );
    }
}
