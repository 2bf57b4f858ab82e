// SPDX-License-Identifier: MIT
//! Merges an image's configuration into a container's wish, by Docker's rules.

use std::collections::BTreeSet;

use hyperbox_types::Signal;

use super::{ContainerSpec, HealthTest};
use crate::image::ImageConfig;
use crate::{Result, ServiceError};

/// Fills in what the client left to the image.
///
/// # Errors
/// `InvalidArgument` when neither says what to run.
pub(super) fn merge(spec: &mut ContainerSpec, image: &ImageConfig) -> Result<()> {
    // A client that sets the entrypoint does not want the image's command as its arguments.
    if spec.entrypoint.is_none() {
        spec.entrypoint = Some(image.entrypoint.clone());
        if spec.command.as_ref().is_none_or(Vec::is_empty) {
            spec.command = Some(image.command.clone());
        }
    }
    let entrypoint = spec.entrypoint.iter().flatten();
    if entrypoint.chain(spec.command.iter().flatten()).next().is_none() {
        return Err(ServiceError::invalid("no command specified"));
    }
    // Docker's order: the wishes first. A name alone keeps the image's variable away.
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let wished: BTreeSet<String> = spec.env.iter().map(|variable| name(variable)).collect();
    let inherited = image.env.iter().filter(|variable| !wished.contains(&name(variable)));
    spec.env.extend(inherited.cloned());
    if spec.working_dir.is_empty() {
        spec.working_dir.clone_from(&image.working_dir);
    }
    if spec.user.is_empty() {
        spec.user.clone_from(&image.user);
    }
    for (key, value) in &image.labels {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for port in &image.exposed_ports {
        if !spec.exposed_ports.contains(port) {
            spec.exposed_ports.push(port.clone());
        }
    }
    for volume in &image.volumes {
        let path = volume.into();
        if !spec.anonymous_volumes.contains(&path) {
            spec.anonymous_volumes.push(path);
        }
    }
    if spec.stop_signal.is_none() {
        spec.stop_signal = image
            .stop_signal
            .as_deref()
            .and_then(|signal| Signal::parse(signal).ok());
    }
    merge_health(spec, image);
    Ok(())
}

fn merge_health(spec: &mut ContainerSpec, image: &ImageConfig) {
    let Some(inherited) = &image.health else { return };
    match &mut spec.health {
        None => spec.health = Some(inherited.clone()),
        Some(wish) => {
            if wish.test == HealthTest::Inherit {
                wish.test = inherited.test.clone();
            }
            wish.interval = wish.interval.or(inherited.interval);
            wish.timeout = wish.timeout.or(inherited.timeout);
            wish.start_period = wish.start_period.or(inherited.start_period);
            wish.start_interval = wish.start_interval.or(inherited.start_interval);
            wish.retries = wish.retries.or(inherited.retries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entrypoint_and_command() {
        // image entrypoint, image command, wished entrypoint, wished command, result
        type Case = (
            &'static str,
            &'static str,
            Option<&'static str>,
            Option<&'static str>,
            &'static str,
        );
        let cases: [Case; 6] = [
            ("", "sh", None, None, "sh"),
            ("/entry", "default", None, None, "/entry default"),
            ("/entry", "default", None, Some("other"), "/entry other"),
            ("/entry", "default", Some("/mine"), None, "/mine"),
            ("/entry", "default", Some("/mine"), Some("x"), "/mine x"),
            ("/entry", "default", Some(""), Some("x"), "x"),
        ];
        for (entrypoint, command, wished_entrypoint, wished_command, result) in cases {
            let image = ImageConfig {
                entrypoint: words(entrypoint),
                command: words(command),
                ..ImageConfig::default()
            };
            let mut spec = ContainerSpec {
                entrypoint: wished_entrypoint.map(words),
                command: wished_command.map(words),
                ..ContainerSpec::default()
            };
            merge(&mut spec, &image).expect("something to run");
            let line: Vec<String> = spec.entrypoint.into_iter().chain(spec.command).flatten().collect();
            assert_eq!(line, words(result));
        }
        let error = merge(&mut ContainerSpec::default(), &ImageConfig::default()).expect_err("nothing to run");
        assert_eq!(error.message(), "no command specified");
    }

    #[test]
    fn environment_and_labels_override() {
        let image = ImageConfig {
            env: words("A=1 B=2 C=3"),
            command: words("sh"),
            labels: [
                ("x".to_owned(), "image".to_owned()),
                ("y".to_owned(), "image".to_owned()),
            ]
            .into(),
            ..ImageConfig::default()
        };
        let mut spec = ContainerSpec {
            env: words("B=9 D=4 C"),
            labels: [("x".to_owned(), "mine".to_owned())].into(),
            ..ContainerSpec::default()
        };
        merge(&mut spec, &image).expect("valid");
        assert_eq!(spec.env, words("B=9 D=4 C A=1"));
        assert_eq!(
            (spec.labels["x"].as_str(), spec.labels["y"].as_str()),
            ("mine", "image")
        );
    }
}
