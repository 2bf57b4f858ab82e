// SPDX-License-Identifier: MIT
//! `hyperbox.toml`: what a project wants and no Compose file can say, in the project's folder.
//!
//! ```toml
//! name = "shop"                       # instead of the folder's
//! [app]                               # how the folder is detected, where it has no Compose file
//! language = "node"
//! version = "22"
//! port = 3000
//! [commands]                          # the steps of a detected project
//! install = "npm ci"
//! build = "npm run build"
//! start = "npm start"
//! [limits]                            # over all containers together
//! cpus = 2.0
//! memory = "2G"
//! pids = 500
//! io = { read = "50M", write = "50M", read_operations = 1000, write_operations = 1000, weight = 100 }
//! [ports]                             # more ports of a service, or others for the same port of the container
//! web = ["8080:80", 9229]
//! [[watch]]                           # more rules of develop.watch; they come before those of the Compose files
//! service = "web"
//! path = "src"
//! action = "sync"
//! target = "/app/src"
//! ```
//! Described for editors by `config/hyperbox.schema.json`. Errors name file, line, column and key. Parsing and applying are pure.

mod apply;
mod error;
mod key;
mod parse;

use std::path::PathBuf;

use crate::detect::Language;
use crate::model::WatchRule;

pub use apply::apply;
pub use error::SettingsError;
pub use parse::parse;

/// The name of the file.
pub const FILE_NAME: &str = "hyperbox.toml";

/// A file that says nothing yet and shows what it could say.
pub const TEMPLATE: &str = "\
# What this project wants beside its Compose files. All of it is optional.

# name = \"shop\"

# What all containers together may use.
# [limits]
# cpus = 2.0
# memory = \"2G\"
# pids = 500
# io = { read = \"50M\", write = \"50M\" }

# Ports of services: 80 takes a port of the project's own range, \"8080:80\" takes port 8080 of this machine.
# [ports]
# web = [80, \"9229:9229\"]

# What happens when files change, while `hb up --watch` or `hb watch` runs.
# [[watch]]
# service = \"web\"
# path = \"src\"
# action = \"sync\"
# target = \"/app/src\"
# ignore = [\"*.log\"]
";

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The file; empty when there is none.
    pub path: PathBuf,
    /// The project's name.
    pub name: Option<String>,
    /// How the folder is detected.
    pub app: App,
    /// The steps of a detected project.
    pub commands: Commands,
    /// What all containers together may use.
    pub limits: Limits,
    /// Published ports by service.
    pub ports: Vec<Ports>,
    /// Rules for files that change.
    pub watch: Vec<Watch>,
}

/// How a folder without Compose files is detected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// Its language, whatever the folder looks like.
    pub language: Option<Language>,
    /// The version of the language's image.
    pub version: Option<String>,
    /// Where it listens.
    pub port: Option<u16>,
}

/// The steps of a detected project, each a line for a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Installs dependencies.
    pub install: Option<String>,
    /// Builds.
    pub build: Option<String>,
    /// Starts it.
    pub start: Option<String>,
}

/// What all containers together may use; what is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Input and output, on each block device.
    pub io: Io,
}

/// Limits of input and output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes read per second.
    pub read: Option<u64>,
    /// Bytes written per second.
    pub write: Option<u64>,
    /// Read operations per second.
    pub read_operations: Option<u64>,
    /// Write operations per second.
    pub write_operations: Option<u64>,
    /// Share of a busy device, 10 to 1000; 100 is usual.
    pub weight: Option<u16>,
}

/// A place in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// Published ports of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The service.
    pub service: String,
    /// Where that is written.
    pub at: Place,
    /// The ports in the long form of a Compose file.
    pub ports: Vec<serde_json::Value>,
}

/// A rule for files that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The service; the only one when it is not said.
    pub service: Option<String>,
    /// Where that is written.
    pub at: Place,
    /// The rule, its path as it is written.
    pub rule: WatchRule,
}
