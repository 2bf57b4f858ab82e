// SPDX-License-Identifier: MIT
//! `--publish [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]` with ranges, and `--expose`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyperbox_client::model::{Empty, PublishedPort};

/// Exposed ports and their bindings.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ports {
    pub(crate) exposed: BTreeMap<String, Empty>,
    pub(crate) bindings: BTreeMap<String, Vec<PublishedPort>>,
}

/// Parses all `--publish` and `--expose` options.
pub(crate) fn parse(publish: &[String], expose: &[String]) -> Result<Ports, String> {
    let mut ports = Ports::default();
    for option in publish {
        if option.contains('=') {
            publish_long(option, &mut ports)?;
        } else {
            publish_one(option, &mut ports)?;
        }
    }
    for option in expose {
        if option.contains(':') {
            return Err(format!("invalid port format for --expose: {option}"));
        }
        let (range, protocol) = protocol(option)?;
        let (first, last) = range_of(range).map_err(|_| format!("invalid range format for --expose: {option}"))?;
        for port in first..=last {
            ports.exposed.insert(format!("{port}/{protocol}"), Empty {});
        }
    }
    Ok(ports)
}

fn publish_one(text: &str, ports: &mut Ports) -> Result<(), String> {
    let (rest, protocol) = protocol(text)?;
    let (address_and_host, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (address, host) = split_address(address_and_host, text)?;
    add(ports, address, host, container, protocol, text)
}

fn add(
    ports: &mut Ports,
    address: &str,
    host: &str,
    container: &str,
    protocol: &str,
    text: &str,
) -> Result<(), String> {
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range_of(container).map_err(|_| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range_of(host).map_err(|_| format!("invalid hostPort: {host}"))?),
    };
    let count = last - first;
    if let Some((host_first, host_last)) = host_range
        && host_last - host_first != count
        && count != 0
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    for offset in 0..=count {
        let key = format!("{}/{protocol}", first + offset);
        let host_port = match host_range {
            None => String::new(),
            // A range of the host for one port lets the daemon choose.
            Some((host_first, host_last)) if count == 0 && host_last != host_first => host.to_owned(),
            Some((host_first, _)) => (host_first + offset).to_string(),
        };
        ports.exposed.insert(key.clone(), Empty {});
        ports.bindings.entry(key).or_default().push(PublishedPort {
            host_ip: address.to_owned(),
            host_port,
        });
    }
    Ok(())
}

fn publish_long(text: &str, ports: &mut Ports) -> Result<(), String> {
    let (mut target, mut published, mut protocol) = (String::new(), String::new(), "tcp".to_owned());
    for field in super::mount::csv(text)? {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("invalid field: {field}"))?;
        match key.to_ascii_lowercase().as_str() {
            "target" => value.clone_into(&mut target),
            "published" => value.clone_into(&mut published),
            "protocol" => protocol = value.to_ascii_lowercase(),
            "mode" if matches!(value, "host" | "ingress") => {}
            _ => return Err(format!("invalid field: {field}")),
        }
    }
    if target.is_empty() {
        return Err(format!("missing mandatory field '{}' in '{text}'", "target"));
    }
    add(ports, "", &published, &target, &protocol, text)
}

fn protocol(text: &str) -> Result<(&str, &str), String> {
    match text.rsplit_once('/') {
        None => Ok((text, "tcp")),
        Some((rest, protocol)) => match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Ok((rest, "tcp")),
            "udp" => Ok((rest, "udp")),
            "sctp" => Ok((rest, "sctp")),
            _ => Err(format!("invalid proto: {protocol}")),
        },
    }
}

/// Splits `address:port`, `[v6]:port`, `port` or nothing.
fn split_address<'a>(text: &'a str, whole: &str) -> Result<(&'a str, &'a str), String> {
    let Some((address, host)) = text.rsplit_once(':') else {
        return Ok(("", text));
    };
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {bare}"));
    }
    if bare.is_empty() && address.is_empty() && whole.starts_with("::") {
        return Ok(("", host));
    }
    Ok((bare, host))
}

fn range_of(text: &str) -> Result<(u16, u16), ()> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().map_err(drop)?, last.parse::<u16>().map_err(drop)?);
    if first > last { Err(()) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(publish: &str) -> Result<String, String> {
        let ports = parse(&[publish.to_owned()], &[])?;
        let lines: Vec<String> = ports
            .bindings
            .iter()
            .flat_map(|(port, bindings)| {
                bindings
                    .iter()
                    .map(move |binding| format!("{}|{}>{port}", binding.host_ip, binding.host_port))
            })
            .collect();
        Ok(lines.join(" "))
    }

    #[test]
    fn published_ports() {
        for (text, expected) in [
            ("80", Ok("|>80/tcp")),
            ("8080:80", Ok("|8080>80/tcp")),
            ("127.0.0.1:8080:80/udp", Ok("127.0.0.1|8080>80/udp")),
            ("127.0.0.1::80", Ok("127.0.0.1|>80/tcp")),
            ("[::1]:8080:80", Ok("::1|8080>80/tcp")),
            ("8000-8001:80-81", Ok("|8000>80/tcp |8001>81/tcp")),
            ("8000-8010:80", Ok("|8000-8010>80/tcp")),
            ("target=80,published=8080,protocol=udp", Ok("|8080>80/udp")),
            ("80:99999", Err("invalid containerPort: 99999")),
            ("x:80", Err("invalid hostPort: x")),
            (
                "8000-8002:80-81",
                Err("invalid ranges specified for container and host Ports: 80-81 and 8000-8002"),
            ),
            ("nohost:1:2", Err("invalid IP address: nohost")),
            ("80/foo", Err("invalid proto: foo")),
            ("published=1", Err("missing mandatory field 'target' in 'published=1'")),
        ] {
            assert_eq!(show(text).as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        let ports = parse(&[], &["80".to_owned(), "90-91/udp".to_owned()]).unwrap();
        assert_eq!(ports.exposed.keys().collect::<Vec<_>>(), ["80/tcp", "90/udp", "91/udp"]);
        assert!(parse(&[], &["1:2".to_owned()]).is_err());
    }
}
