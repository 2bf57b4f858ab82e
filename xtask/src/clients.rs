// SPDX-License-Identifier: MIT
//! The clients of other people that the compatibility tests run, below the target directory: the docker command line and compose
//! of a newer Debian suite (`tools/suite-tools`) with the database of the compose project, skopeo beside them, the Python clients in a
//! virtual environment, and the devcontainer command line.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::process::{capture, command, installed, root, run as execute, target};

/// The Debian packages with the versions whose answers the tests expect.
const PACKAGES: &[(&str, &str)] = &[
    ("docker-cli", "28.5.2"),
    ("docker-compose", "2.40.3"),
    ("redis-server", "5:8"),
    ("redis-tools", "5:8"),
];

/// The same of buildx, which builds for the docker command line and for compose.
const BUILDX: &[(&str, &str)] = &[("docker-buildx", "0.29")];

/// The same of skopeo, which has libraries of its own.
const SKOPEO: &[(&str, &str)] = &[("skopeo", "1.")];

/// The docker command line of Debian 12, which builds by sessions, but not through buildx.
const OLD_DOCKER: &[(&str, &str)] = &[("docker.io", "20.10.24")];

/// What its package wants for the engine in it, which is not run.
const ENGINE: &[&str] = &[
    "--suite=bookworm",
    "--without=containerd",
    "--without=runc",
    "--without=iptables*",
    "--without=*systemd*",
];

/// The Python packages, as pip wants them.
const PYTHON: &[&str] = &["docker==7.2.0", "testcontainers==4.15.0"];

/// The Node.js package and its version.
const DEVCONTAINER: (&str, &str) = ("@devcontainers/cli", "0.89.0");

/// Installs what is missing.
pub(crate) fn install() -> Result<()> {
    programs("suite-tools", PACKAGES, &[])?;
    programs("buildx", BUILDX, &[])?;
    programs("skopeo", SKOPEO, &[])?;
    programs("old-docker", OLD_DOCKER, ENGINE)?;
    python()?;
    node()
}

fn programs(directory: &str, packages: &[(&str, &str)], options: &[&str]) -> Result<()> {
    let prefix = target().join(directory);
    let stamp = prefix.join(".suite-tools");
    if is_current(packages, &fs::read_to_string(&stamp).unwrap_or_default()) {
        println!("setup: {} is installed", packages[0].0);
        return Ok(());
    }
    let script = root().join("tools/suite-tools");
    let mut install = command(&[
        &script.to_string_lossy(),
        "--force",
        "--prefix",
        &prefix.to_string_lossy(),
    ]);
    execute(install.args(options).args(packages.iter().map(|(name, _)| name)))?;
    let found = fs::read_to_string(&stamp).with_context(|| format!("cannot read {}", stamp.display()))?;
    if !is_current(packages, &found) {
        bail!("the tests expect {packages:?}, the suite has other versions:\n{found}");
    }
    Ok(())
}

fn is_current(packages: &[(&str, &str)], stamp: &str) -> bool {
    packages
        .iter()
        .all(|(name, version)| stamp.lines().any(|line| line.starts_with(&format!("{name}={version}"))))
}

fn python() -> Result<()> {
    let directory = target().join("python-clients");
    let python = directory.join("bin/python").display().to_string();
    let versions = capture(&mut command(&[&python, "-m", "pip", "freeze"])).unwrap_or_default();
    if PYTHON
        .iter()
        .all(|package| versions.lines().any(|line| line == *package))
    {
        println!("setup: the Python clients are installed");
        return Ok(());
    }
    execute(&mut command(&[
        "python3",
        "-m",
        "venv",
        "--clear",
        &directory.to_string_lossy(),
    ]))?;
    let mut install = command(&[&python, "-m", "pip", "install", "--quiet"]);
    execute(install.args(PYTHON))
}

fn node() -> Result<()> {
    let directory = target().join("node-clients");
    let (name, version) = DEVCONTAINER;
    let manifest = directory.join("node_modules").join(name).join("package.json");
    let installed_version = fs::read_to_string(manifest).unwrap_or_default();
    if installed_version.contains(&format!("\"version\": \"{version}\"")) {
        println!("setup: the devcontainer command line is installed");
        return Ok(());
    }
    if !installed("npm") {
        execute(
            command(&[
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
                "nodejs",
                "npm",
            ])
            .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let package = format!("{name}@{version}");
    execute(&mut command(&[
        "npm",
        "install",
        "--silent",
        "--prefix",
        &directory.to_string_lossy(),
        &package,
    ]))
}

#[cfg(test)]
mod tests {
    use super::{PACKAGES, SKOPEO, is_current};

    #[test]
    fn versions_are_pinned() {
        assert!(is_current(
            PACKAGES,
            "suite=sid\ndocker-cli=28.5.2+dfsg4-5\ndocker-compose=2.40.3-3\nredis-server=5:8.0.6-3\nredis-tools=5:8.0.6-3\n"
        ));
        assert!(!is_current(
            PACKAGES,
            "docker-cli=29.0.0-1\ndocker-compose=2.40.3-3\nredis-server=5:8.0.6-3\nredis-tools=5:8.0.6-3\n"
        ));
        assert!(!is_current(PACKAGES, ""));
        assert!(is_current(SKOPEO, "suite=sid\nskopeo=1.22.0+ds1-1\n"));
    }
}
