// SPDX-License-Identifier: MIT
//! Parsers of option values, in Docker's syntax and with Docker's complaints. All are pure: files and the environment come in
//! as text or through a closure.

mod address;
pub(crate) mod container;
mod device;
mod duration;
mod environment;
pub(crate) mod filter;
pub(crate) mod flags;
mod health;
mod ipam;
mod mount;
mod network;
mod number;
mod port;
mod security;
mod time;
mod volume;

pub(crate) use duration::parse_duration;
pub(crate) use environment::{label, pairs, variables};
pub(crate) use ipam::{AddressOptions, pools};
pub(crate) use network::link;
pub(crate) use number::{parse_bytes, parse_bytes_or_unlimited, parse_cpus};
pub(crate) use time::timestamp;

/// Parses the value of a switch, such as `--internal=false`, with all of Go's spellings.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    mount::boolean(text).ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))
}

/// Parses a platform, such as `linux/arm64`.
pub(crate) fn platform(text: &str) -> Result<hyperbox_types::Platform, String> {
    hyperbox_types::Platform::parse(text).map_err(|error| error.to_string())
}

/// Parses an integer with a sign.
pub(crate) fn parse_integer(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
}

/// Splits the values of an option that may hold several, as one CSV record each.
pub(crate) fn comma_separated(values: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for value in values.iter().filter(|value| !value.is_empty()) {
        all.extend(mount::csv(value)?);
    }
    Ok(all)
}

/// Parses a restart policy: `no`, `always`, `on-failure[:attempts]`, `unless-stopped`; the daemon knows the names.
pub(crate) fn restart_policy(text: &str) -> Result<hyperbox_client::model::RestartPolicy, String> {
    let (name, count) = text
        .split_once(':')
        .map_or((text, None), |(name, count)| (name, Some(count)));
    if name.is_empty() && count.is_some() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = match count {
        None => 0,
        Some(count) => count
            .parse()
            .map_err(|_| "invalid restart policy format: maximum retry count must be an integer".to_owned())?,
    };
    Ok(hyperbox_client::model::RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count,
    })
}

#[cfg(test)]
mod tests {
    use super::restart_policy;

    #[test]
    fn restart_policies() {
        for (text, expected) in [
            ("no", Ok(("no", 0))),
            ("always", Ok(("always", 0))),
            ("on-failure:3", Ok(("on-failure", 3))),
            (
                "on-failure:x",
                Err("invalid restart policy format: maximum retry count must be an integer"),
            ),
            (
                ":1",
                Err("invalid restart policy format: no policy provided before colon"),
            ),
        ] {
            let parsed = restart_policy(text);
            let parsed = parsed
                .as_ref()
                .map(|policy| (policy.name.as_str(), policy.maximum_retry_count));
            assert_eq!(parsed.map_err(String::as_str), expected, "{text}");
        }
    }
}
