// SPDX-License-Identifier: MIT
//! Devices: `--device`, `--device-cgroup-rule`, and the limits of block devices.

use hyperbox_client::model::{BlkioWeight, DeviceMapping, ThrottleDevice};

use super::parse_bytes;

/// Parses `host[:container][:permissions]`.
pub(crate) fn mapping(text: &str) -> Result<DeviceMapping, String> {
    let is_mode =
        |text: &str| !text.is_empty() && text.chars().all(|c| matches!(c, 'r' | 'w' | 'm')) && text.len() <= 3;
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, mode) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, container] => (*host, *container, "rwm"),
        [host, container, mode] if is_mode(mode) => (*host, *container, *mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if host.is_empty() {
        return Err(format!("invalid device specification: {text}"));
    }
    Ok(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: if container.is_empty() { host } else { container }.to_owned(),
        cgroup_permissions: mode.to_owned(),
    })
}

/// Checks a rule such as `c 13:* rwm`.
pub(crate) fn rule(text: &str) -> Result<String, String> {
    let number = |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let words: Vec<&str> = text.split_whitespace().collect();
    let valid = matches!(words.as_slice(), [kind, numbers, mode]
        if matches!(*kind, "a" | "b" | "c")
            && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
            && (1..=3).contains(&mode.len())
            && mode.chars().all(|c| matches!(c, 'r' | 'w' | 'm')));
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid device cgroup format '{text}'"))
    }
}

/// Parses `path:weight`.
pub(crate) fn weight(text: &str) -> Result<BlkioWeight, String> {
    let (path, weight) = split(text)?;
    let weight: u16 = weight
        .parse()
        .map_err(|_| format!("invalid weight for device: {text}"))?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(format!("invalid weight for device: {text}"));
    }
    Ok(BlkioWeight {
        path: path.to_owned(),
        weight,
    })
}

/// Parses `path:bytes`.
pub(crate) fn bytes_per_second(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split(text)?;
    let reason = || {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    };
    let rate = parse_bytes(rate)
        .ok()
        .and_then(|rate| u64::try_from(rate).ok())
        .ok_or_else(reason)?;
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Parses `path:operations`.
pub(crate) fn operations_per_second(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split(text)?;
    let reason = || {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    };
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate: rate.parse().map_err(|_| reason())?,
    })
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let (path, rest) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings() {
        for (text, expected) in [
            ("/dev/a", Ok(("/dev/a", "/dev/a", "rwm"))),
            ("/dev/a:/dev/b", Ok(("/dev/a", "/dev/b", "rwm"))),
            ("/dev/a:r", Ok(("/dev/a", "/dev/a", "r"))),
            ("/dev/a:/dev/b:rw", Ok(("/dev/a", "/dev/b", "rw"))),
            ("/dev/a::m", Ok(("/dev/a", "/dev/a", "m"))),
            ("foo:bar:baz", Err("bad mode specified: baz")),
            ("a:b:c:d", Err("invalid device specification: a:b:c:d")),
            ("", Err("invalid device specification: ")),
        ] {
            let parsed = mapping(text);
            let parsed = parsed.as_ref().map_err(String::as_str).map(|device| {
                (
                    device.path_on_host.as_str(),
                    device.path_in_container.as_str(),
                    device.cgroup_permissions.as_str(),
                )
            });
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn rules_and_rates() {
        for (text, valid) in [
            ("c 13:* rwm", true),
            ("a *:* m", true),
            ("d 1:2 r", false),
            ("c 1 r", false),
            ("c 1:2 x", false),
        ] {
            assert_eq!(rule(text).is_ok(), valid, "{text}");
        }
        assert_eq!(bytes_per_second("/dev/sda:1mb").map(|device| device.rate), Ok(1 << 20));
        assert!(bytes_per_second("/dev/sda:x").is_err());
        assert_eq!(operations_per_second("/dev/sda:10").map(|device| device.rate), Ok(10));
        assert!(operations_per_second("sda:10").is_err());
        assert!(weight("/dev/sda:5").is_err());
    }
}
