// SPDX-License-Identifier: MIT
//! The starter image: Debian's busybox-static as an archive that `hb load` reads, made with tar and sha256sum.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::process::{capture, command};

/// What the image is called.
pub(crate) const NAME: &str = "hyperbox/starter:latest";

const BUSYBOX: &str = "/bin/busybox";

/// Makes the archive below `directory` and returns its path.
pub(crate) fn make(directory: &Path) -> Result<PathBuf> {
    make_with(directory, NAME, |_| Ok(()))
}

/// Makes an archive of the same files and what `add` puts into the root filesystem.
pub(crate) fn make_with(directory: &Path, name: &str, add: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let rootfs = directory.join("rootfs");
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    populate(&rootfs).with_context(|| format!("cannot fill {}", rootfs.display()))?;
    add(&rootfs)?;
    let layer = directory.join("layer.tar");
    let pack = |target: &Path, from: &Path, names: &[&str]| -> Result<String> {
        let mut tar = command(&[
            "tar",
            "--create",
            "--sort=name",
            "--numeric-owner",
            "--owner=0",
            "--group=0",
        ]);
        tar.args(["--mtime=2024-01-01 00:00Z", "--file"])
            .arg(target)
            .arg("--directory")
            .arg(from)
            .args(names);
        capture(&mut tar)
    };
    pack(&layer, &rootfs, &["."])?;
    let sum = capture(command(&["sha256sum"]).arg(&layer))?;
    let diff_id = sum.split(' ').next().unwrap_or_default();
    let config = json!({
        "created": "2024-01-01T00:00:00Z",
        "architecture": architecture(),
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "cargo xtask quickstart"}],
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    for (name, value) in [("config.json", config), ("manifest.json", manifest)] {
        let path = directory.join(name);
        fs::write(&path, value.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let archive = directory.join("starter.tar");
    pack(&archive, directory, &["manifest.json", "config.json", "layer.tar"])?;
    Ok(archive)
}

fn populate(rootfs: &Path) -> Result<()> {
    for directory in [
        "bin", "dev", "etc", "home", "proc", "root", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var",
    ] {
        fs::create_dir_all(rootfs.join(directory))?;
    }
    fs::set_permissions(rootfs.join("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    fs::write(
        rootfs.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    )?;
    fs::write(rootfs.join("etc/group"), "root:x:0:\nnobody:x:65534:\n")?;
    fs::copy(BUSYBOX, rootfs.join("bin/busybox")).context("the package busybox-static is not installed")?;
    let applets = capture(&mut command(&[BUSYBOX, "--list-full"]))?;
    for applet in applets.lines().filter(|applet| *applet != "bin/busybox") {
        let path = rootfs.join(applet);
        if path.parent().is_some_and(Path::is_dir) {
            std::os::unix::fs::symlink(BUSYBOX, &path)?;
        }
    }
    Ok(())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
