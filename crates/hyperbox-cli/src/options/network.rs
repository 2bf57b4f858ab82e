// SPDX-License-Identifier: MIT
//! `--network NAME|name=NAME,…` with the short options that belong to the first network, and `--link`.
//!
//! What Docker's client leaves to the daemon (addresses, names) is left to the daemon here, too.

use std::collections::BTreeMap;

use hyperbox_client::model::{Endpoint, IpamConfig};

use super::mount::csv;

/// One network of a new container.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
}

/// Parses one `--network`.
pub(crate) fn parse(text: &str) -> Result<Attachment, String> {
    let mut attachment = Attachment::default();
    if !is_long_form(text) {
        text.clone_into(&mut attachment.name);
        return Ok(attachment);
    }
    let endpoint = &mut attachment.endpoint;
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            None | Some(("", _)) => return Err(format!("invalid field {field}")),
            Some((key, value)) => (key.trim().to_ascii_lowercase(), value.trim()),
        };
        match key.as_str() {
            "name" => value.clone_into(&mut attachment.name),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "ip" => value.clone_into(&mut ipam(endpoint).ipv4_address),
            "ip6" => value.clone_into(&mut ipam(endpoint).ipv6_address),
            "link-local-ip" => ipam(endpoint).link_local_ips.push(value.to_owned()),
            "mac-address" => value.clone_into(&mut endpoint.mac_address),
            "gw-priority" => {
                endpoint.gw_priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            "driver-opt" => {
                let (name, option) = match value.split_once('=') {
                    None | Some(("", _)) => {
                        return Err("invalid key value pair format in driver options".to_owned());
                    }
                    Some((name, option)) => (name.trim().to_ascii_lowercase(), option.trim()),
                };
                endpoint.driver_opts.insert(name, option.to_owned());
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.name.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// Tells whether there is a `key=value`: a letter, digit or underscore on both sides of an equals sign.
fn is_long_form(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.as_bytes()
        .windows(3)
        .any(|window| is_word(window[0]) && window[1] == b'=' && is_word(window[2]))
}

fn ipam(endpoint: &mut Endpoint) -> &mut IpamConfig {
    endpoint.ipam_config.get_or_insert_with(IpamConfig::default)
}

/// The short options that belong to the first network.
#[derive(Debug, Default)]
pub(crate) struct ShortOptions<'a> {
    pub(crate) ip: Option<&'a str>,
    pub(crate) ip6: Option<&'a str>,
    pub(crate) mac: Option<&'a str>,
    pub(crate) aliases: &'a [String],
    pub(crate) links: &'a [String],
    pub(crate) link_local: &'a [String],
}

/// Combines all networks with the short options; returns the mode and the endpoints.
///
/// A single network without options has no endpoint: the daemon makes it.
pub(crate) fn combine(
    mut attachments: Vec<Attachment>,
    short: &ShortOptions<'_>,
) -> Result<(String, BTreeMap<String, Endpoint>), String> {
    if attachments.is_empty() {
        attachments.push(Attachment {
            name: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let (single, mode) = (attachments.len() == 1, attachments[0].name.clone());
    let user_defined = attachments
        .iter()
        .filter(|attachment| is_user_defined(&attachment.name))
        .count();
    let mixed = user_defined != 0 && user_defined != attachments.len();
    apply(&mut attachments[0], short)?;
    let mut endpoints = BTreeMap::new();
    for Attachment { name, endpoint } in attachments {
        check(&name, &endpoint)?;
        if endpoints.contains_key(&name) {
            return Err(format!("network {name:?} is specified multiple times"));
        }
        if !single || endpoint != Endpoint::default() {
            endpoints.insert(name, endpoint);
        }
    }
    if mixed {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes".to_owned(),
        );
    }
    Ok((mode, endpoints))
}

fn is_user_defined(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// Gives the short options to a network, unless it has them already.
fn apply(attachment: &mut Attachment, short: &ShortOptions<'_>) -> Result<(), String> {
    let user_defined = is_user_defined(&attachment.name);
    let endpoint = &mut attachment.endpoint;
    let addresses = endpoint.ipam_config.clone().unwrap_or_default();
    let given = |option: Option<&str>| option.is_some_and(|value| !value.is_empty());
    for (twice, options) in [
        (
            !endpoint.aliases.is_empty() && !short.aliases.is_empty(),
            "--network-alias and per-network alias",
        ),
        (
            !addresses.ipv4_address.is_empty() && given(short.ip),
            "--ip and per-network IPv4 address",
        ),
        (
            !addresses.ipv6_address.is_empty() && given(short.ip6),
            "--ip6 and per-network IPv6 address",
        ),
        (
            !endpoint.mac_address.is_empty() && given(short.mac),
            "--mac-address and per-network MAC address",
        ),
        (
            !addresses.link_local_ips.is_empty() && !short.link_local.is_empty(),
            "--link-local-ip and per-network link-local IP addresses",
        ),
    ] {
        if twice {
            return Err(format!("conflicting options: cannot specify both {options}"));
        }
    }
    endpoint.aliases.extend_from_slice(short.aliases);
    // On the default bridge a link is no property of the endpoint; the host configuration has it.
    if user_defined {
        endpoint.links.extend_from_slice(short.links);
    }
    if let Some(ip) = short.ip.filter(|ip| !ip.is_empty()) {
        ip.clone_into(&mut ipam(endpoint).ipv4_address);
    }
    if let Some(ip) = short.ip6.filter(|ip| !ip.is_empty()) {
        ip.clone_into(&mut ipam(endpoint).ipv6_address);
    }
    if let Some(mac) = short.mac {
        mac.clone_into(&mut endpoint.mac_address);
    }
    if !short.link_local.is_empty() {
        ipam(endpoint).link_local_ips.extend_from_slice(short.link_local);
    }
    Ok(())
}

fn check(name: &str, endpoint: &Endpoint) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("no name set for network".to_owned());
    }
    if !endpoint.aliases.is_empty() && !is_user_defined(name) {
        return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    let mac = &endpoint.mac_address;
    if !mac.is_empty() && !is_hardware_address(mac.trim()) {
        return Err(format!("{mac} is not a valid mac address"));
    }
    Ok(())
}

/// Tells whether a text is a hardware address of 6, 8 or 20 bytes, as `net.ParseMAC` of Go reads it: pairs of digits
/// between colons or dashes, or groups of four between dots.
fn is_hardware_address(text: &str) -> bool {
    let (separator, digits) = match text.as_bytes().get(2) {
        Some(b':') => (':', 2),
        Some(b'-') => ('-', 2),
        _ => ('.', 4),
    };
    let groups: Vec<&str> = text.split(separator).collect();
    let whole = groups
        .iter()
        .all(|group| group.len() == digits && group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    whole && matches!(groups.len() * digits / 2, 6 | 8 | 20)
}

/// Checks one `--link container[:alias]`.
pub(crate) fn link(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.matches(':').count() > 1 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
