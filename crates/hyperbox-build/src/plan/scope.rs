// SPDX-License-Identifier: MIT
//! Variables: those of the whole file, and those of a stage.

use std::collections::BTreeMap;

use hyperbox_dockerfile::Dockerfile;
use hyperbox_types::Platform;

use super::refused;
use crate::BuildError;

/// Arguments that every RUN gets when the client gives them, in capitals or not, that no ARG has to name, and that are part of no key
/// and no history.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Variables of the whole file: what platforms there are, and ARG before the first FROM.
#[derive(Debug, Clone)]
pub(crate) struct Globals {
    variables: hyperbox_dockerfile::Globals,
    given: BTreeMap<String, String>,
}

impl Globals {
    pub(super) fn new(
        file: &Dockerfile,
        given: &BTreeMap<String, String>,
        target: &Platform,
        stage: Option<&str>,
    ) -> Result<Self, BuildError> {
        let variables = hyperbox_dockerfile::Globals::new(file, given, predefined(given, target, stage));
        Ok(Self {
            variables: variables.map_err(|error| refused(&error, error.lines))?,
            given: given.clone(),
        })
    }

    /// Returns the value of a variable of FROM lines.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(str::to_owned)
    }

    /// Returns what the client gives for an argument.
    pub(crate) fn given(&self, name: &str) -> Option<&String> {
        self.given.get(name)
    }

    /// Returns what the client says of proxies: `NAME=value`, in capitals and in small letters, whichever it said.
    pub(crate) fn proxies(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in PROXIES {
            let small = name.to_lowercase();
            if let Some(value) = self.given.get(name).or_else(|| self.given.get(&small)) {
                lines.extend([format!("{name}={value}"), format!("{small}={value}")]);
            }
        }
        lines
    }
}

/// Returns the variables that every file has: the platforms, and the stage that is asked for. Clients may say something else.
pub(crate) fn predefined(
    given: &BTreeMap<String, String>,
    target: &Platform,
    stage: Option<&str>,
) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (prefix, platform) in [("BUILD", &Platform::host()), ("TARGET", target)] {
        let variant = platform.variant.clone().unwrap_or_default();
        for (name, value) in [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("OSVERSION", String::new()),
            ("ARCH", platform.architecture.as_str().to_owned()),
            ("VARIANT", variant),
        ] {
            values.insert(format!("{prefix}{name}"), value);
        }
    }
    let stage = stage.filter(|name| !name.is_empty()).unwrap_or("default");
    values.insert("TARGETSTAGE".to_owned(), stage.to_owned());
    for (name, value) in &mut values {
        if let Some(wish) = given.get(name) {
            value.clone_from(wish);
        }
    }
    values
}

/// Variables of a stage, those of the stages below it among them: ENV and ARG in the order in which they were first named. The last
/// instruction that names a variable decides, whichever it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    variables: Vec<(String, String)>,
    /// What ARG has declared.
    arguments: Vec<String>,
}

impl Scope {
    /// What a stage begins with: its base image's environment.
    pub(crate) fn new(environment: &[String]) -> Self {
        let mut scope = Self::default();
        for line in environment {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            scope.set(name, value);
        }
        scope
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Declares an argument.
    pub(crate) fn declare(&mut self, name: &str, value: Option<&str>) {
        if !self.arguments.iter().any(|known| known == name) {
            self.arguments.push(name.to_owned());
        }
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Returns the environment of a process.
    pub(crate) fn environment(&self) -> Vec<String> {
        let lines = self.variables.iter().map(|(name, value)| format!("{name}={value}"));
        lines.collect()
    }

    /// What the history shows before a command: how many arguments were declared, and what they are.
    pub(crate) fn told(&self) -> Option<String> {
        if self.arguments.is_empty() {
            return None;
        }
        let mut told = format!("|{}", self.arguments.len());
        for name in &self.arguments {
            told.push_str(&format!(" {name}={}", self.get(name).unwrap_or_default()));
        }
        Some(told)
    }
}
