// SPDX-License-Identifier: MIT
//! Another machine: a network namespace behind a veth pair, with addresses set aside for measurements (RFC 2544, RFC 5180).

use anyhow::Result;

use crate::process::{capture, command};

/// The namespace; it goes with the value, and the pair with it.
#[derive(Debug)]
pub(super) struct Elsewhere {
    pub(super) name: String,
    /// The host's addresses as seen from there.
    pub(super) host_ipv4: String,
    pub(super) host_ipv6: String,
}

impl Elsewhere {
    /// Makes it.
    pub(super) fn set_up() -> Result<Self> {
        let process = std::process::id();
        let name = format!("hbbench-{process}");
        let (here, there) = (format!("bb{process}"), format!("be{process}"));
        let (second, third) = (process / 256 % 256, process % 256);
        let ipv4 = |last: u32| format!("198.18.{third}.{}", (second % 63) * 4 + last);
        let ipv6 = |last: u32| format!("2001:2:0:{second:x}{third:02x}::{last}");
        let elsewhere = Self {
            host_ipv4: ipv4(1),
            host_ipv6: ipv6(1),
            name: name.clone(),
        };
        ip(&["netns", "add", &name])?;
        ip(&[
            "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &name,
        ])?;
        ip(&["addr", "add", &format!("{}/30", ipv4(1)), "dev", &here])?;
        ip(&["addr", "add", &format!("{}/64", ipv6(1)), "dev", &here, "nodad"])?;
        ip(&["link", "set", &here, "up"])?;
        for words in [
            ["addr", "add", &format!("{}/30", ipv4(2)), "dev", &there].as_slice(),
            &["addr", "add", &format!("{}/64", ipv6(2)), "dev", &there, "nodad"],
            &["link", "set", &there, "up"],
            &["link", "set", "lo", "up"],
            &["route", "add", "default", "via", &ipv4(1)],
            &["-6", "route", "add", "default", "via", &ipv6(1)],
        ] {
            ip(&[["-netns", name.as_str()].as_slice(), words].concat())?;
        }
        Ok(elsewhere)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            println!("not removed: {error:#}");
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    capture(command(&["ip"]).args(words)).map(drop)
}
