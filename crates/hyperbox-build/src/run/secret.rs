// SPDX-License-Identifier: MIT
//! Secrets: files in memory, and variables of the environment, for the time of one step.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{blocking, disk, private_directory};
use crate::StepError;
use crate::step::{SecretMount, StepContext};

/// Asks the client; `None` when it has none and none is required.
pub(super) async fn ask(secret: &SecretMount, with: &StepContext) -> Result<Option<Bytes>, StepError> {
    let answer = with.secrets.secret(&secret.id).await?;
    if answer.is_none() && secret.required {
        return Err(StepError::not_found(format!("secret {}: not found", secret.id)));
    }
    Ok(answer)
}

/// Returns the variable that holds a secret.
pub(super) fn variable(name: &str, value: &Bytes) -> String {
    format!("{name}={}", String::from_utf8_lossy(value))
}

/// Writes a file that a step can mount, below a directory in memory.
pub(super) async fn file(
    directory: &Path,
    number: usize,
    secret: &SecretMount,
    value: Bytes,
) -> Result<PathBuf, StepError> {
    let (mode, owner, group) = (secret.mode, secret.uid, secret.gid);
    write(directory, format!("secret-{number}"), value, mode, (owner, group)).await
}

/// Writes a file with this mode and owner.
pub(super) async fn write(
    directory: &Path,
    name: String,
    content: Bytes,
    mode: u32,
    owner: (u32, u32),
) -> Result<PathBuf, StepError> {
    let (directory, path) = (directory.to_path_buf(), directory.join(name));
    blocking(move || {
        private_directory(&directory).map_err(|error| disk("make", &directory, error))?;
        let written = || -> std::io::Result<()> {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&content)?;
            chown(&path, Some(owner.0), Some(owner.1))?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777))
        };
        written().map_err(|error| disk("write", &path, error))?;
        Ok(path)
    })
    .await
}
