// SPDX-License-Identifier: MIT
//! `hb`: the command line of HyperBox.
//!
//! ```text
//! app        global options, choice of the command
//! commands   one file per command: its arguments, one function
//! options    parsers of Docker's option values, pure
//! session    attached streams: input, output, signals, detach keys
//! terminal   raw mode and window size (Unix)
//! format     tables, sizes, durations; template: Go templates
//! ```
//!
//! Results go to standard output, everything else to standard error. Exit codes are Docker's: 125 when the engine
//! fails, 126 and 127 when the command cannot be executed or found, else that of the command.

#![forbid(unsafe_code)]

mod app;
mod arguments;
mod commands;
mod context;
mod copying;
mod docker_context;
mod error;
mod format;
mod options;
mod output_file;
mod progress;
mod question;
mod session;
mod template;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::run(std::env::args_os()))
}
