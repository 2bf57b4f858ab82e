// SPDX-License-Identifier: MIT
//! The text of a proposed Compose file.
//!
//! Written by hand, not by a serializer: people read it and go on with it. Every text in it is a JSON string or a line of a block, so that
//! whatever a folder's files contain, the structure stays.

use std::fmt::Write as _;

use super::recipe::{Recipe, Rule, Start};
use super::{Language, Proposal, SERVICE};

/// A service to be written.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// What the first line says.
    pub(crate) title: String,
    pub(crate) image: Option<String>,
    pub(crate) build: Option<Build>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) working_dir: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) ports: Vec<u16>,
    /// Short forms of mounts.
    pub(crate) volumes: Vec<String>,
    pub(crate) init: bool,
    pub(crate) watch: Vec<Rule>,
}

/// How the image is built.
#[derive(Debug, Default)]
pub(crate) struct Build {
    pub(crate) context: String,
    pub(crate) dockerfile: Option<String>,
    pub(crate) inline: Option<Vec<String>>,
    pub(crate) target: Option<String>,
    pub(crate) args: Vec<(String, String)>,
}

/// Writes the file.
pub(crate) fn write(draft: &Draft) -> String {
    let mut text = format!(
        "# {}\nservices:\n  {SERVICE}:\n",
        draft.title.replace(['\n', '\r'], " ")
    );
    if let Some(image) = &draft.image {
        line(&mut text, 4, "image", image);
    }
    if let Some(build) = &draft.build {
        write_build(&mut text, build);
    }
    if let Some(command) = &draft.command {
        let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "    command: [{}]", words.join(", ")); // writing to a string cannot fail
    }
    for (key, value) in [("working_dir", &draft.working_dir), ("user", &draft.user)] {
        if let Some(value) = value {
            line(&mut text, 4, key, value);
        }
    }
    if draft.init {
        text.push_str("    init: true\n");
    }
    pairs(&mut text, 4, "environment", &draft.environment);
    list(&mut text, "ports", draft.ports.iter().map(u16::to_string));
    list(&mut text, "volumes", draft.volumes.iter().cloned());
    if !draft.watch.is_empty() {
        text.push_str("    develop:\n      watch:\n");
        for rule in &draft.watch {
            write_rule(&mut text, rule);
        }
    }
    text
}

fn write_build(text: &mut String, build: &Build) {
    text.push_str("    build:\n");
    line(text, 6, "context", &build.context);
    for (key, value) in [("dockerfile", &build.dockerfile), ("target", &build.target)] {
        if let Some(value) = value {
            line(text, 6, key, value);
        }
    }
    pairs(text, 6, "args", &build.args);
    if let Some(lines) = &build.inline {
        text.push_str("      dockerfile_inline: |\n");
        for line in lines {
            // A dollar sign alone would be a variable of the Compose file.
            let line = line.replace('$', "$$").replace(['\r', '\t'], " ");
            for line in line.split('\n') {
                let _ = writeln!(text, "        {line}"); // writing to a string cannot fail
            }
        }
    }
}

fn write_rule(text: &mut String, rule: &Rule) {
    let _ = writeln!(text, "        - action: {}", rule.action); // writing to a string cannot fail
    line(text, 10, "path", rule.path);
    if let Some(target) = rule.target {
        line(text, 10, "target", target);
    }
    if !rule.ignore.is_empty() {
        let words: Vec<String> = rule.ignore.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "          ignore: [{}]", words.join(", ")); // writing to a string cannot fail
    }
}

fn line(text: &mut String, indent: usize, key: &str, value: &str) {
    let _ = writeln!(text, "{:indent$}{key}: {}", "", shown(value)); // writing to a string cannot fail
}

fn pairs(text: &mut String, indent: usize, key: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(text, "{:indent$}{key}:", ""); // writing to a string cannot fail
    for (name, value) in pairs {
        let _ = writeln!(text, "{:indent$}  {}: {}", "", shown(name), quoted(value)); // writing to a string cannot fail
    }
}

fn list(text: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "    {key}:"); // writing to a string cannot fail
    for item in items {
        let _ = writeln!(text, "      - {}", quoted(&item)); // writing to a string cannot fail
    }
}

/// A text as it is where that cannot be read as anything else, in quotes otherwise.
fn shown(text: &str) -> String {
    let plain = text.starts_with(|character: char| character.is_ascii_alphabetic() || "./".contains(character))
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._-/".contains(character))
        && text
            .chars()
            .any(|character| character.is_ascii_alphabetic() || character == '.')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | ".nan" | ".inf"
        );
    if plain { text.to_owned() } else { quoted(text) }
}

/// JSON's strings are YAML's; a dollar sign is doubled, since the file's variables are replaced.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

/// The proposal of a language.
pub(super) fn of_recipe(language: Language, evidence: &str, recipe: Recipe, start: &Start) -> Proposal {
    let mut lines = recipe.lines;
    lines.extend(start.instruction());
    let environment = recipe.environment.into_iter();
    let draft = Draft {
        title: format!("Proposed by HyperBox: {} (found by {evidence})", language.name()),
        build: Some(Build {
            context: ".".to_owned(),
            inline: Some(lines),
            ..Build::default()
        }),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).collect(),
        ports: recipe.port.into_iter().collect(),
        // The first process of a container ignores signals that it does not handle (pid_namespaces(7)).
        init: true,
        watch: recipe.watch,
        ..Draft::default()
    };
    Proposal {
        compose: write(&draft),
        reasons: recipe.reasons,
        notes: recipe.notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        for (text, expected) in [
            ("node", "node"),
            (".", "."),
            ("./a", "./a"),
            ("no", "\"no\""),
            ("1.5", "\"1.5\""),
            ("a: b", "\"a: b\""),
            ("$X", "\"$$X\""),
            ("a\nb", "\"a\\nb\""),
            ("", "\"\""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
