// SPDX-License-Identifier: MIT
//! `cargo xtask setup`: the Debian packages that the work needs.

use anyhow::{Context as _, Result, bail};

use crate::process::{capture, command, run as execute};

/// What the packages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// Compiling.
    Build,
    /// `cargo xtask quickstart`, too.
    Run,
    /// Tests and benchmarks, too.
    Test,
}

/// Arguments of `setup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to install the packages for.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) purpose: Purpose,
}

/// Each package, what it is needed for first, and why.
const PACKAGES: &[(&str, Purpose, &str)] = &[
    ("gcc", Purpose::Build, "links; compiles SQLite, zstd and ring"),
    ("libc6-dev", Purpose::Build, "headers for them"),
    ("ca-certificates", Purpose::Run, "registries speak TLS"),
    ("busybox-static", Purpose::Run, "the starter image is made of it"),
    (
        "tar",
        Purpose::Run,
        "packs the starter image; oracle of the layer tests",
    ),
    ("g++", Purpose::Test, "compiles libFuzzer"),
    ("attr", Purpose::Test, "oracle of the extended attributes"),
    (
        "containernetworking-plugins",
        Purpose::Test,
        "what networks of the cni driver run",
    ),
    ("cpio", Purpose::Test, "vm-run builds its initramfs with it"),
    ("crun", Purpose::Test, "oracle of the runtime tests"),
    ("docker-registry", Purpose::Test, "pulls and pushes are real"),
    (
        "iproute2",
        Purpose::Run,
        "quickstart --stop removes the bridge with it; oracle of the network tests",
    ),
    ("iperf3", Purpose::Test, "measures throughput"),
    ("jq", Purpose::Test, "reads what hb prints as JSON"),
    ("kmod", Purpose::Test, "vm-run picks kernel modules with it"),
    (
        "nftables",
        Purpose::Run,
        "quickstart --stop removes the rules with it; oracle of the firewall tests",
    ),
    ("python3-venv", Purpose::Test, "Python's clients of Docker"),
    ("qemu-system-x86", Purpose::Test, "runs the cgroup v2 tests"),
    ("strace", Purpose::Test, "counts the system calls of a start"),
    (
        "ufw",
        Purpose::Test,
        "a firewall that networks get along with; it stays off",
    ),
    ("util-linux", Purpose::Test, "nsenter, unshare, setpriv, script"),
    ("valgrind", Purpose::Test, "counts the instructions of a start"),
    ("xz-utils", Purpose::Test, "vm-run unpacks its kernel with it"),
    ("zstd", Purpose::Test, "oracle of the layer tests"),
];

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    install(arguments.purpose)
}

/// Installs what is missing for a purpose; does nothing when nothing is.
pub(crate) fn install(purpose: Purpose) -> Result<()> {
    packages(purpose)?;
    if purpose == Purpose::Test {
        erofs_utils()?;
        firewalld()?;
        crate::clients::install()?;
    }
    Ok(())
}

/// Debian 12's erofs-utils know neither archives nor blocks of 512 bytes: the tests of indexes look below the target directory for those
/// of a newer suite.
fn erofs_utils() -> Result<()> {
    let prefix = crate::process::target().join("erofs-utils");
    if prefix.join("bin/mkfs.erofs").exists() {
        return Ok(());
    }
    let script = crate::process::root().join("tools/suite-tools");
    let (script, prefix) = (script.to_string_lossy(), prefix.to_string_lossy());
    execute(&mut command(&[&script, "--force", "--prefix", &prefix, "erofs-utils"]))
}

/// firewalld for the tests of networks, which run it with a root of its own: installed, it would be this machine's firewall. What it gets
/// along without is left out.
fn firewalld() -> Result<()> {
    const WITHOUT: [&str; 9] = [
        "systemd*",
        "libsystemd-shared",
        "polkitd",
        "libpolkit*",
        "*-nm-*",
        "libnm0",
        "perl*",
        "dpkg",
        "tar",
    ];
    let prefix = crate::process::target().join("firewalld");
    if prefix.join("root/usr/sbin/firewalld").exists() {
        return Ok(());
    }
    let script = crate::process::root().join("tools/suite-tools");
    let (script, prefix) = (script.to_string_lossy(), prefix.to_string_lossy());
    let mut words = vec![&*script, "--force", "--whole", "--prefix", &prefix];
    words.extend(WITHOUT.iter().flat_map(|package| ["--without", package]));
    words.extend(["firewalld", "dbus-daemon"]);
    execute(&mut command(&words))
}

fn packages(purpose: Purpose) -> Result<()> {
    let missing: Vec<&(&str, Purpose, &str)> = PACKAGES
        .iter()
        .filter(|(name, needed_for, _)| *needed_for <= purpose && !is_installed(name))
        .collect();
    if missing.is_empty() {
        println!("setup: all packages are installed");
        return Ok(());
    }
    for (name, _, reason) in &missing {
        println!("setup: {name} is missing ({reason})");
    }
    let names: Vec<&str> = missing.iter().map(|(name, ..)| *name).collect();
    let user = capture(&mut command(&["id", "-u"])).context("cannot find out who I am")?;
    if user != "0" {
        bail!(
            "only root can install packages; run as root: apt-get install {}",
            names.join(" ")
        );
    }
    execute(&mut command(&["apt-get", "update"]))?;
    let mut words = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    words.extend(names);
    execute(command(&words).env("DEBIAN_FRONTEND", "noninteractive"))?;
    // Debian starts a service for it, on a fixed port; tests start their own.
    if missing.iter().any(|(name, ..)| *name == "docker-registry")
        && std::path::Path::new("/run/systemd/system").exists()
    {
        execute(&mut command(&["systemctl", "disable", "--now", "docker-registry"]))?;
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let status = capture(&mut command(&[
        "dpkg-query",
        "--show",
        "--showformat=${db:Status-Status}",
        package,
    ]));
    status.is_ok_and(|status| status == "installed")
}
