// SPDX-License-Identifier: MIT
//! GNU tar and erofs-utils.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of erofs-utils that is new enough to know archives and blocks of 512 bytes.
pub(crate) fn erofs_tool(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/erofs-utils/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::iter::once(target).chain(std::env::split_paths(&path));
    for directory in candidates {
        let makes_indexes = || {
            let help = Command::new(directory.join("mkfs.erofs")).arg("--help").output();
            help.is_ok_and(|help| {
                [help.stdout, help.stderr]
                    .concat()
                    .windows(5)
                    .any(|text| text == b"--tar")
            })
        };
        if directory.join(name).exists() && makes_indexes() {
            return directory.join(name);
        }
    }
    panic!(
        "this test needs erofs-utils 1.8 or later: tools/suite-tools --prefix \"$PWD/target/erofs-utils\" erofs-utils"
    );
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Extracts an archive with everything in it.
pub(crate) fn extract(archive: &Path, into: &Path) {
    run(Command::new("tar")
        .args([
            "--xattrs",
            "--xattrs-include=*",
            "--numeric-owner",
            "--same-owner",
            // Times of directories last: members of one may come anywhere.
            "--delay-directory-restore",
            "-xpf",
        ])
        .arg(archive)
        .arg("-C")
        .arg(into));
}

/// Makes an index of an archive with `mkfs.erofs`.
pub(crate) fn make_index(archive: &Path, index: &Path) {
    run(Command::new(erofs_tool("mkfs.erofs"))
        .args(["--quiet", "--tar=i"])
        .arg(index)
        .arg(archive));
}

/// Has `fsck.erofs` check an index; with its archive, the data too.
pub(crate) fn check_index(index: &Path, archive: &Path) {
    run(Command::new(erofs_tool("fsck.erofs"))
        .arg(format!("--device={}", archive.display()))
        .arg(index));
}
