// SPDX-License-Identifier: MIT
//! `hyperbox-shim`: starts containers and looks after them.
//!
//! ```text
//! hyperbox-shim launcher     serves launch requests on the socket that is its standard input
//! ```
//!
//! One program, two processes: the *launcher* forks a *shim* for each container, ahead while containers are started. Both have one
//! thread and block only in `poll` (or, the launcher, until its spare shim has a container); a shim's private memory stays under a megabyte or two. Shims outlive launcher and daemon.
#![forbid(unsafe_code)]

mod client;
mod connection;
mod engine;
mod external;
mod failure;
mod filters;
mod init;
mod launcher;
mod log;
mod marks;
mod oom;
mod proc_stat;
mod process_io;
mod requests;
mod run_directory;
mod shim;
mod spare;
mod stdio;
mod supervised;
mod supervisor;

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(name), None) if name == "launcher" => {
            if hyperbox_sys::fork::close_inherited_from(3).is_err() {
                return ExitCode::FAILURE;
            }
            match std::io::stdin().as_fd().try_clone_to_owned() {
                Ok(socket) => launcher::run(socket),
                Err(_) => ExitCode::FAILURE,
            }
        }
        (Some(name), None) if name == "--version" => say(concat!("hyperbox-shim ", env!("CARGO_PKG_VERSION"))),
        _ => {
            say("usage: hyperbox-shim launcher < SOCKET (hyperboxd starts it)");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
