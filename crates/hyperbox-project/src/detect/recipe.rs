// SPDX-License-Identifier: MIT
//! How a language's folder becomes an image, and which files of it may change while it runs.

use super::folder::{Folder, is_plain};
use crate::settings::Settings;

/// What is to be done with a folder.
#[derive(Debug, Default)]
pub(crate) struct Recipe {
    /// Instructions, without that which starts it.
    pub(crate) lines: Vec<String>,
    /// What starts it; `None` when nobody knows.
    pub(crate) start: Option<Start>,
    /// Where it listens.
    pub(crate) port: Option<u16>,
    /// Variables.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What happens when files change.
    pub(crate) watch: Vec<Rule>,
    /// Why, a sentence each.
    pub(crate) reasons: Vec<String>,
    /// What the user should look at.
    pub(crate) notes: Vec<String>,
}

/// How something is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Words.
    Words(Vec<String>),
    /// A line for a shell.
    Line(String),
    /// As the image does it.
    Image,
}

/// A rule for files that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) action: &'static str,
    pub(crate) path: &'static str,
    /// Where files go; none for `rebuild`.
    pub(crate) target: Option<&'static str>,
    pub(crate) ignore: Vec<&'static str>,
}

impl Start {
    pub(crate) fn words(words: &[&str]) -> Self {
        Self::Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// The instruction, if one is needed.
    pub(crate) fn instruction(&self) -> Option<String> {
        match self {
            Self::Words(words) => Some(format!("CMD {}", serde_json::Value::from(words.clone()))),
            Self::Line(line) => Some(format!("CMD {line}")),
            Self::Image => None,
        }
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Words(words) => formatter.write_str(&words.join(" ")),
            Self::Line(line) => formatter.write_str(line),
            Self::Image => formatter.write_str("what the image starts"),
        }
    }
}

impl Recipe {
    /// Adds instructions.
    pub(crate) fn say(&mut self, lines: &[&str]) {
        self.lines.extend(lines.iter().map(|line| (*line).to_owned()));
    }

    /// Adds an instruction that was put together.
    pub(crate) fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    pub(crate) fn because(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Files are copied, and the program sees that by itself.
    pub(crate) fn sync(&mut self, ignore: &[&'static str]) {
        self.rule("sync", ".", Some("/app"), ignore);
    }

    /// Files are copied, then the program is started again.
    pub(crate) fn sync_and_restart(&mut self, ignore: &[&'static str]) {
        self.rule("sync+restart", ".", Some("/app"), ignore);
    }

    /// When one of these files changes, the image is built again.
    pub(crate) fn rebuild_on(&mut self, folder: &Folder<'_>, names: &[&'static str]) {
        for name in names.iter().filter(|name| folder.has(name)) {
            self.rule("rebuild", name, None, &[]);
        }
    }

    /// When anything changes, the image is built again.
    pub(crate) fn rebuild(&mut self, ignore: &[&'static str]) {
        self.rule("rebuild", ".", None, ignore);
    }

    pub(crate) fn rule(
        &mut self,
        action: &'static str,
        path: &'static str,
        target: Option<&'static str>,
        ignore: &[&'static str],
    ) {
        self.watch.push(Rule {
            action,
            path,
            target,
            ignore: ignore.to_vec(),
        });
    }
}

/// The version that the settings ask for, or that a file tells, or a usual one; tells why.
pub(crate) fn chosen_version(
    recipe: &mut Recipe,
    settings: &Settings,
    told: Option<(String, &str)>,
    usual: &str,
) -> String {
    if let Some(version) = &settings.app.version {
        recipe.because(format!("version {version}: hyperbox.toml says so"));
        return version.clone();
    }
    match told.filter(|(version, _)| is_plain(version)) {
        Some((version, file)) => {
            recipe.because(format!("version {version}: {file} says so"));
            version
        }
        None => {
            recipe.because(format!("version {usual}: nothing says another one"));
            usual.to_owned()
        }
    }
}

/// `RUN …` of what the settings say, else the usual instruction.
pub(crate) fn step(said: Option<&str>, usual: Option<String>) -> Option<String> {
    said.map(|line| format!("RUN {line}")).or(usual)
}
