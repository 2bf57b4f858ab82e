// SPDX-License-Identifier: MIT
//! The checks of `hb system doctor`. Each reads something and judges it; none changes anything.

use std::fs;
use std::path::Path;

use hyperbox_client::{Client, Host};
use hyperbox_types::ByteSize;

use super::service;
use crate::context::Context;
use crate::error::CliError;

/// Less free space than this fails at the first pull.
const LITTLE_SPACE: u64 = 1 << 30;
/// The oldest kernel with all that the runtime uses.
const OLDEST_KERNEL: (u32, u32) = (5, 15);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Warning,
    Bad,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    pub(super) finding: String,
    pub(super) hint: Option<String>,
}

impl Check {
    fn good(name: &'static str, finding: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Good,
            finding: finding.into(),
            hint: None,
        }
    }

    fn with(name: &'static str, verdict: Verdict, finding: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name,
            verdict,
            finding: finding.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Runs all checks.
pub(super) fn all(context: &Context) -> Result<Vec<Check>, CliError> {
    let host = context.host()?;
    let client = Client::new(host.clone());
    let mut found = Vec::new();
    if cfg!(target_os = "linux") {
        found.extend(machine());
    }
    found.push(Check::good("client", format!("hb {}", env!("CARGO_PKG_VERSION"))));
    found.push(match service::program() {
        Ok(path) => Check::good("program", path.display().to_string()),
        Err(_) => Check::with(
            "program",
            Verdict::Warning,
            "hyperboxd is not beside hb nor in PATH",
            "`hb system start` will not find it",
        ),
    });
    found.push(socket(&host));
    found.push(daemon(&client));
    if let Some(root) = storage_root(&client) {
        found.push(space(Path::new(&root)));
    }
    Ok(found)
}

fn machine() -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut found = vec![
        kernel(read("/proc/sys/kernel/osrelease").trim()),
        filesystem(
            "overlay",
            Verdict::Bad,
            &read("/proc/filesystems"),
            "build the kernel with CONFIG_OVERLAY_FS, or `modprobe overlay`",
        ),
        filesystem(
            "erofs",
            Verdict::Warning,
            &read("/proc/filesystems"),
            "without EROFS images are unpacked into directories: slower pulls",
        ),
        namespaces(|name| Path::new("/proc/self/ns").join(name).exists()),
        cgroups(&read("/proc/self/mountinfo")),
    ];
    found.push(if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        Check::good("seccomp", "filters available")
    } else {
        Check::with(
            "seccomp",
            Verdict::Warning,
            "not available",
            "build the kernel with CONFIG_SECCOMP_FILTER; containers run unconfined without it",
        )
    });
    found.push(nftables());
    found.push(if crate::terminal::is_administrator() {
        Check::good("permissions", "running as root")
    } else {
        Check::with(
            "permissions",
            Verdict::Warning,
            "not root",
            "the daemon must be started by root; `hb` needs access to its socket only",
        )
    });
    found
}

fn kernel(release: &str) -> Check {
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= OLDEST_KERNEL {
        return Check::good("kernel", format!("Linux {release}"));
    }
    let (major, minor) = OLDEST_KERNEL;
    Check::with(
        "kernel",
        Verdict::Warning,
        format!("Linux {release}"),
        format!("older than {major}.{minor}: some features are missing"),
    )
}

fn filesystem(name: &'static str, missing: Verdict, filesystems: &str, hint: &str) -> Check {
    if filesystems.split_whitespace().any(|known| known == name) || Path::new("/sys/module").join(name).exists() {
        return Check::good(name, "supported by the kernel");
    }
    Check::with(name, missing, "not supported by the kernel", hint)
}

fn namespaces(exists: impl Fn(&str) -> bool) -> Check {
    let missing: Vec<&str> = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"]
        .into_iter()
        .filter(|name| !exists(name))
        .collect();
    if missing.is_empty() {
        return Check::good("namespaces", "mnt pid net ipc uts user cgroup");
    }
    Check::with(
        "namespaces",
        Verdict::Bad,
        format!("missing: {}", missing.join(" ")),
        "build the kernel with CONFIG_NAMESPACES and its parts",
    )
}

