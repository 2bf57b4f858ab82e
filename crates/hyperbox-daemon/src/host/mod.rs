// SPDX-License-Identifier: MIT
//! The machine, as core's `Host` seam sees it: `/proc`, `/dev`, `/sys`.
//!
//! Parsing is pure and apart (`proc_files.rs`, `capabilities.rs`); here is only reading.

mod capabilities;
mod facts;
mod proc_files;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use hyperbox_core::seam::{DeviceNode, Host, HostError, LinkCounters, PathKind, ProcessInfo, ProcessorSets};

pub(crate) use facts::{Machine, machine};

/// Directories of `/dev` that are filesystems of their own or views of other places.
const DEVICE_DIRECTORIES_LEFT_OUT: [&str; 5] = ["pts", "shm", "fd", "mqueue", ".lxc"];

/// How deep directories of devices are searched.
const DEVICE_DEPTH: usize = 4;

/// Reads this machine.
#[derive(Debug, Default)]
pub(crate) struct LinuxHost {
    /// Our bounding set: nobody changes it while the daemon runs, and the kernel takes its time to print it.
    capabilities: OnceLock<Vec<String>>,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HostError {
    let path = path.display().to_string();
    move |source| HostError {
        operation,
        path,
        source,
    }
}

impl Host for LinuxHost {
    fn devices(&self, path: &Path) -> Result<Vec<DeviceNode>, HostError> {
        let metadata = fs::metadata(path).map_err(failed("find the device", path))?;
        if metadata.is_dir() {
            let mut nodes = Vec::new();
            collect_devices(path, DEVICE_DEPTH, &mut nodes)?;
            return Ok(nodes);
        }
        device_node(path.to_owned(), &metadata)
            .map(|node| vec![node])
            .ok_or_else(|| failed("use as a device", path)(io::Error::other("not a device node")))
    }

    fn all_devices(&self) -> Result<Vec<DeviceNode>, HostError> {
        let mut nodes = Vec::new();
        collect_devices(Path::new("/dev"), DEVICE_DEPTH, &mut nodes)?;
        // Every container gets these anyway.
        nodes.retain(|node| !matches!(node.path.to_str(), Some("/dev/console" | "/dev/ptmx" | "/dev/tty")));
        Ok(nodes)
    }

    fn path_kind(&self, path: &Path) -> Result<PathKind, HostError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(PathKind::Directory),
            Ok(_) => Ok(PathKind::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PathKind::Missing),
            Err(error) => Err(failed("look at", path)(error)),
        }
    }

    fn create_directory(&self, path: &Path) -> Result<(), HostError> {
        fs::create_dir_all(path).map_err(failed("make the directory", path))
    }

    fn remove_directory(&self, path: &Path) -> Result<(), HostError> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn rewrite_file(&self, path: &Path, text: &str) -> Result<(), HostError> {
        // In place: another file of that name would not be seen through the mount.
        let open = fs::OpenOptions::new().write(true).truncate(true).open(path);
        let written = open.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(failed("rewrite", path))
    }

    fn network_namespace(&self, pid: u32) -> Result<OwnedFd, HostError> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        fs::File::open(&path).map(OwnedFd::from).map_err(failed("open", &path))
    }

    fn processes(&self, pids: &[u32]) -> Vec<ProcessInfo> {
        let boot = proc_files::boot_time(&fs::read_to_string("/proc/stat").unwrap_or_default());
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        pids.iter().filter_map(|pid| process(*pid, boot, &passwd)).collect()
    }

    fn link_counters(&self, pid: u32) -> Vec<LinkCounters> {
        fs::read_to_string(format!("/proc/{pid}/net/dev"))
            .map(|text| proc_files::link_counters(&text))
            .unwrap_or_default()
    }

    fn system_cpu_ns(&self) -> u64 {
        proc_files::system_cpu_ns(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    fn online_cpus(&self) -> u32 {
        // What the scheduler may use, as Docker counts. The standard library would also read the quotas of our own control groups.
        rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1))
    }

    fn processor_sets(&self) -> ProcessorSets {
        let list = |kind: &str| {
            let text = fs::read_to_string(format!("/sys/devices/system/{kind}/online")).unwrap_or_default();
            text.trim_end().to_owned()
        };
        ProcessorSets {
            processors: list("cpu"),
            memory_nodes: list("node"),
        }
    }

    fn has_block_weights(&self) -> bool {
        // As Docker asks (`pkg/sysinfo`): version 1 by the file, version 2 by the controller.
        if Path::new("/sys/fs/cgroup/blkio").exists() {
            return Path::new("/sys/fs/cgroup/blkio/blkio.weight").exists();
        }
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        controllers
            .split_ascii_whitespace()
            .any(|controller| controller == "io")
    }

    fn hostname(&self) -> String {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim_end().to_owned()
    }

    fn hosts_file(&self) -> String {
        fs::read_to_string("/etc/hosts").unwrap_or_default()
    }

    fn memory_bytes(&self) -> u64 {
        proc_files::memory_bytes(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
    }

    fn capabilities(&self) -> Vec<String> {
        let read = || {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            capabilities::names(capabilities::bounding_set(&status))
        };
        self.capabilities.get_or_init(read).clone()
    }
}

fn process(pid: u32, boot: i64, passwd: &str) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let user = proc_files::user_name(passwd, uid).unwrap_or_else(|| uid.to_string());
    proc_files::process(&stat, &command_line, uid, user, boot)
}

fn collect_devices(directory: &Path, depth: usize, into: &mut Vec<DeviceNode>) -> Result<(), HostError> {
    let entries = fs::read_dir(directory).map_err(failed("list", directory))?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        // Links lead to devices that are found at their own place; what vanished meanwhile is not there.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let left_out = DEVICE_DIRECTORIES_LEFT_OUT
                .iter()
                .any(|name| entry.file_name() == *name);
            if depth > 1 && !left_out {
                collect_devices(&path, depth - 1, into)?;
            }
        } else {
            into.extend(device_node(path, &metadata));
        }
    }
    into.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(())
}

fn device_node(path: PathBuf, metadata: &fs::Metadata) -> Option<DeviceNode> {
    let kind = metadata.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return None;
    }
    let number = metadata.rdev();
    Some(DeviceNode {
        path,
        block: kind.is_block_device(),
        major: rustix::fs::major(number),
        minor: rustix::fs::minor(number),
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_this_machine() {
        let host = LinuxHost::default();
        let null = host.devices(Path::new("/dev/null")).expect("/dev/null");
        assert_eq!((null[0].major, null[0].minor, null[0].block), (1, 3, false));
        assert!(host.devices(Path::new("/etc/passwd")).is_err());
        assert!(host.devices(Path::new("/nosuch")).is_err());
        assert!(
            host.all_devices()
                .expect("all")
                .iter()
                .any(|node| node.path == Path::new("/dev/null"))
        );
    }

    #[test]
    fn this_process_is_described() {
        let host = LinuxHost::default();
        let own = host.processes(&[std::process::id(), u32::MAX]);
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].pid, std::process::id());
        assert!(!own[0].command.is_empty());
        assert!(host.memory_bytes() > 1 << 20 && host.system_cpu_ns() > 0);
    }
}
