// SPDX-License-Identifier: MIT
//! The daemon as a process: where its program and its pid file are, waiting for a condition.

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyperbox_client::Host;

use crate::context::Context;
use crate::error::CliError;

/// How long is slept between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Finds `hyperboxd`: beside this program, else in the search path.
pub(super) fn program() -> Result<PathBuf, CliError> {
    let name = format!("hyperboxd{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(|directory| directory.join(&name)));
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = beside
        .into_iter()
        .chain(env::split_paths(&path).map(|directory| directory.join(&name)));
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            CliError::new("cannot find hyperboxd beside hb nor in PATH")
                .with_hint("build it with `cargo build --release`, or put its directory into PATH")
        })
}

/// Returns the directory of the daemon's run files: what was asked for, else where its socket lies.
pub(super) fn run_directory(context: &Context, chosen: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(directory) = chosen {
        return Ok(directory.to_owned());
    }
    match context.host()? {
        Host::Unix(path) => Ok(path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)),
        host @ (Host::Pipe(_) | Host::Tcp(_)) => Err(CliError::new(format!(
            "the daemon at {host} is not managed by this command"
        ))
        .with_hint("choose a Unix socket with --host, or name its --run-dir")),
    }
}

/// Reads the daemon's process id.
pub(super) fn pid(run_directory: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(run_directory.join("hyperboxd.pid")).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

/// Waits until `condition` gives something, at most `limit`.
pub(super) fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(PAUSE);
    }
}
