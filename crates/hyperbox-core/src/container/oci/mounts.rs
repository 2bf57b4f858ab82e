// SPDX-License-Identifier: MIT
//! Mounts of a container, in the order in which they are made: the kernel's filesystems, the engine's files, the user's mounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperbox_types::{RootMount, SUBPATH_OPTION, VolumeName};
use serde_json::{Value, json};

use crate::container::{ContainerSpec, ResolvedMount};
use crate::seam::VolumeMount;
use crate::{Result, ServiceError};

/// What some mounts consist of, decided when the container starts.
#[derive(Debug, Default)]
pub(crate) struct MountSources {
    /// Volumes that consist of something else than their directory.
    pub volumes: BTreeMap<VolumeName, VolumeMount>,
    /// Images, by where they are in the container.
    pub images: BTreeMap<PathBuf, RootMount>,
}

/// Words that Docker takes as options of memory.
const MEMORY_OPTIONS: &str = "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime noatime \
    diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave rslave relatime norelatime \
    strictatime nostrictatime mode uid gid size nr_inodes nr_blocks mpol";

/// Refuses options of memory that Docker does not know.
///
/// # Errors
/// `Internal`, with Docker's text.
pub(super) fn refuse_memory_options(mounts: &[ResolvedMount]) -> Result<()> {
    let words = mounts.iter().filter_map(|mount| match mount {
        ResolvedMount::Tmpfs { options, .. } => Some(options),
        _ => None,
    });
    let mut names = words.flatten().map(|word| word.split('=').next().unwrap_or(word));
    match names.find(|name| !MEMORY_OPTIONS.split_whitespace().any(|known| known == *name)) {
        Some(name) => Err(ServiceError::internal(format!("invalid tmpfs option {name:?}"))),
        None => Ok(()),
    }
}

/// Files that the engine writes for a container and mounts into it.
#[derive(Debug, Clone)]
pub(crate) struct EngineFiles {
    pub hostname: PathBuf,
    pub hosts: PathBuf,
    pub resolv_conf: PathBuf,
}

/// Default size of `/dev/shm`.
const SHM_BYTES: u64 = 64 << 20;

/// Returns the OCI specification's `mounts`.
pub(crate) fn to_oci(
    spec: &ContainerSpec,
    mounts: &[ResolvedMount],
    sources: &MountSources,
    files: Option<&EngineFiles>,
    shm: Shm,
) -> Value {
    let privileged = spec.security.privileged;
    let kernel_mode = if privileged { "rw" } else { "ro" };
    let cgroup_mode = match spec.security.writable_cgroups {
        Some(true) => "rw",
        Some(false) => "ro",
        None => kernel_mode,
    };
    let taken = |target: &str| mounts.iter().any(|mount| mount.target() == Path::new(target));
    let mut list = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", kernel_mode]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &[cgroup_mode, "nosuid", "noexec", "nodev"],
        ),
    ];
    // In the host's IPC namespace this shows the host's queues; whether the host has them mounted anywhere does not matter.
    list.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    if !taken("/dev/shm") {
        match shm {
            Shm::Own => {
                let size = format!("size={}", spec.shm_size.map_or(SHM_BYTES, |size| size.0));
                list.push(mount(
                    "/dev/shm",
                    "tmpfs",
                    "shm",
                    &["nosuid", "noexec", "nodev", "mode=1777", &size],
                ));
            }
            Shm::Shared(path) => list.push(bind(&path, Path::new("/dev/shm"), &["rbind", "rprivate"])),
            Shm::None => {}
        }
    }
    // A mount below another one has to come after it.
    let mut wished: Vec<&ResolvedMount> = mounts.iter().collect();
    wished.sort_by_key(|mount| mount.target().components().count());
    list.extend(wished.into_iter().map(|mount| wished_mount(mount, sources)));
    // After the user's, one of which may be /etc.
    if let Some(files) = files {
        for (target, source) in [
            ("/etc/resolv.conf", &files.resolv_conf),
            ("/etc/hostname", &files.hostname),
            ("/etc/hosts", &files.hosts),
        ] {
            if !taken(target) {
                let access = if spec.read_only_root { "ro" } else { "rw" };
                list.push(bind(source, Path::new(target), &["rbind", access, "rprivate"]));
            }
        }
    }
    list.into()
}

