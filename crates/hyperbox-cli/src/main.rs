// SPDX-License-Identifier: MIT
//! `hb`: the command line of HyperBox.
//!
//! ```text
//! app        choice of the command; global_options: the words before it; dialect: hb's or Docker's
//! docker_*   what makes `docker …` work: config.json, contexts, plugins
//! commands   one file per command: its arguments, one function
//! options    parsers of Docker's option values, pure
//! session    attached streams: input, output, signals, detach keys
//! terminal   raw mode and window size (Unix)
//! project    projects: opened, built, shown; watching: what happens when their files change
//! format     tables, sizes, durations; template: Go templates
//! ```
//!
//! Results go to standard output, everything else to standard error. Exit codes are Docker's: 125 when the engine
//! fails, 126 and 127 when the command cannot be executed or found, else that of the command.

#![forbid(unsafe_code)]

mod app;
mod arguments;
mod build_progress;
mod commands;
mod context;
mod copying;
mod dialect;
mod docker_config;
mod docker_context;
mod docker_plugin;
mod error;
mod format;
mod global_options;
mod options;
mod output_file;
mod progress;
mod project;
mod question;
mod session;
mod suggestion;
mod template;
mod terminal;
mod ticking;
mod timeline;
mod watching;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::run(std::env::args_os()))
}
