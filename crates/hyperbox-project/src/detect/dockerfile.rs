// SPDX-License-Identifier: MIT
//! A folder with a Dockerfile: one service, built of it, that publishes what it exposes.

use hyperbox_dockerfile::{Dockerfile, Instruction};

use super::folder::Folder;
use super::proposal::{Build, Draft, write};
use super::recipe::Rule;
use super::{DetectError, Proposal};
use crate::settings::Settings;

const NAMES: &[&str] = &["Dockerfile", "Containerfile"];

pub(crate) fn find(folder: &Folder<'_>) -> Option<&'static str> {
    folder.first(NAMES)
}

pub(crate) fn propose(folder: &Folder<'_>, settings: &Settings) -> Result<Proposal, DetectError> {
    let name = find(folder).unwrap_or(NAMES[0]);
    let failed = |reason: String| DetectError::File {
        path: folder.join(name),
        reason,
    };
    let text = folder.text(name).ok_or_else(|| failed("cannot be read".to_owned()))?;
    let dockerfile = Dockerfile::parse(&text).map_err(|error| failed(error.to_string()))?;
    let (ports, ports_reason) = match settings.app.port {
        Some(port) => (vec![port], format!("port {port}: hyperbox.toml says so")),
        None => {
            let ports = exposed(&dockerfile);
            let shown: Vec<String> = ports.iter().map(u16::to_string).collect();
            let reason = if ports.is_empty() {
                format!("no port: {name} exposes none")
            } else {
                format!("ports {}: {name} exposes them", shown.join(", "))
            };
            (ports, reason)
        }
    };
    let start = settings.commands.start.clone();
    let draft = Draft {
        title: format!("Proposed by HyperBox: {name}"),
        build: Some(Build {
            context: ".".to_owned(),
            // The usual name need not be said.
            dockerfile: (name != "Dockerfile").then(|| name.to_owned()),
            ..Build::default()
        }),
        command: start
            .clone()
            .map(|line| vec!["/bin/sh".to_owned(), "-c".to_owned(), line]),
        ports,
        watch: vec![Rule {
            action: "rebuild",
            path: ".",
            target: None,
            ignore: vec![".git/"],
        }],
        ..Draft::default()
    };
    let mut reasons = vec![format!("image: built of {name}"), ports_reason];
    reasons.extend(start.map(|line| format!("start {line:?}: hyperbox.toml says so")));
    Ok(Proposal {
        compose: write(&draft),
        reasons,
        notes: Vec::new(),
    })
}

/// The ports that the last stage exposes, and the stages that it is made of; those that are words with variables do not count.
fn exposed(dockerfile: &Dockerfile) -> Vec<u16> {
    let mut ports = Vec::new();
    let Some(last) = dockerfile.stages.len().checked_sub(1) else {
        return ports;
    };
    let mut next = Some(last);
    while let Some(index) = next {
        let stage = &dockerfile.stages[index];
        for instruction in &stage.instructions {
            if let Instruction::Expose(words) = &instruction.value {
                let numbers = words.iter().filter_map(|word| match word.split_once('/') {
                    Some((number, "tcp")) => number.parse().ok(),
                    Some(_) => None,
                    None => word.parse().ok(),
                });
                ports.extend(numbers.filter(|port: &u16| *port > 0));
            }
        }
        let named = |stage: &hyperbox_dockerfile::Stage, base: &str| {
            stage
                .name
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(base))
        };
        // A stage builds on stages before it only.
        next = (0..index)
            .rev()
            .find(|earlier| named(&dockerfile.stages[*earlier], &stage.base));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}
