// SPDX-License-Identifier: MIT
//! The starter image: busybox, its applets, and the files that programs expect.

use std::path::Path;
use std::process::Command;

use super::entry::{Content, Layer};
use super::layout::{Image, ImageConfig};

/// Debian's static busybox (package busybox-static).
pub const BUSYBOX: &str = "/bin/busybox";

/// Returns an image of one layer with busybox in it; the default command is `sh`.
///
/// # Panics
/// When the package busybox-static is not installed.
pub fn starter() -> Image {
    Image {
        layers: vec![layer()],
        config: ImageConfig {
            cmd: vec!["sh".to_owned()],
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            ..ImageConfig::default()
        },
    }
}

fn layer() -> Layer {
    let mut layer = Layer::new();
    for directory in [
        "bin",
        "dev",
        "etc",
        "home",
        "proc",
        "sbin",
        "sys",
        "usr",
        "usr/bin",
        "usr/sbin",
        "var",
        "var/spool",
    ] {
        layer = layer.directory(directory, 0o755);
    }
    layer = layer
        .directory("root", 0o700)
        .directory("tmp", 0o1777)
        .file("etc/passwd", 0o644, PASSWD)
        .file("etc/group", 0o644, GROUP)
        .content("bin/busybox", 0o755, Content::HostFile(BUSYBOX.into()));
    for applet in applets() {
        layer = layer.symlink(&applet, "/bin/busybox");
    }
    layer
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
    www:x:33:33:www:/var:/bin/false\n\
    alice:x:1000:1000:Alice:/home/alice:/bin/sh\n\
    nobody:x:65534:65534:nobody:/home:/bin/false\n";

const GROUP: &str = "root:x:0:\n\
    daemon:x:1:\n\
    audio:x:29:alice\n\
    www:x:33:\n\
    users:x:100:alice\n\
    alice:x:1000:\n\
    nobody:x:65534:\n";

/// Returns the paths of busybox's applets, such as `bin/sh`.
fn applets() -> Vec<String> {
    assert!(
        Path::new(BUSYBOX).exists(),
        "{BUSYBOX} is missing: install the package busybox-static (cargo xtask setup)"
    );
    let output = Command::new(BUSYBOX).arg("--list-full").output().expect("busybox runs");
    let list = String::from_utf8(output.stdout).expect("applet names are ASCII");
    list.lines()
        .filter(|applet| *applet != "bin/busybox" && applet.matches('/').count() <= 2)
        .filter(|applet| {
            ["bin/", "sbin/", "usr/bin/", "usr/sbin/"]
                .iter()
                .any(|directory| applet.starts_with(directory))
        })
        .map(str::to_owned)
        .collect()
}
