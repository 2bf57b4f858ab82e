// SPDX-License-Identifier: MIT
//! `--publish [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]` with ranges, its `target=…,published=…` form, and `--expose`.
//!
//! Accepts and refuses what Docker's client does (`docker/go-connections`, package `nat`), with its texts.

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
            publish_one(&short_form(option)?, &mut ports)?;
        } else {
            publish_one(option, &mut ports)?;
        }
    }
    for option in expose {
        if option.contains(':') {
            return Err(format!("invalid port format for --expose: {option}"));
        }
        let (range, protocol) = split_protocol(option);
        let (first, last) = range_of(range)
            .map_err(|reason| format!("invalid range format for --expose: {option}, error: {reason}"))?;
        for port in first..=last {
            ports.exposed.insert(format!("{port}/{protocol}"), Empty {});
        }
    }
    Ok(ports)
}

/// Turns `target=80,published=8080` into `8080:80/tcp`. Docker has no use for other keys, and lets them pass.
fn short_form(option: &str) -> Result<String, String> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for field in option.split(',') {
        match field.split_once('=') {
            None | Some(("", _)) => {
                return Err(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                ));
            }
            Some(("target", value)) => target = value,
            Some(("published", value)) => published = value,
            Some(("protocol", value)) => protocol = value,
            Some(_) => {}
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn publish_one(text: &str, ports: &mut Ports) -> Result<(), String> {
    let (rest, last) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (container, protocol) = split_protocol(last);
    let address = bare_address(address)?;
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range_of(container).map_err(|_| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range_of(host).map_err(|_| format!("invalid hostPort: {host}"))?),
    };
    let count = last - first;
    if count != 0
        && let Some((host_first, host_last)) = host_range
        && host_last - host_first != count
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    let lower = protocol.to_ascii_lowercase();
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    for offset in 0..=count {
        let key = format!("{}/{lower}", first + offset);
        let host_port = match host_range {
            None => String::new(),
            // A range of the host for one port lets the daemon choose.
            Some((host_first, host_last)) if count == 0 && host_last != host_first => {
                format!("{host_first}-{host_last}")
            }
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

/// Splits `port/protocol`; without a port there is neither.
fn split_protocol(text: &str) -> (&str, &str) {
    let mut parts = text.split('/');
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("", _) => ("", ""),
        (port, None | Some("")) => (port, "tcp"),
        (port, Some(protocol)) => (port, protocol),
    }
}

/// Takes the brackets off an address.
fn bare_address(text: &str) -> Result<&str, String> {
    let bare = match text.strip_prefix('[') {
        None => text,
        Some(rest) => rest
            .strip_suffix(']')
            .ok_or_else(|| format!("invalid IP address {text}: address {text}:: missing ']' in address"))?,
    };
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {bare}"));
    }
    Ok(bare)
}

/// Parses `first[-last]`. As for Docker, what stands behind a second dash does not count.
fn range_of(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let mut parts = text.split('-');
    let first = number(parts.next().unwrap_or_default())?;
    let last = parts.next().map_or(Ok(first), number)?;
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

fn number(text: &str) -> Result<u16, String> {
    let fault = |reason: &str| format!("strconv.ParseUint: parsing {text:?}: {reason}");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault("invalid syntax"));
    }
    text.parse().map_err(|_| fault("value out of range"))
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
        assert!(
            ports.bindings.keys().eq(ports.exposed.keys()),
            "what is published is exposed"
        );
        Ok(lines.join(" "))
    }

    #[test]
    fn accepted_publications() {
        for (text, expected) in [
            ("80", "|>80/tcp"),
            (":80", "|>80/tcp"),
            ("::80", "|>80/tcp"),
            ("80/", "|>80/tcp"),
            ("80/TCP", "|>80/tcp"),
            ("80:80/tcp/udp", "|80>80/tcp"),
            ("8080:80", "|8080>80/tcp"),
            ("080:080", "|80>80/tcp"),
            ("0:80", "|0>80/tcp"),
            ("80:0", "|80>0/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1|8080>80/udp"),
            ("127.0.0.1::80/sctp", "127.0.0.1|>80/sctp"),
            ("127.0.0.1::80-81", "127.0.0.1|>80/tcp 127.0.0.1|>81/tcp"),
            ("[::1]:8080:80", "::1|8080>80/tcp"),
            ("::1:8080:80", "::1|8080>80/tcp"),
            ("[::]::80", "::|>80/tcp"),
            ("[1.2.3.4]:80:80", "1.2.3.4|80>80/tcp"),
            ("8000-8001:80-81", "|8000>80/tcp |8001>81/tcp"),
            ("8000-8010:80", "|8000-8010>80/tcp"),
            ("80-81", "|>80/tcp |>81/tcp"),
            ("target=80,published=8080,protocol=udp", "|8080>80/udp"),
            ("target=80,protocol=SCTP", "|>80/sctp"),
            ("target=80,published=8080-8082", "|8080-8082>80/tcp"),
            ("target=80-81,published=8080-8081", "|8080>80/tcp |8081>81/tcp"),
            ("target=80,mode=host,foo=1", "|>80/tcp"),
        ] {
            assert_eq!(show(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refused_publications() {
        for (text, reason) in [
            ("", "no port specified: <empty>"),
            (":", "no port specified: :<empty>"),
            ("80:", "no port specified: 80:<empty>"),
            ("/udp", "no port specified: /udp<empty>"),
            ("80:99999", "invalid containerPort: 99999"),
            ("80:x", "invalid containerPort: x"),
            ("81-80", "invalid containerPort: 81-80"),
            ("x:80", "invalid hostPort: x"),
            ("-1:80", "invalid hostPort: -1"),
            ("+80:80", "invalid hostPort: +80"),
            ("80-:80", "invalid hostPort: 80-"),
            ("80 :80", "invalid hostPort: 80 "),
            ("99999:80", "invalid hostPort: 99999"),
            (
                "8000-8002:80-81",
                "invalid ranges specified for container and host Ports: 80-81 and 8000-8002",
            ),
            (
                "80:80-82",
                "invalid ranges specified for container and host Ports: 80-82 and 80",
            ),
            ("nohost:1:2", "invalid IP address: nohost"),
            (":::80", "invalid IP address: :"),
            ("[fe80::1%eth0]:80:80", "invalid IP address: fe80::1%eth0"),
            (
                "[::1:80:80",
                "invalid IP address [::1: address [::1:: missing ']' in address",
            ),
            ("80/foo", "invalid proto: foo"),
            ("target=80,protocol=foo", "invalid proto: foo"),
            ("published=1", "no port specified: 1:/tcp<empty>"),
            ("target=x", "invalid containerPort: x"),
            ("target=80,published=x", "invalid hostPort: x"),
            (
                "target=80,foo",
                "invalid publish opts format (should be name=value but got 'foo')",
            ),
        ] {
            assert_eq!(show(text), Err(reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn one_port_may_be_published_twice() {
        let ports = parse(&["8080:80".to_owned(), "8081:80".to_owned()], &[]).unwrap();
        let hosts: Vec<&str> = ports.bindings["80/tcp"]
            .iter()
            .map(|binding| binding.host_port.as_str())
            .collect();
        assert_eq!(hosts, ["8080", "8081"]);
    }

    #[test]
    fn exposed_ports() {
        for (text, expected) in [
            ("80", Ok("80/tcp")),
            ("80/", Ok("80/tcp")),
            ("90-91/udp", Ok("90/udp 91/udp")),
            // The daemon judges the protocol.
            ("80/foo", Ok("80/foo")),
            ("1:2", Err("invalid port format for --expose: 1:2")),
            (
                "x",
                Err("invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": invalid syntax"),
            ),
            (
                "99999",
                Err(
                    "invalid range format for --expose: 99999, error: strconv.ParseUint: parsing \"99999\": value out of range",
                ),
            ),
            (
                "82-80",
                Err("invalid range format for --expose: 82-80, error: invalid range specified for port: 82-80"),
            ),
            (
                "",
                Err("invalid range format for --expose: , error: empty string specified for ports"),
            ),
        ] {
            let parsed = parse(&[], &[text.to_owned()]);
            let parsed = parsed.map(|ports| ports.exposed.into_keys().collect::<Vec<_>>().join(" "));
            assert_eq!(parsed.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