/// Judges the control groups by the mounts: version 2 alone, version 1 alone, or both.
fn cgroups(mountinfo: &str) -> Check {
    let kind_of = |line: &str| {
        line.split(" - ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .map(str::to_owned)
    };
    let kinds: Vec<String> = mountinfo.lines().filter_map(kind_of).collect();
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    match (has("cgroup2"), has("cgroup")) {
        (true, false) => Check::good("cgroups", "version 2"),
        (true, true) => Check::with(
            "cgroups",
            Verdict::Warning,
            "hybrid: controllers of version 1",
            "boot with systemd.unified_cgroup_hierarchy=1 for version 2",
        ),
        (false, true) => Check::with(
            "cgroups",
            Verdict::Warning,
            "version 1",
            "boot with systemd.unified_cgroup_hierarchy=1 for version 2",
        ),
        (false, false) => Check::with(
            "cgroups",
            Verdict::Bad,
            "not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn nftables() -> Check {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let loaded = modules.lines().any(|line| line.starts_with("nf_tables "));
    // Built into the kernel it shows neither as a module nor in /sys/module, but its parameter file does.
    if loaded || Path::new("/sys/module/nf_tables").exists() || Path::new("/proc/sys/net/netfilter").exists() {
        return Check::good("nftables", "available");
    }
    Check::with(
        "nftables",
        Verdict::Warning,
        "not loaded",
        "`modprobe nf_tables`; without it containers have no way out of a bridge",
    )
}

fn socket(host: &Host) -> Check {
    let Host::Unix(path) = host else {
        return Check::good("host", host.to_string());
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Check::with(
            "socket",
            Verdict::Bad,
            format!("{} does not exist", path.display()),
            "start the daemon with `hb system start`",
        ),
        Err(error) => Check::with(
            "socket",
            Verdict::Bad,
            format!("{}: {error}", path.display()),
            "check the permissions of its directory",
        ),
        Ok(metadata) => match crate::terminal::mode_open_to_others(&metadata) {
            true => Check::with(
                "socket",
                Verdict::Bad,
                format!("{} is open to every user", path.display()),
                "that gives every user root: chmod o-rwx",
            ),
            false => Check::good("socket", path.display().to_string()),
        },
    }
}

fn daemon(client: &Client) -> Check {
    match client.ping() {
        Err(error) => {
            let error = CliError::from(error);
            Check::with(
                "daemon",
                Verdict::Bad,
                error.to_string(),
                "start it with `hb system start`",
            )
        }
        Ok(ping) if !ping.is_hyperbox() => Check::with(
            "daemon",
            Verdict::Warning,
            format!(
                "{} (API {})",
                if ping.server.is_empty() {
                    "another engine"
                } else {
                    &ping.server
                },
                ping.api_version
            ),
            "this is not HyperBox: `hb run` works in several steps, and slower",
        ),
        Ok(ping) => Check::good("daemon", format!("{} (API {})", ping.server, ping.api_version)),
    }
}

/// Asks the daemon where it keeps images.
fn storage_root(client: &Client) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(rename = "DockerRootDir")]
        root: String,
    }
    let info = client.info().ok()?;
    serde_json::from_str::<Info>(info.get()).ok().map(|info| info.root)
}

fn space(root: &Path) -> Check {
    let Some(free) = crate::terminal::free_space(root) else {
        return Check::with(
            "disk",
            Verdict::Warning,
            format!("{} cannot be examined", root.display()),
            "run as root",
        );
    };
    let finding = format!("{} free in {}", ByteSize(free).binary(), root.display());
    if free < LITTLE_SPACE {
        return Check::with(
            "disk",
            Verdict::Warning,
            finding,
            "remove what is not used with `hb system prune`",
        );
    }
    Check::good("disk", finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements() {
        assert_eq!(kernel("6.18.44-x").verdict, Verdict::Good);
        assert_eq!(kernel("4.19.0").verdict, Verdict::Warning);
        let line = |kind: &str| format!("1 2 0:1 / /sys/fs/cgroup rw shared:1 - {kind} none rw\n");
        for (text, verdict) in [
            (line("cgroup2"), Verdict::Good),
            (line("cgroup2") + &line("cgroup"), Verdict::Warning),
            (line("cgroup"), Verdict::Warning),
            (String::new(), Verdict::Bad),
        ] {
            assert_eq!(cgroups(&text).verdict, verdict, "{text}");
        }
        assert_eq!(namespaces(|name| name != "user").finding, "missing: user");
        assert_eq!(
            filesystem("overlay", Verdict::Bad, "nodev\toverlay\n", "").verdict,
            Verdict::Good
        );
    }
}
