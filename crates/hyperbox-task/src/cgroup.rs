// SPDX-License-Identifier: MIT
//! Removes the cgroups of a container whose shim was killed, from the paths in its launch record.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyperbox_core::seam::TaskError;

use crate::process::Process;

/// A killed process has left its cgroup by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills all processes in these cgroups and removes the directories, those below them included. Idempotent.
pub(crate) async fn remove(paths: &[PathBuf]) -> Result<(), TaskError> {
    let left: Vec<&PathBuf> = paths.iter().filter(|path| path.is_dir()).collect();
    for path in &left {
        for directory in with_descendants(path) {
            kill(&directory)
                .await
                .map_err(|error| failed("empty", &directory, error))?;
        }
    }
    for path in left {
        for directory in with_descendants(path) {
            match std::fs::remove_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &directory, error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Kills until nothing is left: a process may fork while it is being looked at.
async fn kill(directory: &Path) -> io::Result<()> {
    // Frozen processes of v1 die only when they are thawed (cgroup-v1/freezer-subsystem.rst). Absent elsewhere.
    let freezer = directory.join("freezer.state");
    if freezer.exists() {
        std::fs::write(freezer, "THAWED")?;
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let processes: Vec<Process> = processes(directory)?.into_iter().filter_map(Process::open).collect();
        if processes.is_empty() {
            return Ok(());
        }
        for process in &processes {
            process.kill()?;
        }
        for process in &processes {
            process
                .wait(deadline.duration_since(tokio::time::Instant::now()))
                .await?;
        }
        if processes_are_only_zombies(directory)? || tokio::time::Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// A zombie that nobody reaps is listed (v1) but does not keep the directory from being removed.
fn processes_are_only_zombies(directory: &Path) -> io::Result<bool> {
    Ok(processes(directory)?.into_iter().all(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|text| {
                text.rsplit_once(')')
                    .map(|(_, rest)| rest.trim_start().starts_with('Z'))
            })
            .unwrap_or(true)
    }))
}

fn processes(directory: &Path) -> io::Result<Vec<u32>> {
    match std::fs::read_to_string(directory.join("cgroup.procs")) {
        Ok(text) => Ok(text
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter(|pid| *pid != 0)
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Lists a directory and all below it, deepest first.
fn with_descendants(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(with_descendants(&entry.path()));
        }
    }
    found.push(path.to_owned());
    found
}

fn failed(operation: &str, path: &Path, error: io::Error) -> TaskError {
    TaskError::io(format!("cannot {operation} cgroup {}", path.display()), error)
}
