// SPDX-License-Identifier: MIT
//! One daemon per root: the lock, the pid file, and the directories.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// The right to use a root, held until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
    pid_file: PathBuf,
}

impl Instance {
    /// Makes the directories (readable by root alone), takes the lock and writes `hyperboxd.pid`.
    ///
    /// # Errors
    /// When another daemon uses the root, or a directory cannot be made.
    pub(crate) fn claim(root: &Path, run_dir: &Path) -> Result<Self> {
        for directory in [root, run_dir] {
            private_directory(directory)?;
        }
        let path = root.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            lock.read_to_string(&mut holder).unwrap_or_default();
            bail!(
                "another hyperboxd (process {}) uses the root {}",
                holder.trim(),
                root.display()
            );
        }
        let pid = std::process::id();
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{pid}"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let pid_file = run_dir.join("hyperboxd.pid");
        fs::write(&pid_file, format!("{pid}\n")).with_context(|| format!("cannot write {}", pid_file.display()))?;
        Ok(Self { _lock: lock, pid_file })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        drop(fs::remove_file(&self.pid_file));
    }
}

/// Makes a directory that nobody else can look into; parents are made as usual.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let context = || format!("cannot make {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(context)
        }
        Err(error) => Err(error).with_context(context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_belongs_to_one_daemon() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (root, run) = (directory.path().join("root"), directory.path().join("run"));
        let first = Instance::claim(&root, &run).expect("free");
        let error = Instance::claim(&root, &run).expect_err("taken").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(!run.join("hyperboxd.pid").exists());
        Instance::claim(&root, &run).expect("free again");
    }
}
