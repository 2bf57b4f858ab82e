// SPDX-License-Identifier: MIT
//! Instructions that change an image's configuration (`docker commit --change`): those of a Dockerfile that make no layer. Pure.
//!
//! Texts of refusals are Docker's. Variables (`$NAME`) are taken literally.

mod words;

use std::time::Duration;

use hyperbox_types::Signal;

use self::words::{pairs, split};
use super::ImageConfig;
use crate::container::{HealthCheck, HealthTest};
use crate::{Result, ServiceError};

/// Applies instructions, one per line, in order.
///
/// # Errors
/// `InvalidArgument` for what is no instruction or is malformed.
pub fn apply(config: &mut ImageConfig, changes: &[String]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let text = changes.join("\n");
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    if lines.peek().is_none() {
        return Err(ServiceError::invalid("file with no instructions"));
    }
    let mut command_given = false;
    for line in lines {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let word = word.to_ascii_uppercase();
        command_given |= word == "CMD";
        instruction(config, &word, rest.trim(), command_given)?;
    }
    Ok(())
}

fn instruction(config: &mut ImageConfig, word: &str, rest: &str, command_given: bool) -> Result<()> {
    match word {
        "CMD" => config.command = command_line(rest, &config.shell)?,
        "ENTRYPOINT" => {
            config.entrypoint = command_line(rest, &config.shell)?;
            if !command_given {
                config.command.clear();
            }
        }
        "ENV" => {
            for (name, value) in pairs("ENV", rest)? {
                let prefix = format!("{name}=");
                config.env.retain(|known| !known.starts_with(&prefix));
                config.env.push(format!("{prefix}{value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs("LABEL", rest)?),
        "EXPOSE" => expose(config, rest)?,
        "VOLUME" => volumes(config, rest)?,
        "USER" => config.user = exactly_one("USER", rest)?,
        "WORKDIR" => {
            let wish = exactly_one("WORKDIR", rest)?;
            config.working_dir = directory(&config.working_dir, &wish);
        }
        "STOPSIGNAL" => {
            let signal = exactly_one("STOPSIGNAL", rest)?;
            Signal::parse(&signal).map_err(|_| ServiceError::invalid(format!("invalid signal: {signal}")))?;
            config.stop_signal = Some(signal);
        }
        "ONBUILD" => config.on_build.push(trigger(rest)?),
        "HEALTHCHECK" => config.health = Some(health(rest)?),
        other => {
            return Err(ServiceError::invalid(format!("{other} is not a valid change command")));
        }
    }
    Ok(())
}

/// A JSON list is taken as it is, everything else is a line for the shell.
fn command_line(text: &str, shell: &[String]) -> Result<Vec<String>> {
    if let Some(list) = json_list(text)? {
        return Ok(list);
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut line = if shell.is_empty() {
        vec!["/bin/sh".to_owned(), "-c".to_owned()]
    } else {
        shell.to_vec()
    };
    line.push(text.to_owned());
    Ok(line)
}

fn json_list(text: &str) -> Result<Option<Vec<String>>> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    let mut words = Vec::new();
    for value in list {
        match value {
            serde_json::Value::String(word) => words.push(word),
            _ => {
                return Err(ServiceError::invalid(
                    "when using JSON array syntax, arrays must be comprised of strings only",
                ));
            }
        }
    }
    Ok(Some(words))
}

fn at_least_one(word: &str, rest: &str) -> Result<()> {
    if rest.is_empty() {
        return Err(ServiceError::invalid(format!("{word} requires at least one argument")));
    }
    Ok(())
}

fn exactly_one(word: &str, rest: &str) -> Result<String> {
    if rest.is_empty() {
        return Err(ServiceError::invalid(format!("{word} requires exactly one argument")));
    }
    Ok(rest.to_owned())
}

fn expose(config: &mut ImageConfig, rest: &str) -> Result<()> {
    at_least_one("EXPOSE", rest)?;
    for text in split(rest) {
        let (range, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(ServiceError::invalid(format!("Invalid proto: {protocol}")));
        }
        let invalid = || ServiceError::invalid(format!("Invalid containerPort: {range}"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last => (first, last),
            _ => return Err(invalid()),
        };
        for port in first..=last {
            let port = format!("{port}/{protocol}");
            if !config.exposed_ports.contains(&port) {
                config.exposed_ports.push(port);
            }
        }
    }
    Ok(())
}

fn volumes(config: &mut ImageConfig, rest: &str) -> Result<()> {
    at_least_one("VOLUME", rest)?;
    for path in json_list(rest)?.unwrap_or_else(|| split(rest)) {
        if path.trim().is_empty() {
            return Err(ServiceError::invalid("VOLUME specified can not be an empty string"));
        }
        if !config.volumes.contains(&path) {
            config.volumes.push(path);
        }
    }
    Ok(())
}

/// Puts a wish on top of the present directory, without `.`, `..` and doubled slashes.
fn directory(present: &str, wish: &str) -> String {
    let start = if wish.starts_with('/') { "" } else { present };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(wish.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn trigger(rest: &str) -> Result<String> {
    at_least_one("ONBUILD", rest)?;
    let word = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match word.as_str() {
        "ONBUILD" => Err(ServiceError::invalid(
            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        )),
        "FROM" | "MAINTAINER" => Err(ServiceError::invalid(format!(
            "{word} isn't allowed as an ONBUILD trigger"
        ))),
        _ => Ok(rest.to_owned()),
    }
}

fn health(rest: &str) -> Result<HealthCheck> {
    at_least_one("HEALTHCHECK", rest)?;
    let mut check = HealthCheck {
        test: HealthTest::Disabled,
        interval: None,
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: None,
    };
    let mut rest = rest;
    while rest.starts_with("--") {
        let (flag, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        match name {
            "--interval" => check.interval = Some(duration(name, value)?),
            "--timeout" => check.timeout = Some(duration(name, value)?),
            "--start-period" => check.start_period = Some(duration(name, value)?),
            "--start-interval" => check.start_interval = Some(duration(name, value)?),
            "--retries" => {
                let invalid = |_| ServiceError::invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"));
                check.retries = Some(value.parse().map_err(invalid)?);
            }
            _ => return Err(ServiceError::invalid(format!("unknown flag: {name}"))),
        }
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match word.to_ascii_uppercase().as_str() {
        "NONE" if command.trim().is_empty() => {}
        "NONE" => return Err(ServiceError::invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" if command.trim().is_empty() => {
            return Err(ServiceError::invalid("Missing command after HEALTHCHECK CMD"));
        }
        "CMD" => {
            check.test = match json_list(command.trim())? {
                Some(list) => HealthTest::Command(list),
                None => HealthTest::Shell(command.trim().to_owned()),
            }
        }
        other => {
            return Err(ServiceError::invalid(format!(
                "Unknown type {other:?} in HEALTHCHECK (try CMD)"
            )));
        }
    }
    Ok(check)
}

/// Parses Go's durations, such as `1h15m30.5s`.
fn duration(flag: &str, text: &str) -> Result<Duration> {
    let invalid = || ServiceError::invalid(format!("invalid duration for {flag}: {text:?}"));
    let mut rest = text;
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(invalid)?;
        let number: f64 = rest[..number_end].parse().map_err(|_| invalid())?;
        let unit_end = rest[number_end..]
            .find(|letter: char| letter.is_ascii_digit())
            .map_or(rest.len(), |at| number_end + at);
        let scale = match &rest[number_end..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += number * scale;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| invalid())
}

#[cfg(test)]
mod tests;
