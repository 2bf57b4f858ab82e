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
        /// What is meant beneath the source.
        subpath: Option<PathBuf>,
    },
    /// Directories of the host, one over the other, read-only.
    Layers {
        /// The uppermost first.
        lower: Vec<PathBuf>,
        /// What is meant beneath their common root.
        subpath: Option<PathBuf>,
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
    /// Decides one mount.
    pub(crate) fn new(mount: &Mount) -> Result<Self, StartError> {
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
        return Ok(Content::Bind {
            source,
            reach,
            subpath: options.subpath.clone(),
        });
    }
    if let ("overlay", Some(lower)) = (kind, layers(mount.options().as_deref().unwrap_or_default())) {
        return Ok(Content::Layers {
            lower,
            subpath: options.subpath.clone(),
        });
    }
    if options.subpath.is_some() {
        return Err(StartError::unsupported(format!("a part of a mount of type {kind:?}")));
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

/// Returns the directories of an overlay that has no writable one. Backslashes keep colons in names (overlayfs.rst).
fn layers(words: &[String]) -> Option<Vec<PathBuf>> {
    if words.iter().any(|word| word.starts_with("upperdir=")) {
        return None;
    }
    let text = words.iter().find_map(|word| word.strip_prefix("lowerdir="))?;
    let mut layers = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, layers.last_mut()) {
            (':', _) => layers.push(String::new()),
            ('\\', Some(layer)) => layer.extend(characters.next()),
            (other, Some(layer)) => layer.push(other),
            (_, None) => {}
        }
    }
    Some(layers.into_iter().map(PathBuf::from).collect())
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
            Content::Layers { .. } => formatter.write_str("mount \"overlay\"")?,
            Content::Cgroups { .. } => formatter.write_str("mount \"cgroup\"")?,
        }
        if let Content::Bind {
            subpath: Some(path), ..
        }
        | Content::Layers {
            subpath: Some(path), ..
        } = &self.content
        {
            write!(formatter, " beneath {:?}", path.display().to_string())?;
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
                reach: Reach::Tree,
                subpath: None,
            }
        );
        let image = r#"{"destination":"/i","type":"overlay","source":"overlay",
            "options":["ro","lowerdir=/b\\:1:/a","x-hyperbox.subpath=etc"]}"#;
        let image = plan(image).unwrap();
        assert_eq!(image.to_string(), r#"mount "overlay" beneath "etc" at "/i""#);
        assert_eq!(
            image.content,
            Content::Layers {
                lower: vec!["/b:1".into(), "/a".into()],
                subpath: Some("etc".into()),
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
            (
                r#"{"destination":"/a","type":"tmpfs","options":["x-hyperbox.subpath=b"]}"#,
                "a part of a mount of type \"tmpfs\" is not supported by the embedded runtime",
            ),
        ] {
            assert_eq!(plan(json).unwrap_err(), text);
        }
    }
}
