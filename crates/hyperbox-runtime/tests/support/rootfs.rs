// SPDX-License-Identifier: MIT
//! A root filesystem of Debian's busybox-static.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hyperbox_types::{RootMount, WritableLayer};
use tempfile::TempDir;

const APPLETS: &[&str] = &[
    "sh",
    "cat",
    "chmod",
    "cut",
    "dd",
    "echo",
    "env",
    "false",
    "grep",
    "head",
    "hostname",
    "id",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mknod",
    "mount",
    "nproc",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "sed",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "tail",
    "test",
    "touch",
    "tr",
    "true",
    "tty",
    "umount",
    "uname",
    "wc",
    "whoami",
    "sysctl",
    "dnsdomainname",
    "setsid",
    "unshare",
    "tac",
    "awk",
    "mv",
];

/// A directory with layers.
pub struct Rootfs {
    /// Everything lives in here; on a real file system, as overlay wants one for its writable part.
    pub directory: TempDir,
}

impl Rootfs {
    /// Makes one.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("hyperbox-runtime-")
            .tempdir_in("/var/tmp")
            .unwrap();
        let root = directory.path().join("lower");
        for name in [
            "bin", "etc", "root", "home/web", "tmp", "var", "dev", "proc", "sys", "mnt",
        ] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/home/web:/bin/sh\n";
        std::fs::write(root.join("etc/passwd"), passwd).unwrap();
        std::fs::write(
            root.join("etc/group"),
            "root:x:0:\nweb:x:34:\naudio:x:29:web\nvideo:x:44:\n",
        )
        .unwrap();
        for name in ["upper", "work"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    /// The lowest layer, to put files into.
    pub fn lower(&self) -> PathBuf {
        self.directory.path().join("lower")
    }

    /// What the container wrote.
    pub fn upper(&self) -> PathBuf {
        self.directory.path().join("upper")
    }

    /// Writes a file of the lowest layer.
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.lower().join(path);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// An overlay with a writable layer.
    pub fn overlay(&self) -> RootMount {
        RootMount::Overlay {
            lower: vec![self.lower()],
            writable: Some(WritableLayer {
                upper: self.upper(),
                work: self.directory.path().join("work"),
                volatile: false,
            }),
        }
    }

    /// The directory itself.
    pub fn bind(&self) -> RootMount {
        RootMount::Bind {
            source: self.lower(),
            read_only: false,
        }
    }

    /// A path beside the layers.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Returns whether any mount of this machine is at or below `path`.
pub fn is_mounted_below(path: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().any(|line| {
        line.split(' ')
            .nth(4)
            .is_some_and(|mount| Path::new(mount).starts_with(path))
    })
}
