// SPDX-License-Identifier: MIT
//! The image: the starter with iperf3 and this very program, and the libraries of both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{capture, command, target};
use crate::starter;

/// What the image is called. With a registry's name in it, all engines agree where it belongs.
pub(super) const NAME: &str = "localhost/hyperbox-bench-network:latest";
/// Where this program is in it.
pub(super) const PROGRAM: &str = "/bin/xtask";

const IPERF3: &str = "/usr/bin/iperf3";

/// Makes the archive and returns its path.
pub(super) fn make() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program")?;
    starter::make_with(&target().join("bench/network"), NAME, |rootfs| {
        copy(Path::new(IPERF3), rootfs, IPERF3).context("the package iperf3 is not installed")?;
        copy(&program, rootfs, PROGRAM)?;
        for library in libraries(Path::new(IPERF3))?.into_iter().chain(libraries(&program)?) {
            copy(Path::new(&library), rootfs, &library)?;
        }
        Ok(())
    })
}

fn copy(from: &Path, rootfs: &Path, to: &str) -> Result<()> {
    let to = rootfs.join(to.trim_start_matches('/'));
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to.parent().unwrap_or(rootfs)).with_context(context)?;
    fs::copy(from, &to).with_context(context)?;
    Ok(())
}

/// Returns the paths of the libraries that a program is linked to, its loader too.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let text = capture(command(&["ldd"]).arg(program))?;
    let path = |line: &str| {
        line.split_whitespace()
            .find(|word| word.starts_with('/'))
            .map(str::to_owned)
    };
    Ok(text.lines().filter_map(path).collect())
}
