// SPDX-License-Identifier: MIT
//! What the daemon tells of its machine, read once at start.

use std::fs;
use std::path::Path;

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub hostname: String,
    /// Kernel release, such as `6.18.44`.
    pub kernel: String,
    /// Major and minor version of the kernel.
    pub kernel_version: (u32, u32),
    pub operating_system: String,
    pub os_version: String,
    /// Whether control groups are pure version 2.
    pub cgroup_v2: bool,
}

/// Reads the machine.
pub(crate) fn machine() -> Machine {
    let names = rustix::system::uname();
    let kernel = names.release().to_string_lossy().into_owned();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Machine {
        hostname: names.nodename().to_string_lossy().into_owned(),
        kernel_version: kernel_version(&kernel),
        kernel,
        operating_system: os_field(&release, "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        os_version: os_field(&release, "VERSION_ID").unwrap_or_default(),
        cgroup_v2: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
    }
}

fn kernel_version(release: &str) -> (u32, u32) {
    let mut parts = release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Returns a field of `os-release(5)`.
fn os_field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_fields() {
        assert_eq!(kernel_version("6.18.44-fc-v669"), (6, 18));
        assert_eq!(kernel_version("nonsense"), (0, 0));
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\n";
        assert_eq!(
            os_field(text, "PRETTY_NAME").as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(os_field(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_field(text, "NOSUCH"), None);
    }
}
