// SPDX-License-Identifier: MIT
//! Mounts of a container, in the order in which they are made: the kernel's filesystems, the engine's files, the user's mounts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::container::{ContainerSpec, ResolvedMount};

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
pub(crate) fn to_oci(spec: &ContainerSpec, mounts: &[ResolvedMount], files: Option<&EngineFiles>, shm: Shm) -> Value {
    let privileged = spec.security.privileged;
    let kernel_mode = if privileged { "rw" } else { "ro" };
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
            &[kernel_mode, "nosuid", "noexec", "nodev"],
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
    // A mount below another one has to come after it.
    let mut wished: Vec<&ResolvedMount> = mounts.iter().collect();
    wished.sort_by_key(|mount| mount.target().components().count());
    list.extend(wished.into_iter().map(resolved));
    list.into()
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
        let value = to_oci(&ContainerSpec::default(), &mounts, None, Shm::Own);
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
            let value = to_oci(&spec, &[], Some(&files), Shm::None);
            let mounts = value.as_array().expect("list");
            for mount in &mounts[mounts.len() - 3..] {
                assert_eq!(mount["options"][1], word, "{mount}");
            }
        }
    }

    #[test]
    fn privileged_containers_write_to_sysfs() {
        let mut spec = ContainerSpec::default();
        let sys = |spec: &ContainerSpec| to_oci(spec, &[], None, Shm::None)[3]["options"][3].clone();
        assert_eq!(sys(&spec), "ro");
        spec.security.privileged = true;
        assert_eq!(sys(&spec), "rw");
    }
}
