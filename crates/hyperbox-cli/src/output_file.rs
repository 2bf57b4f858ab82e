// SPDX-License-Identifier: MIT
//! Archives that go to a file or to standard output.
//!
//! A file appears under its name only when it is complete: it is written beside it first.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// Copies `content` to `path`, or to standard output.
pub(crate) fn write(path: Option<&str>, content: &mut dyn Read) -> Result<(), CliError> {
    let Some(path) = path.map(Path::new) else {
        let mut output = io::stdout().lock();
        io::copy(content, &mut output)?;
        return Ok(output.flush()?);
    };
    let failed = |error: io::Error| CliError::new(format!("failed to save to {}: {error}", path.display()));
    // A device or a pipe takes the bytes as they come.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        return io::copy(content, &mut file).map(drop).map_err(failed);
    }
    let mut neighbour = path.as_os_str().to_owned();
    neighbour.push(format!(".tmp{}", std::process::id()));
    let neighbour = PathBuf::from(neighbour);
    let written = File::create(&neighbour).and_then(|mut file| io::copy(content, &mut file));
    let result = written.and_then(|_| fs::rename(&neighbour, path));
    if result.is_err() {
        drop(fs::remove_file(&neighbour));
    }
    result.map_err(failed)
}
