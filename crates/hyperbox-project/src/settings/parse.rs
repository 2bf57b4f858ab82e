// SPDX-License-Identifier: MIT
//! From the text of `hyperbox.toml` to settings.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::error::{SettingsError, place};
use super::key::{in_words, key_at};
use super::{App, Commands, Io, Limits, Ports, Settings, Watch};
use crate::compose::{byte_count, is_valid_name, long_ports};
use crate::detect::Language;
use crate::model::{Hook, WatchAction, WatchRule};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    name: Option<Spanned<String>>,
    app: AppTable,
    commands: CommandsTable,
    limits: LimitsTable,
    ports: BTreeMap<Spanned<String>, Vec<Spanned<NumberOrText>>>,
    watch: Vec<Spanned<WatchTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AppTable {
    language: Option<Language>,
    version: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CommandsTable {
    install: Option<Spanned<String>>,
    build: Option<Spanned<String>>,
    start: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsTable {
    cpus: Option<Spanned<f64>>,
    memory: Option<Spanned<NumberOrText>>,
    pids: Option<Spanned<u64>>,
    io: IoTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IoTable {
    read: Option<Spanned<NumberOrText>>,
    write: Option<Spanned<NumberOrText>>,
    read_operations: Option<u64>,
    write_operations: Option<u64>,
    weight: Option<Spanned<u16>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WatchTable {
    service: Option<String>,
    path: String,
    action: WatchAction,
    target: Option<String>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    initial_sync: bool,
    exec: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

impl NumberOrText {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Reads the file; `path` is what errors call it.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(text: &str, path: &Path) -> Result<Settings, SettingsError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let at = place(text, &span);
        SettingsError::new(path, at, key_at(text, span.start), in_words(error.message()))
    })?;
    let reader = Reader { text, path };
    Ok(Settings {
        path: path.to_owned(),
        name: file.name.map(|name| reader.name(name)).transpose()?,
        app: reader.app(file.app)?,
        commands: reader.commands(file.commands)?,
        limits: reader.limits(&file.limits)?,
        ports: reader.ports(&file.ports)?,
        watch: file
            .watch
            .into_iter()
            .map(|rule| reader.watch(rule))
            .collect::<Result<_, _>>()?,
    })
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    fn wrong<T>(&self, span: &Range<usize>, key: &str, reason: impl Into<String>) -> Result<T, SettingsError> {
        Err(SettingsError::new(self.path, place(self.text, span), key, reason))
    }

    fn name(&self, name: Spanned<String>) -> Result<String, SettingsError> {
        if is_valid_name(name.get_ref()) {
            return Ok(name.into_inner());
        }
        self.wrong(
            &name.span(),
            "name",
            "must consist of lower case letters, digits, - and _, and begin with a letter or a digit",
        )
    }

    fn app(&self, table: AppTable) -> Result<App, SettingsError> {
        if let Some(version) = &table.version {
            let good = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
            let text = version.get_ref();
            if text.is_empty() || !text.chars().all(good) || text.starts_with(['.', '-']) {
                return self.wrong(
                    &version.span(),
                    "app.version",
                    "must be a tag of an image, such as 22 or 3.12",
                );
            }
        }
        if let Some(port) = table.port.as_ref().filter(|port| *port.get_ref() == 0) {
            return self.wrong(&port.span(), "app.port", "must be a port, 1 to 65535");
        }
        Ok(App {
            language: table.language,
            version: table.version.map(Spanned::into_inner),
            port: table.port.map(Spanned::into_inner),
        })
    }

    fn commands(&self, table: CommandsTable) -> Result<Commands, SettingsError> {
        let line = |key: &str, command: Option<Spanned<String>>| match command {
            // It becomes one line of a Dockerfile.
            Some(command) if command.get_ref().trim().is_empty() || command.get_ref().contains(['\n', '\r']) => {
                self.wrong(&command.span(), &format!("commands.{key}"), "must be one line")
            }
            command => Ok(command.map(Spanned::into_inner)),
        };
        Ok(Commands {
            install: line("install", table.install)?,
            build: line("build", table.build)?,
            start: line("start", table.start)?,
        })
    }

    fn limits(&self, table: &LimitsTable) -> Result<Limits, SettingsError> {
        if let Some(cpus) = &table.cpus
            && !(cpus.get_ref().is_finite() && *cpus.get_ref() >= 0.01)
        {
            return self.wrong(
                &cpus.span(),
                "limits.cpus",
                "must be a number of processors, at least 0.01",
            );
        }
        if let Some(pids) = table.pids.as_ref().filter(|pids| *pids.get_ref() == 0) {
            return self.wrong(&pids.span(), "limits.pids", "must be at least 1");
        }
        if let Some(weight) = &table.io.weight
            && !(10..=1000).contains(weight.get_ref())
        {
            return self.wrong(&weight.span(), "limits.io.weight", "must be 10 to 1000");
        }
        Ok(Limits {
            cpus: table.cpus.as_ref().map(|cpus| *cpus.get_ref()),
            memory: self.bytes("limits.memory", table.memory.as_ref())?,
            pids: table.pids.as_ref().map(|pids| *pids.get_ref()),
            io: Io {
                read: self.bytes("limits.io.read", table.io.read.as_ref())?,
                write: self.bytes("limits.io.write", table.io.write.as_ref())?,
                read_operations: table.io.read_operations,
                write_operations: table.io.write_operations,
                weight: table.io.weight.as_ref().map(|weight| *weight.get_ref()),
            },
        })
    }

    fn bytes(&self, key: &str, amount: Option<&Spanned<NumberOrText>>) -> Result<Option<u64>, SettingsError> {
        let Some(amount) = amount else { return Ok(None) };
        let bytes = byte_count(&amount.get_ref().text()).and_then(|bytes| u64::try_from(bytes).ok());
        match bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => Ok(Some(bytes)),
            None => self.wrong(&amount.span(), key, "must be a number of bytes, such as 512M or 2G"),
        }
    }

    fn ports(
        &self,
        table: &BTreeMap<Spanned<String>, Vec<Spanned<NumberOrText>>>,
    ) -> Result<Vec<Ports>, SettingsError> {
        let mut all = Vec::new();
        for (service, texts) in table {
            let mut ports = Vec::new();
            for text in texts {
                match long_ports(&text.get_ref().text()) {
                    Ok(long) => ports.extend(long),
                    Err(reason) => return self.wrong(&text.span(), &format!("ports.{service}"), reason),
                }
            }
            all.push(Ports {
                service: service.get_ref().clone(),
                at: place(self.text, &service.span()),
                ports,
            });
        }
        Ok(all)
    }

    fn watch(&self, table: Spanned<WatchTable>) -> Result<Watch, SettingsError> {
        let span = table.span();
        let table = table.into_inner();
        let copies = matches!(
            table.action,
            WatchAction::Sync | WatchAction::SyncRestart | WatchAction::SyncExec
        );
        if copies && table.target.as_deref().is_none_or(|target| !target.starts_with('/')) {
            return self.wrong(
                &span,
                "watch.target",
                "must be an absolute path of the container, since files are copied",
            );
        }
        if (table.action == WatchAction::SyncExec) != table.exec.is_some() {
            return self.wrong(&span, "watch.exec", "belongs to the action sync+exec, which needs it");
        }
        if table.path.is_empty() {
            return self.wrong(&span, "watch.path", "must be a path");
        }
        Ok(Watch {
            service: table.service,
            at: place(self.text, &span),
            rule: WatchRule {
                path: table.path,
                action: table.action,
                target: table.target,
                ignore: table.ignore,
                include: table.include,
                initial_sync: table.initial_sync,
                exec: table.exec.map(|command| Hook {
                    command: Some(command),
                    ..Hook::default()
                }),
            },
        })
    }
}
