// SPDX-License-Identifier: MIT
//! What every log entry of a container tells of it: the labels and variables that `labels`, `env` and their expressions choose, and
//! its `tag`. Pure.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::super::ContainerRecord;
use super::option;

/// Returns the attributes of a container's log entries.
///
/// # Errors
/// A sentence for a malformed expression or tag.
pub(super) fn of(record: &ContainerRecord) -> Result<BTreeMap<String, String>, String> {
    let spec = &record.spec;
    let labels = spec.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let variables = spec.env.iter().filter_map(|variable| variable.split_once('='));
    let mut attributes = BTreeMap::new();
    choose(&mut attributes, record, labels, "labels", "labels-regex")?;
    choose(&mut attributes, record, variables, "env", "env-regex")?;
    let tag = option(&spec.log, "tag").filter(|tag| !tag.is_empty());
    if let Some(tag) = tag {
        attributes.insert("tag".to_owned(), render(tag, record)?);
    }
    Ok(attributes)
}

fn choose<'a>(
    attributes: &mut BTreeMap<String, String>,
    record: &ContainerRecord,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    names: &str,
    expression: &str,
) -> Result<(), String> {
    let log = &record.spec.log;
    let names: Vec<&str> = option(log, names)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    let expression = option(log, expression).filter(|text| !text.is_empty());
    let expression = expression
        .map(|text| Regex::new(text).map_err(|error| format!("error parsing regexp: {error}: `{text}`")))
        .transpose()?;
    for (key, value) in pairs {
        let matches = expression.as_ref().is_some_and(|expression| expression.is_match(key));
        if names.contains(&key) || matches {
            attributes.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

/// Fills in a tag's fields. Of Go's templates only fields by themselves are known here.
fn render(tag: &str, record: &ContainerRecord) -> Result<String, String> {
    let mut rendered = String::new();
    let mut rest = tag;
    while let Some((text, action)) = rest.split_once("{{") {
        rendered.push_str(text);
        let Some((name, after)) = action.split_once("}}") else {
            return Err("template: log-tag:1: unclosed action".to_owned());
        };
        let name = name.trim();
        let Some(value) = field(name, record) else {
            let shown = name.trim_start_matches('.');
            return Err(format!(
                "template: log-tag:1:{}: executing \"log-tag\" at <{name}>: can't evaluate field {shown} in type *logger.Info",
                tag.len() - rest.len() + text.len() + 2
            ));
        };
        rendered.push_str(&value);
        rest = after;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

fn field(name: &str, record: &ContainerRecord) -> Option<String> {
    let image = record.image_id.to_string();
    Some(match name {
        ".ID" => record.id.short().to_owned(),
        ".FullID" | ".ContainerID" => record.id.to_string(),
        ".Name" => record.name.to_string(),
        ".ContainerName" => format!("/{}", record.name),
        ".ImageName" | ".ContainerImageName" => record.spec.image.clone(),
        ".ImageFullID" | ".ContainerImageID" => image,
        ".ImageID" => image
            .split(':')
            .next_back()
            .unwrap_or_default()
            .chars()
            .take(12)
            .collect(),
        // Clients of Docker look for this name.
        ".DaemonName" => "docker".to_owned(),
        ".Command" => record.command_line().join(" "),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use hyperbox_types::{ContainerId, ContainerName, Digest, ImageId};

    use super::*;
    use crate::container::{ContainerSpec, LogOptions};
    use crate::time::Timestamp;

    fn record(options: &[(&str, &str)]) -> ContainerRecord {
        let pairs = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect::<BTreeMap<_, _>>()
        };
        ContainerRecord {
            id: ContainerId::from_bytes([7; 32]),
            name: ContainerName::parse("web").expect("name"),
            created_at: Timestamp(0),
            image_id: ImageId(Digest::from_sha256([0; 32])),
            layers: Vec::new(),
            spec: ContainerSpec {
                image: "busybox:1".to_owned(),
                labels: pairs(&[("a", "b c"), ("b", "d")]),
                env: vec!["C=e".to_owned(), "D=".to_owned()],
                log: LogOptions {
                    driver: "json-file".to_owned(),
                    options: pairs(options),
                },
                ..ContainerSpec::default()
            },
            mounts: Vec::new(),
            run_at_once: false,
            door_document: serde_json::Value::Null,
            state: crate::container::ContainerState::default(),
        }
    }

    #[test]
    fn chosen_by_name_and_by_expression() {
        for (options, expected) in [
            (&[][..], ""),
            (&[("labels", "a, x")], "a=b c"),
            (&[("labels", "a"), ("env", "C,D")], "C=e D= a=b c"),
            (&[("labels-regex", "^(a|b)"), ("env-regex", "^C")], "C=e a=b c b=d"),
            (
                &[("tag", "{{.Name}}/{{.ID}} {{ .ImageName }}")],
                "tag=web/070707070707 busybox:1",
            ),
            (&[("tag", "")], ""),
        ] {
            let attributes = of(&record(options)).expect("well formed");
            let shown: Vec<_> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(shown.join(" "), expected, "{options:?}");
        }
    }

    #[test]
    fn malformed_wishes() {
        for (options, complaint) in [
            (("labels-regex", "("), "error parsing regexp: "),
            (("tag", "{{"), "template: log-tag:1: unclosed action"),
            (
                ("tag", "{{.Nosuch}}"),
                "template: log-tag:1:2: executing \"log-tag\" at <.Nosuch>: can't evaluate field Nosuch in type *logger.Info",
            ),
        ] {
            let error = of(&record(&[options])).expect_err("malformed");
            assert!(error.starts_with(complaint), "{error}");
        }
    }
}
