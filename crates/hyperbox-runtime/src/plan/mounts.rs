// SPDX-License-Identifier: MIT
//! What is to be mounted where: the `mounts` of an OCI specification, decided before anything is done. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

use hyperbox_sys::mount_attributes::{Change, Propagation, Reach};
use oci_spec::runtime::{Mount, Spec};
use rustix::mount::MountFlags;

use super::options::MountOptions;
use super::target::normalise;
use crate::error::StartError;

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A directory or file of the host.
    Bind {
        /// Its path on the host.
        source: PathBuf,
        /// With everything mounted below it, or without.
        reach: Reach,
    },
    /// A new file system.
    FileSystem {
        /// Its type.
        kind: String,
        /// Its source, as `mount(8)` shows it.
        source: String,
        /// Flags for `mount(2)`.
        flags: MountFlags,
        /// Its own options.
        data: String,
    },
    /// The container's view of its cgroups, however the machine mounts them.
    Cgroups {
        /// Flags for `mount(2)`.
        flags: MountFlags,
    },
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// Where, absolute in the container.
    pub destination: PathBuf,
    /// What.
    pub content: Content,
    /// Attributes of the mount.
    pub change: Change,
    /// Attributes of the mount and all below.
    pub tree_change: Change,
    /// Propagation, when one was asked for.
    pub propagation: Option<(Propagation, Reach)>,
}

impl MountPlan {
    fn new(mount: &Mount) -> Result<Self, StartError> {
        let destination = normalise(mount.destination());
        if destination == Path::new("/") {
            return Err(StartError::invalid("a mount has the destination \"/\""));
        }
        if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
            return Err(StartError::unsupported("a mount with id mappings"));
        }
        let words = mount.options().as_deref().unwrap_or_default();
        let options = MountOptions::parse(words).map_err(StartError::unsupported)?;
        Ok(Self {
            content: content(mount, &options)?,
            destination,
            change: options.change,
            tree_change: options.tree_change,
            propagation: options.propagation,
        })
    }
}

fn content(mount: &Mount, options: &MountOptions) -> Result<Content, StartError> {
    let kind = mount.typ().as_deref().unwrap_or_default();
    let reach = match (options.bind, kind) {
        (Some(reach), _) => Some(reach),
        (None, "bind") => Some(Reach::Mount),
        (None, "rbind") => Some(Reach::Tree),
        _ => None,
    };
    if let Some(reach) = reach {
        let source = mount
            .source()
            .clone()
            .filter(|source| source.is_absolute())
            .ok_or_else(|| {
                let destination = mount.destination().display();
                StartError::invalid(format!("the bind mount at {destination} has no absolute source"))
            })?;
        return Ok(Content::Bind { source, reach });
    }
    match kind {
        "" | "none" => Err(StartError::invalid(format!(
            "the mount at {} has no type",
            mount.destination().display()
        ))),
        "cgroup" | "cgroup2" => Ok(Content::Cgroups {
            flags: options.mount_flags(),
        }),
        kind => Ok(Content::FileSystem {
            kind: kind.to_owned(),
            source: mount
                .source()
                .as_ref()
                .map_or_else(|| kind.to_owned(), |source| source.to_string_lossy().into_owned()),
            flags: options.mount_flags(),
            data: options.data.clone(),
        }),
    }
}

/// Decides all mounts of a specification, in its order.
pub(crate) fn mounts(spec: &Spec) -> Result<Vec<MountPlan>, StartError> {
    spec.mounts()
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(MountPlan::new)
        .collect()
}

impl fmt::Display for MountPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Bind { source, .. } => write!(formatter, "mount {:?}", source.display().to_string())?,
            Content::FileSystem { source, .. } => write!(formatter, "mount {source:?}")?,
            Content::Cgroups { .. } => formatter.write_str("mount \"cgroup\"")?,
        }
        write!(formatter, " at {:?}", self.destination.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<MountPlan, String> {
        let mount: Mount = serde_json::from_str(json).unwrap();
        MountPlan::new(&mount).map_err(|error| error.to_string())
    }

    #[test]
    fn contents() {
        let bind = plan(r#"{"destination":"/data/../d","type":"bind","source":"/src","options":["rbind","ro"]}"#);
        let bind = bind.unwrap();
        assert_eq!(bind.to_string(), r#"mount "/src" at "/d""#);
        assert_eq!(
            bind.content,
            Content::Bind {
                source: "/src".into(),
                reach: Reach::Tree
            }
        );
        let tmpfs = plan(r#"{"destination":"/dev","type":"tmpfs","options":["nosuid","size=1k"]}"#).unwrap();
        assert_eq!(
            tmpfs.content,
            Content::FileSystem {
                kind: "tmpfs".into(),
                source: "tmpfs".into(),
                flags: MountFlags::NOSUID,
                data: "size=1k".into()
            }
        );
        for (json, text) in [
            (
                r#"{"destination":"/","type":"tmpfs"}"#,
                "invalid runtime configuration: a mount has the destination \"/\"",
            ),
            (
                r#"{"destination":"/a","type":"bind","source":"b"}"#,
                "invalid runtime configuration: the bind mount at /a has no absolute source",
            ),
            (
                r#"{"destination":"/a"}"#,
                "invalid runtime configuration: the mount at /a has no type",
            ),
        ] {
            assert_eq!(plan(json).unwrap_err(), text);
        }
    }
}
