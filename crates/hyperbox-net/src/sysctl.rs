// SPDX-License-Identifier: MIT
//! Sysctls of the network namespace of the calling thread. See <https://docs.kernel.org/networking/ip-sysctl.html>.

use std::io;

const FORWARDING_IPV4: &str = "/proc/sys/net/ipv4/ip_forward";
const IPV6: &str = "/proc/sys/net/ipv6/conf";

/// Without forwarding no packet leaves a bridge. It is turned on only where it is off, and never off again: others may rely on it.
pub(crate) fn ensure_forwarding_ipv4() -> io::Result<()> {
    if std::fs::read_to_string(FORWARDING_IPV4)?.trim() == "0" {
        std::fs::write(FORWARDING_IPV4, "1")?;
        tracing::info!("turned on IPv4 forwarding");
    }
    Ok(())
}

/// Turns on IPv6 forwarding where it is off.
///
/// A machine that forwards stops to accept router advertisements where `accept_ra` is 1, and would lose its own default route:
/// such links are told to go on (2).
pub(crate) fn ensure_forwarding_ipv6() -> io::Result<()> {
    let all = format!("{IPV6}/all/forwarding");
    if std::fs::read_to_string(&all)?.trim() != "0" {
        return Ok(());
    }
    for entry in std::fs::read_dir(IPV6)? {
        let name = entry?.file_name();
        let accept = format!("{IPV6}/{}/accept_ra", name.to_string_lossy());
        // A link may vanish meanwhile.
        if name != "all" && std::fs::read_to_string(&accept).is_ok_and(|value| value.trim() == "1") {
            ignore_vanished(std::fs::write(&accept, "2"))?;
        }
    }
    std::fs::write(format!("{IPV6}/default/forwarding"), "1")?;
    std::fs::write(all, "1")?;
    tracing::info!("turned on IPv6 forwarding");
    Ok(())
}

/// Sets IPv6 of a bridge: off where its network has none; else its addresses are those that it is given.
pub(crate) fn prepare_bridge(name: &str, ipv6: bool) -> io::Result<()> {
    let directory = format!("{IPV6}/{name}");
    if !std::fs::exists(&directory)? {
        return if ipv6 {
            Err(io::ErrorKind::Unsupported.into())
        } else {
            Ok(())
        };
    }
    if !ipv6 {
        return std::fs::write(format!("{directory}/disable_ipv6"), "1");
    }
    std::fs::write(format!("{directory}/accept_ra"), "0")?;
    std::fs::write(format!("{directory}/accept_dad"), "0")?;
    std::fs::write(format!("{directory}/disable_ipv6"), "0")
}

/// Turns IPv6 of a link on or off. A kernel without IPv6 has no such file, and nothing to turn off.
pub(crate) fn set_ipv6(link: &str, on: bool) -> io::Result<()> {
    let file = format!("{IPV6}/{link}/disable_ipv6");
    match std::fs::write(file, if on { "0" } else { "1" }) {
        Err(error) if !on && error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Writes a sysctl of a link: `file` is what follows `/proc/sys/`.
pub(crate) fn write(file: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/{file}"), value)
}

fn ignore_vanished(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
