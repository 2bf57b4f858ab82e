// SPDX-License-Identifier: MIT
//! Instructions that change an image's configuration (`docker commit --change`): those of a Dockerfile that make no layer. Pure.
//!
//! Texts of refusals are Docker's. Variables are those of the image's environment, as the lines before have left it.

mod health;

use hyperbox_dockerfile::word::{Lookup, WordError, expand, expand_words};
use hyperbox_dockerfile::{CommandLine, Dockerfile, Instruction, KeyValue};
use hyperbox_types::Signal;

use super::ImageConfig;
use crate::{Result, ServiceError};

/// What takes a character's meaning.
const ESCAPE: char = '\\';

/// Applies instructions, in order.
///
/// # Errors
/// `InvalidArgument` for what is no instruction or is malformed.
pub fn apply(config: &mut ImageConfig, changes: &[String]) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let parsed = Dockerfile::parse_changes(&changes.join("\n"));
    let parsed = parsed.map_err(|error| ServiceError::invalid(error.message))?;
    let mut command_given = false;
    for one in parsed {
        command_given |= matches!(one.value, Instruction::Command(_));
        instruction(config, one.value, command_given)?;
    }
    Ok(())
}

fn instruction(config: &mut ImageConfig, instruction: Instruction, command_given: bool) -> Result<()> {
    let environment = config.env.clone();
    let lookup = |name: &str| variable(&environment, name);
    match instruction {
        Instruction::Command(line) => config.command = words(line, &config.shell),
        Instruction::Entrypoint(line) => {
            config.entrypoint = words(line, &config.shell);
            if !command_given {
                config.command.clear();
            }
        }
        Instruction::Environment(pairs) => {
            for (name, value) in expand_pairs(&pairs, &lookup)? {
                set_variable(&mut config.env, &name, &value);
            }
        }
        Instruction::Label(pairs) => config.labels.extend(expand_pairs(&pairs, &lookup)?),
        Instruction::Expose(ports) => {
            for text in ports {
                let ports = expand_words(&text, ESCAPE, &lookup).map_err(refused)?;
                ports.iter().try_for_each(|port| expose(config, port))?;
            }
        }
        Instruction::Volume(paths) => {
            for path in paths {
                let path = expanded(&path, &lookup)?;
                if !config.volumes.contains(&path) {
                    config.volumes.push(path);
                }
            }
        }
        Instruction::User(user) => config.user = expanded(&user, &lookup)?,
        Instruction::WorkingDirectory(wish) => {
            config.working_dir = directory(&config.working_dir, &expanded(&wish, &lookup)?);
        }
        Instruction::StopSignal(signal) => {
            let signal = expanded(&signal, &lookup)?;
            stop_signal(&signal)?;
            config.stop_signal = Some(signal);
        }
        Instruction::OnBuild(trigger) => config.on_build.push(trigger),
        Instruction::Healthcheck(check) => config.health = Some(health::check(check)?),
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Copy(_)
        | Instruction::Maintainer(_)
        | Instruction::Run(_)
        | Instruction::Shell(_) => return Err(ServiceError::invalid("not a valid change command")),
    }
    Ok(())
}

/// Turns an instruction into a health check.
///
/// # Errors
/// `InvalidArgument` for malformed times and counts.
pub fn health_check(instruction: hyperbox_dockerfile::Healthcheck) -> Result<crate::container::HealthCheck> {
    health::check(instruction)
}

fn variable(environment: &[String], name: &str) -> Option<String> {
    let pairs = environment.iter().filter_map(|line| line.split_once('='));
    pairs
        .filter(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
        .next()
}

/// Sets a variable, in its old place if it is there.
pub fn set_variable(environment: &mut Vec<String>, name: &str, value: &str) {
    let prefix = format!("{name}=");
    let line = format!("{prefix}{value}");
    match environment.iter_mut().find(|known| known.starts_with(&prefix)) {
        Some(known) => *known = line,
        None => environment.push(line),
    }
}

fn refused(error: WordError) -> ServiceError {
    ServiceError::invalid(error.to_string())
}

fn expanded(text: &str, lookup: Lookup<'_>) -> Result<String> {
    expand(text, ESCAPE, lookup).map_err(refused)
}

fn expand_pairs(pairs: &[KeyValue], lookup: Lookup<'_>) -> Result<Vec<(String, String)>> {
    let expand = |pair: &KeyValue| Ok((expanded(&pair.name, lookup)?, expanded(&pair.value, lookup)?));
    pairs.iter().map(expand).collect()
}

/// Returns the words of a command; a text is one for the shell, which is `/bin/sh -c` where none is named.
pub fn words(line: CommandLine, shell: &[String]) -> Vec<String> {
    match line {
        CommandLine::Exec(words) => words,
        CommandLine::Shell(text) => {
            let shell = if shell.is_empty() {
                vec!["/bin/sh".to_owned(), "-c".to_owned()]
            } else {
                shell.to_vec()
            };
            [shell, vec![text]].concat()
        }
    }
}

/// Requires the name of a signal, or a number other than 0: as with Docker, whether there is such a signal is not asked.
///
/// # Errors
/// `InvalidArgument` for what is neither.
pub fn stop_signal(text: &str) -> Result<()> {
    let is_known = match text.parse::<i32>() {
        Ok(number) => number != 0,
        Err(_) => Signal::parse(text).is_ok(),
    };
    is_known
        .then_some(())
        .ok_or_else(|| ServiceError::invalid(format!("invalid signal: {text}")))
}

/// Declares a port or a range of ports, such as `80`, `53/udp`, `8000-8010/tcp`. As with Docker, an address and ports of the machine may
/// stand before it, and mean nothing.
///
/// # Errors
/// `InvalidArgument` for what is none.
pub fn expose(config: &mut ImageConfig, text: &str) -> Result<()> {
    let (whole, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "" => "tcp".to_owned(),
        named => named.to_ascii_lowercase(),
    };
    let (before, range) = whole.rsplit_once(':').unwrap_or(("", whole));
    let host = before.rsplit_once(':').map_or(before, |(_, ports)| ports);
    if range.is_empty() {
        return Err(ServiceError::invalid(format!("No port specified: {text}<empty>")));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(ServiceError::invalid(format!("Invalid proto: {protocol}")));
    }
    let invalid = || ServiceError::invalid(format!("Invalid containerPort: {range}"));
    let (first, last) = ports(range).ok_or_else(invalid)?;
    if !host.is_empty() {
        let invalid = || ServiceError::invalid(format!("Invalid hostPort: {host}"));
        let (host_first, host_last) = ports(host).ok_or_else(invalid)?;
        if last - first != host_last - host_first && first != last {
            let message = format!("Invalid ranges specified for container and host Ports: {range} and {host}");
            return Err(ServiceError::invalid(message));
        }
    }
    for port in first..=last {
        let port = format!("{port}/{protocol}");
        if !config.exposed_ports.contains(&port) {
            config.exposed_ports.push(port);
        }
    }
    Ok(())
}

/// Reads a port, or a range of ports.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Puts a wish on top of the present directory, without `.`, `..` and doubled slashes.
pub fn directory(present: &str, wish: &str) -> String {
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

#[cfg(test)]
mod tests;