fn wished_mount(wished: &ResolvedMount, sources: &MountSources) -> Value {
    let value = match (wished, of_volume(wished, &sources.volumes)) {
        (ResolvedMount::Volume { target, read_only, .. }, Some(volume)) => mounted(volume, target, *read_only),
        (ResolvedMount::Image { target, .. }, _) => image(target, sources.images.get(target)),
        _ => resolved(wished),
    };
    match wished {
        ResolvedMount::Volume { subpath, .. } | ResolvedMount::Image { subpath, .. } => part(value, subpath),
        ResolvedMount::Bind { .. } | ResolvedMount::Tmpfs { .. } => value,
    }
}

/// Mounts only what is beneath the source.
fn part(mut mount: Value, subpath: &Path) -> Value {
    if !subpath.as_os_str().is_empty()
        && let Some(options) = mount["options"].as_array_mut()
    {
        options.push(format!("{SUBPATH_OPTION}{}", subpath.display()).into());
    }
    mount
}

/// The files of an image. Colons and backslashes in names are kept by backslashes (overlayfs.rst).
fn image(target: &Path, root: Option<&RootMount>) -> Value {
    let lower = match root {
        Some(RootMount::Overlay { lower, .. }) => lower,
        Some(RootMount::Bind { source, .. }) => return bind(source, target, &["rbind", "ro", "rprivate"]),
        None => &Vec::new(),
    };
    let escaped = |path: &PathBuf| path.display().to_string().replace('\\', "\\\\").replace(':', "\\:");
    let lower: Vec<String> = lower.iter().map(escaped).collect();
    mount(
        &target.display().to_string(),
        "overlay",
        "overlay",
        &["ro", "rprivate", &format!("lowerdir={}", lower.join(":"))],
    )
}

fn of_volume<'a>(mount: &ResolvedMount, volumes: &'a BTreeMap<VolumeName, VolumeMount>) -> Option<&'a VolumeMount> {
    match mount {
        ResolvedMount::Volume { name, .. } => volumes.get(name),
        ResolvedMount::Bind { .. } | ResolvedMount::Image { .. } | ResolvedMount::Tmpfs { .. } => None,
    }
}

/// A volume that is mounted in the container itself.
fn mounted(volume: &VolumeMount, target: &Path, read_only: bool) -> Value {
    let access = read_only.then_some("ro");
    match volume {
        VolumeMount::Bind {
            device,
            recursive,
            options,
        } => {
            let reach = if *recursive { "rbind" } else { "bind" };
            let mut all = vec![reach, "rprivate"];
            all.extend(options.iter().map(String::as_str).chain(access));
            bind(device, target, &all)
        }
        VolumeMount::Filesystem {
            kind,
            device,
            options,
            data,
        } => {
            // Runtimes give a tmpfs without a mode that of the directory below it; as a volume it has its own.
            let own_mode = kind == "tmpfs" && !data.iter().any(|option| option.starts_with("mode="));
            let mode = own_mode.then_some("mode=1777");
            let words = options.iter().chain(data).map(String::as_str);
            let all: Vec<&str> = words.chain(mode).chain(access).collect();
            json!({ "destination": target, "type": kind, "source": device, "options": all })
        }
    }
}

/// What `/dev/shm` is.
#[derive(Debug, Clone)]
pub(crate) enum Shm {
    /// A tmpfs of its own.
    Own,
    /// That directory: the host's, or another container's through `/proc`.
    Shared(PathBuf),
    /// Nothing.
    None,
}

fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": target, "type": kind, "source": source, "options": options })
}

fn bind(source: &Path, target: &Path, options: &[&str]) -> Value {
    json!({ "destination": target, "type": "bind", "source": source, "options": options })
}

