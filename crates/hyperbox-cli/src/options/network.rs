// SPDX-License-Identifier: MIT
//! `--network NAME|name=NAME,…`, `--add-host`, `--dns`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyperbox_client::model::{Endpoint, IpamConfig};

/// One network of a new container.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
}

/// Parses one `--network`.
pub(crate) fn parse(text: &str) -> Result<Attachment, String> {
    let mut attachment = Attachment::default();
    if !text.contains('=') {
        text.clone_into(&mut attachment.name);
        return Ok(attachment);
    }
    let endpoint = &mut attachment.endpoint;
    for field in super::mount::csv(text)? {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("invalid field {field}"))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut attachment.name),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "ip" => address(value)?.clone_into(&mut ipam(endpoint).ipv4_address),
            "ip6" => address(value)?.clone_into(&mut ipam(endpoint).ipv6_address),
            "link-local-ip" => ipam(endpoint).link_local_ips.push(address(value)?.to_owned()),
            "mac-address" => value.clone_into(&mut endpoint.mac_address),
            "gw-priority" => {
                endpoint.gw_priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority ({value}): not a number"))?;
            }
            "driver-opt" => {
                let (name, option) = value
                    .split_once('=')
                    .ok_or_else(|| "invalid key value pair format in driver options".to_owned())?;
                endpoint.driver_opts.insert(name.to_owned(), option.to_owned());
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.name.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

fn ipam(endpoint: &mut Endpoint) -> &mut IpamConfig {
    endpoint.ipam_config.get_or_insert_with(IpamConfig::default)
}

/// Checks an IP address.
pub(crate) fn address(text: &str) -> Result<&str, String> {
    match text.parse::<IpAddr>() {
        Ok(_) => Ok(text),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
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
pub(crate) fn combine(
    attachments: Vec<Attachment>,
    short: &ShortOptions<'_>,
) -> Result<(String, BTreeMap<String, Endpoint>), String> {
    let mut attachments = attachments;
    let none_given = attachments.is_empty();
    if none_given {
        attachments.push(Attachment {
            name: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let several = attachments.len() > 1;
    let mode = attachments[0].name.clone();
    let endpoint = &mut attachments[0].endpoint;
    endpoint.aliases.extend_from_slice(short.aliases);
    endpoint.links.extend_from_slice(short.links);
    if let Some(ip) = short.ip {
        address(ip)?.clone_into(&mut ipam(endpoint).ipv4_address);
    }
    if let Some(ip) = short.ip6 {
        address(ip)?.clone_into(&mut ipam(endpoint).ipv6_address);
    }
    if !short.link_local.is_empty() {
        ipam(endpoint).link_local_ips.extend_from_slice(short.link_local);
    }
    if let Some(mac) = short.mac {
        mac.clone_into(&mut endpoint.mac_address);
    }
    let user_defined =
        !matches!(mode.as_str(), "default" | "bridge" | "host" | "none") && !mode.starts_with("container:");
    if !short.aliases.is_empty() && !user_defined {
        return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    let mut endpoints = BTreeMap::new();
    for attachment in attachments {
        let special = matches!(attachment.name.as_str(), "host" | "none") || attachment.name.starts_with("container:");
        if !several && (attachment.endpoint == Endpoint::default() || special) {
            continue;
        }
        if endpoints.contains_key(&attachment.name) {
            return Err(format!("network {:?} is specified multiple times", attachment.name));
        }
        endpoints.insert(attachment.name, attachment.endpoint);
    }
    Ok((mode, endpoints))
}

/// Checks `host:address` or `host=address`; the daemon takes the form with a colon.
pub(crate) fn extra_host(text: &str) -> Result<String, String> {
    let malformed = || format!("bad format for add-host: {text:?}");
    let (name, ip) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(malformed)?;
    if name.is_empty() {
        return Err(malformed());
    }
    let bare = ip
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(ip);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {ip:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(parse("host").unwrap().name, "host");
        let attachment = parse("name=net,alias=a,alias=b,ip=10.0.0.9,driver-opt=k=v").unwrap();
        assert_eq!(
            (attachment.name.as_str(), attachment.endpoint.aliases.len()),
            ("net", 2)
        );
        assert_eq!(attachment.endpoint.ipam_config.unwrap().ipv4_address, "10.0.0.9");
        for (text, reason) in [
            ("alias=a", "network name/id is not specified"),
            ("name=n,foo=1", "invalid field key foo"),
            ("name=n,ip=x", "IP address is not correctly formatted: x"),
        ] {
            assert_eq!(parse(text).unwrap_err(), reason);
        }
    }

    #[test]
    fn combinations() {
        let (mode, endpoints) = combine(Vec::new(), &ShortOptions::default()).unwrap();
        assert_eq!((mode.as_str(), endpoints.len()), ("default", 0));
        let two = vec![parse("a").unwrap(), parse("b").unwrap()];
        let (mode, endpoints) = combine(two, &ShortOptions::default()).unwrap();
        assert_eq!((mode.as_str(), endpoints.len()), ("a", 2));
        let aliases = ["x".to_owned()];
        let short = ShortOptions {
            aliases: &aliases,
            ..ShortOptions::default()
        };
        assert!(combine(vec![parse("host").unwrap()], &short).is_err());
        assert!(combine(vec![parse("a").unwrap(), parse("a").unwrap()], &ShortOptions::default()).is_err());
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("a:1.2.3.4", Ok("a:1.2.3.4")),
            ("a=::1", Ok("a:::1")),
            ("a=[::1]", Ok("a:::1")),
            ("a:host-gateway", Ok("a:host-gateway")),
            ("foo", Err("bad format for add-host: \"foo\"")),
            ("a:b", Err("invalid IP address in add-host: \"b\"")),
        ] {
            assert_eq!(extra_host(text).as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
