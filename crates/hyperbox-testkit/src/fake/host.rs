// SPDX-License-Identifier: MIT
//! A machine with two processors, a few devices, and nothing that can break.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyperbox_core::seam::{DeviceNode, Host, HostError, LinkCounters, PathKind, ProcessInfo, ProcessorSets};
use hyperbox_core::time::Timestamp;

use super::fault::lock;

/// A pretended machine.
#[derive(Debug, Clone, Default)]
pub struct FakeHost {
    directories: Arc<Mutex<BTreeSet<PathBuf>>>,
    files: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

impl FakeHost {
    /// Makes a machine without directories.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pretends that a directory exists.
    pub fn add_directory(&self, path: impl Into<PathBuf>) {
        lock(&self.directories).insert(path.into());
    }

    /// Returns the last text that a file was rewritten with.
    pub fn rewritten(&self, path: &Path) -> Option<String> {
        lock(&self.files).get(path).cloned()
    }

    /// Returns the directories that exist.
    pub fn directories(&self) -> Vec<PathBuf> {
        lock(&self.directories).iter().cloned().collect()
    }
}

fn device(path: &Path, major: u32, minor: u32) -> DeviceNode {
    DeviceNode {
        path: path.to_owned(),
        block: false,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    }
}

fn missing(operation: &'static str, path: &Path) -> HostError {
    HostError {
        operation,
        path: path.display().to_string(),
        source: std::io::ErrorKind::NotFound.into(),
    }
}

impl Host for FakeHost {
    fn devices(&self, path: &Path) -> Result<Vec<DeviceNode>, HostError> {
        match path.to_str() {
            Some("/dev/fuse") => Ok(vec![device(path, 10, 229)]),
            Some("/dev/null") => Ok(vec![device(path, 1, 3)]),
            _ => Err(missing("find the device", path)),
        }
    }

    fn all_devices(&self) -> Result<Vec<DeviceNode>, HostError> {
        Ok(vec![
            device(Path::new("/dev/fuse"), 10, 229),
            device(Path::new("/dev/null"), 1, 3),
        ])
    }

    fn path_kind(&self, path: &Path) -> Result<PathKind, HostError> {
        let exists = lock(&self.directories).contains(path);
        Ok(match path.to_str() {
            Some("/dev/fuse" | "/dev/null") => PathKind::Other,
            _ if exists => PathKind::Directory,
            _ => PathKind::Missing,
        })
    }

    fn create_directory(&self, path: &Path) -> Result<(), HostError> {
        self.add_directory(path);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> Result<(), HostError> {
        lock(&self.directories).remove(path);
        Ok(())
    }

    fn rewrite_file(&self, path: &Path, text: &str) -> Result<(), HostError> {
        lock(&self.files).insert(path.to_owned(), text.to_owned());
        Ok(())
    }

    fn network_namespace(&self, pid: u32) -> Result<OwnedFd, HostError> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        // Any open file will do: nobody enters it.
        std::fs::File::open("/dev/null")
            .map(OwnedFd::from)
            .map_err(|_| missing("open", &path))
    }

    fn processes(&self, pids: &[u32]) -> Vec<ProcessInfo> {
        let describe = |pid: &u32| ProcessInfo {
            pid: *pid,
            ppid: 1,
            uid: 0,
            user: "root".to_owned(),
            started_at: Timestamp(0),
            cpu_time: std::time::Duration::ZERO,
            terminal: "?".to_owned(),
            command: "pretended".to_owned(),
        };
        pids.iter().map(describe).collect()
    }

    fn has_block_weights(&self) -> bool {
        true
    }

    fn link_counters(&self, _pid: u32) -> Vec<LinkCounters> {
        vec![LinkCounters {
            name: "eth0".to_owned(),
            rx_bytes: 1,
            tx_bytes: 2,
            ..LinkCounters::default()
        }]
    }

    fn system_cpu_ns(&self) -> u64 {
        1_000_000_000
    }

    fn online_cpus(&self) -> u32 {
        2
    }

    fn processor_sets(&self) -> ProcessorSets {
        ProcessorSets {
            processors: "0-1".to_owned(),
            memory_nodes: "0".to_owned(),
        }
    }

    fn hostname(&self) -> String {
        "machine".to_owned()
    }

    fn hosts_file(&self) -> String {
        "127.0.0.1\tlocalhost machine\n".to_owned()
    }

    fn memory_bytes(&self) -> u64 {
        1 << 33
    }

    fn capabilities(&self) -> Vec<String> {
        ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"]
            .map(str::to_owned)
            .to_vec()
    }
}