fn resolved(mount: &ResolvedMount) -> Value {
    let access = |read_only: bool| if read_only { "ro" } else { "rw" };
    match mount {
        ResolvedMount::Bind {
            source,
            target,
            read_only,
            non_recursive,
            propagation,
        } => {
            let kind = if *non_recursive { "bind" } else { "rbind" };
            // "ro" covers one mount only; "rro" makes the whole tree read-only, as Docker does since API 1.44.
            let access = if *read_only && !*non_recursive {
                "rro"
            } else {
                access(*read_only)
            };
            bind(source, target, &[kind, access, propagation.as_str()])
        }
        ResolvedMount::Volume {
            source,
            target,
            read_only,
            ..
        } => bind(source, target, &["rbind", access(*read_only), "rprivate"]),
        ResolvedMount::Image { target, .. } => image(target, None),
        ResolvedMount::Tmpfs {
            target,
            options,
            read_only,
        } => {
            let mut all: Vec<&str> = vec!["nosuid", "nodev"];
            if !options.iter().any(|option| option == "exec") {
                all.push("noexec");
            }
            all.push(access(*read_only));
            all.extend(options.iter().map(String::as_str));
            json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": all })
        }
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::{Digest, ImageId};

    use super::*;
    use crate::container::Propagation;

    fn targets(value: &Value) -> Vec<String> {
        let list = value.as_array().expect("list");
        list.iter()
            .map(|mount| mount["destination"].as_str().expect("target").to_owned())
            .collect()
    }

    fn bind_mount(target: &str) -> ResolvedMount {
        ResolvedMount::Bind {
            source: "/src".into(),
            target: target.into(),
            read_only: true,
            non_recursive: false,
            propagation: Propagation::Rprivate,
        }
    }

    #[test]
    fn parents_come_before_children() {
        let mounts = [bind_mount("/a/b/c"), bind_mount("/a"), bind_mount("/a/b")];
        let sources = MountSources::default();
        let value = to_oci(&ContainerSpec::default(), &mounts, &sources, None, Shm::Own);
        assert_eq!(targets(&value)[7..], ["/a", "/a/b", "/a/b/c"]);
    }

    #[test]
    fn a_mount_of_the_user_replaces_the_engines_file() {
        let files = EngineFiles {
            hostname: "/h".into(),
            hosts: "/hosts".into(),
            resolv_conf: "/resolv".into(),
        };
        let value = to_oci(
            &ContainerSpec::default(),
            &[bind_mount("/etc/hosts")],
            &MountSources::default(),
            Some(&files),
            Shm::Own,
        );
        assert_eq!(
            targets(&value).iter().filter(|target| *target == "/etc/hosts").count(),
            1
        );
        let hosts = value
            .as_array()
            .expect("list")
            .iter()
            .find(|mount| mount["destination"] == "/etc/hosts");
        assert_eq!(hosts.expect("present")["source"], "/src");
    }

    #[test]
    fn the_engines_files_are_seen_in_a_mounted_directory() {
        let files = EngineFiles {
            hostname: "/h".into(),
            hosts: "/hosts".into(),
            resolv_conf: "/resolv".into(),
        };
        let mounts = [bind_mount("/etc"), bind_mount("/etc/hostname")];
        let value = to_oci(
            &ContainerSpec::default(),
            &mounts,
            &MountSources::default(),
            Some(&files),
            Shm::Own,
        );
        assert_eq!(
            targets(&value)[7..],
            ["/etc", "/etc/hostname", "/etc/resolv.conf", "/etc/hosts"]
        );
    }

    #[test]
    fn the_engines_files_are_as_writable_as_the_root() {
        let files = EngineFiles {
            hostname: "/h".into(),
            hosts: "/hosts".into(),
            resolv_conf: "/resolv".into(),
        };
        for (read_only_root, word) in [(false, "rw"), (true, "ro")] {
            let spec = ContainerSpec {
                read_only_root,
                ..ContainerSpec::default()
            };
            let value = to_oci(&spec, &[], &MountSources::default(), Some(&files), Shm::None);
            let mounts = value.as_array().expect("list");
            for mount in &mounts[mounts.len() - 3..] {
                assert_eq!(mount["options"][1], word, "{mount}");
            }
        }
    }

    #[test]
    fn privileged_containers_write_to_sysfs() {
        let mut spec = ContainerSpec::default();
        let sources = MountSources::default();
        let sys = |spec: &ContainerSpec| to_oci(spec, &[], &sources, None, Shm::None)[3]["options"][3].clone();
        assert_eq!(sys(&spec), "ro");
        spec.security.privileged = true;
        assert_eq!(sys(&spec), "rw");
    }

    #[test]
    fn control_groups_are_as_writable_as_asked() {
        let sources = MountSources::default();
        for (privileged, wish, expected) in [
            (false, None, "ro"),
            (false, Some(true), "rw"),
            (true, None, "rw"),
            (true, Some(false), "ro"),
        ] {
            let mut spec = ContainerSpec::default();
            spec.security.privileged = privileged;
            spec.security.writable_cgroups = wish;
            let mounts = to_oci(&spec, &[], &sources, None, Shm::None);
            assert_eq!(mounts[4]["options"][0], expected, "{privileged} {wish:?}");
        }
    }

    #[test]
    fn options_of_memory_are_those_that_docker_knows() {
        let mount = |options: &[&str]| {
            [ResolvedMount::Tmpfs {
                target: "/t".into(),
                options: options.iter().map(|option| (*option).to_owned()).collect(),
                read_only: false,
            }]
        };
        assert!(refuse_memory_options(&mount(&["noexec", "size=1m", "mode=700", "uid=1", "nr_inodes=5k"])).is_ok());
        let refused = refuse_memory_options(&mount(&["exec", "bogus=1"])).expect_err("unknown");
        assert_eq!(refused.message(), "invalid tmpfs option \"bogus\"");
    }

    #[test]
    fn images_and_parts_are_mounted() {
        let mount = |subpath: &str| ResolvedMount::Image {
            reference: "tools:1".to_owned(),
            image: ImageId(Digest::from_sha256([7; 32])),
            layers: Vec::new(),
            target: "/tools".into(),
            subpath: subpath.into(),
        };
        let overlay = RootMount::Overlay {
            lower: vec!["/l/b:1".into(), "/l/a".into()],
            writable: None,
        };
        let only = RootMount::Bind {
            source: "/l/a".into(),
            read_only: true,
        };
        for (root, subpath, expected) in [
            (
                &overlay,
                "",
                json!({"destination": "/tools", "type": "overlay", "source": "overlay",
                    "options": ["ro", "rprivate", "lowerdir=/l/b\\:1:/l/a"]}),
            ),
            (
                &only,
                "usr/bin",
                json!({"destination": "/tools", "type": "bind", "source": "/l/a",
                    "options": ["rbind", "ro", "rprivate", "x-hyperbox.subpath=usr/bin"]}),
            ),
        ] {
            let sources = MountSources {
                images: BTreeMap::from([("/tools".into(), root.clone())]),
                ..MountSources::default()
            };
            let value = to_oci(&ContainerSpec::default(), &[mount(subpath)], &sources, None, Shm::None);
            assert_eq!(value.as_array().expect("list").last(), Some(&expected));
        }
    }

    #[test]
    fn volumes_with_options_are_mounted_in_the_container() {
        let name = VolumeName::parse("data").expect("name");
        let mount = |read_only| ResolvedMount::Volume {
            name: name.clone(),
            source: "/volumes/data/_data".into(),
            target: "/data".into(),
            read_only,
            anonymous: false,
            populate: true,
            subpath: PathBuf::new(),
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let memory = VolumeMount::Filesystem {
            kind: "tmpfs".to_owned(),
            device: "memory".to_owned(),
            options: words(&["noexec"]),
            data: words(&["size=1m"]),
        };
        let directory = VolumeMount::Bind {
            device: "/srv".into(),
            recursive: false,
            options: Vec::new(),
        };
        for (volume, read_only, expected) in [
            (
                &memory,
                false,
                json!({"destination": "/data", "type": "tmpfs", "source": "memory", "options": ["noexec", "size=1m", "mode=1777"]}),
            ),
            (
                &directory,
                true,
                json!({"destination": "/data", "type": "bind", "source": "/srv", "options": ["bind", "rprivate", "ro"]}),
            ),
        ] {
            let sources = MountSources {
                volumes: BTreeMap::from([(name.clone(), volume.clone())]),
                ..MountSources::default()
            };
            let value = to_oci(
                &ContainerSpec::default(),
                &[mount(read_only)],
                &sources,
                None,
                Shm::None,
            );
            assert_eq!(value.as_array().expect("list").last(), Some(&expected));
        }
    }
}
