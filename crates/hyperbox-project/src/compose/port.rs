// SPDX-License-Identifier: MIT
//! Published ports as they are written short.
//!
//! Source: <https://docs.docker.com/reference/compose-file/services/#short-syntax-3>; forms that it leaves open are those of `docker run -p`.

use super::short;
use super::tree::{At, Node, Value};

/// One port of a container and where it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    host: String,
    published: String,
    target: u16,
    protocol: String,
}

impl Port {
    /// The long form.
    pub(crate) fn node(self, at: At) -> Node {
        let mut members = vec![
            ("mode", Value::Text("ingress".to_owned())),
            ("target", Value::Integer(i64::from(self.target))),
            ("protocol", Value::Text(self.protocol)),
        ];
        if !self.host.is_empty() {
            members.push(("host_ip", Value::Text(self.host)));
        }
        if !self.published.is_empty() {
            members.push(("published", Value::Text(self.published)));
        }
        short::map(at, members)
    }
}

/// Reads a short form into the long forms that a resolved model has.
///
/// # Errors
/// A sentence with the part that is wrong.
pub fn long_forms(text: &str) -> Result<Vec<serde_json::Value>, String> {
    let ports = parse(text)?.into_iter();
    Ok(ports
        .map(|port| super::render::shows(&port.node(At::default())))
        .collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        (range.first <= range.last).then_some(range)
    }

    fn size(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }
}

/// Reads `[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]`. A range of targets gives one port each; a range published for one target stays a range,
/// of which the engine takes one.
///
/// # Errors
/// A sentence with the part that is wrong, in Docker's words.
pub(crate) fn parse(text: &str) -> Result<Vec<Port>, String> {
    let (address, protocol) = match text.split_once('/') {
        Some((address, protocol)) => (address, protocol.to_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let (host, published, target) = split(address)?;
    if target.is_empty() {
        return Err(format!("No port specified: {text}<empty>"));
    }
    let targets = Range::parse(target).ok_or_else(|| format!("Invalid containerPort: {target}"))?;
    let range = match published {
        "" => None,
        _ => Some(Range::parse(published).ok_or_else(|| format!("Invalid hostPort: {published}"))?),
    };
    let host = checked_host(host)?;
    if let Some(range) = range
        && range.size() != targets.size()
        && targets.size() != 1
    {
        return Err(format!(
            "Invalid ranges specified for container and host Ports: {target} and {published}"
        ));
    }
    Ok((targets.first..=targets.last)
        .map(|target| Port {
            host: host.clone(),
            published: match range {
                None => String::new(),
                Some(range) if range.size() == targets.size() => (range.first + (target - targets.first)).to_string(),
                Some(_) => published.to_owned(),
            },
            target,
            protocol: protocol.clone(),
        })
        .collect())
}

/// Splits at colons, but not at those of an IPv6 address in brackets.
fn split(address: &str) -> Result<(&str, &str, &str), String> {
    let Some((before, target)) = address.rsplit_once(':') else {
        return Ok(("", "", address));
    };
    match before.rsplit_once(':') {
        None => Ok(("", before, target)),
        Some((host, published)) if host.starts_with('[') == host.ends_with(']') => Ok((host, published, target)),
        Some(_) => Err(format!("Invalid ip address: {before}")),
    }
}

fn checked_host(host: &str) -> Result<String, String> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("Invalid ip address: {host}"));
    }
    Ok(bare.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        match parse(text) {
            Ok(ports) => ports
                .into_iter()
                .map(|port| format!("{}|{}|{}/{}", port.host, port.published, port.target, port.protocol))
                .collect(),
            Err(reason) => vec![reason],
        }
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("80", vec!["||80/tcp"]),
            ("53/UDP", vec!["||53/udp"]),
            ("8080:80", vec!["|8080|80/tcp"]),
            (":90", vec!["||90/tcp"]),
            ("127.0.0.1:8080:80", vec!["127.0.0.1|8080|80/tcp"]),
            ("1.2.3.4::91", vec!["1.2.3.4||91/tcp"]),
            ("[::1]:80:81", vec!["::1|80|81/tcp"]),
            ("::1:80:81", vec!["::1|80|81/tcp"]),
            ("8000-8001:80", vec!["|8000-8001|80/tcp"]),
            ("80-81:90-91", vec!["|80|90/tcp", "|81|91/tcp"]),
            ("90-91", vec!["||90/tcp", "||91/tcp"]),
            ("a:b", vec!["Invalid containerPort: b"]),
            ("a:80", vec!["Invalid hostPort: a"]),
            ("80:", vec!["No port specified: 80:<empty>"]),
            ("80/icmp", vec!["Invalid proto: icmp"]),
            ("70000", vec!["Invalid containerPort: 70000"]),
            ("91-90", vec!["Invalid containerPort: 91-90"]),
            (
                "80-82:90-91",
                vec!["Invalid ranges specified for container and host Ports: 90-91 and 80-82"],
            ),
            ("host:80:80", vec!["Invalid ip address: host"]),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9:./a\\-\\[\\]]{0,24}") {
            let _outcome = parse(&text);
        }
    }
}
