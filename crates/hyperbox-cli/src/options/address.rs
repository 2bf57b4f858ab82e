// SPDX-License-Identifier: MIT
//! `--dns`, `--dns-search`, `--add-host`: what stands in a container's `resolv.conf` and `hosts`.

use std::net::IpAddr;

/// The address that the daemon puts in: that of the host, as seen from the container.
const HOST_GATEWAY: &str = "host-gateway";
/// The longest name that DNS knows.
const MAX_DOMAIN: usize = 254;

/// Checks an IP address and returns its usual spelling.
pub(crate) fn address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical().to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// Checks a search domain; a final dot is left out, and a dot alone means no search domain at all.
pub(crate) fn search_domain(text: &str) -> Result<String, String> {
    let trimmed = text.trim_matches(' ');
    if trimmed == "." {
        return Ok(trimmed.to_owned());
    }
    let bare = trimmed.trim_end();
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let valid = bare.len() <= MAX_DOMAIN
        && bare.bytes().any(|byte| byte.is_ascii_alphabetic())
        && bare.split('.').all(is_label);
    if valid {
        Ok(bare.to_owned())
    } else {
        Err(format!("{trimmed} is not a valid domain"))
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Checks `host:address` or `host=address`; the daemon takes the form with a colon and without brackets.
pub(crate) fn extra_host(text: &str) -> Result<String, String> {
    let (name, ip) = match text.split_once('=').or_else(|| text.split_once(':')) {
        Some((name, ip)) if !name.is_empty() && !name.contains(':') => (name, ip),
        _ => return Err(format!("bad format for add-host: {text:?}")),
    };
    let bare = ip
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|bare| !bare.is_empty())
        .unwrap_or(ip);
    if bare != HOST_GATEWAY && address(bare).is_err() {
        return Err(format!("invalid IP address in add-host: {bare:?}"));
    }
    Ok(format!("{name}:{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            (" 1.1.1.1 ", Ok("1.1.1.1")),
            ("2606:4700:0:0::1111", Ok("2606:4700::1111")),
            ("foo", Err("IP address is not correctly formatted: foo")),
            ("[::1]", Err("IP address is not correctly formatted: [::1]")),
            (
                "fe80::1%eth0",
                Err("IP address is not correctly formatted: fe80::1%eth0"),
            ),
            ("", Err("IP address is not correctly formatted: ")),
        ] {
            assert_eq!(address(text).as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn search_domains() {
        for (text, expected) in [
            ("example.com", Ok("example.com")),
            ("Example.COM.", Ok("Example.COM")),
            (".", Ok(".")),
            ("a b", Err("a b is not a valid domain")),
            ("", Err(" is not a valid domain")),
            ("-a", Err("-a is not a valid domain")),
            ("a_b", Err("a_b is not a valid domain")),
            ("1.2", Err("1.2 is not a valid domain")),
        ] {
            assert_eq!(
                search_domain(text).as_deref().map_err(String::as_str),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("a:1.2.3.4", Ok("a:1.2.3.4")),
            ("a=1.2.3.4", Ok("a:1.2.3.4")),
            ("a:::1", Ok("a:::1")),
            ("a=::1", Ok("a:::1")),
            ("a:[::1]", Ok("a:::1")),
            ("a=[::1]", Ok("a:::1")),
            ("a=[1.2.3.4]", Ok("a:1.2.3.4")),
            ("a: 1.2.3.4", Ok("a: 1.2.3.4")),
            ("a:host-gateway", Ok("a:host-gateway")),
            ("a=host-gateway", Ok("a:host-gateway")),
            ("foo", Err("bad format for add-host: \"foo\"")),
            ("", Err("bad format for add-host: \"\"")),
            (":1.2.3.4", Err("bad format for add-host: \":1.2.3.4\"")),
            ("a:b=1.2.3.4", Err("bad format for add-host: \"a:b=1.2.3.4\"")),
            ("a:b", Err("invalid IP address in add-host: \"b\"")),
            ("a:", Err("invalid IP address in add-host: \"\"")),
            ("a:[::1", Err("invalid IP address in add-host: \"[::1\"")),
            ("[::1]", Err("invalid IP address in add-host: \":1]\"")),
            ("a.b=c:1.2.3.4", Err("invalid IP address in add-host: \"c:1.2.3.4\"")),
        ] {
            assert_eq!(extra_host(text).as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
