// SPDX-License-Identifier: MIT
//! Directories of cache mounts: they stay from build to build, for everybody who names them alike.
//!
//! ```text
//! caches/HEX[-N]/{data/, facts.json}
//! ```
//! `HEX` is of the id; a private mount whose directory is in use gets one with a number. Each has a lock: shared mounts share it, locked
//! ones wait for it, private ones take the first that is free, a removal takes it or leaves the directory alone. A directory appears
//! under its name with the first use and is worth nothing to anybody but its users, so a crash may leave what it likes in it; one without
//! facts is described by what the disk says.

use std::collections::HashMap;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::CacheSharing;
use hyperbox_types::ByteSize;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::materialise::copy;
use super::{blocking, disk, private_directory};
use crate::StepError;
use crate::step::{CacheDirectory, CacheMount};

type Lock = Arc<RwLock<()>>;

/// All directories. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Caches {
    directory: Arc<PathBuf>,
    locks: Arc<Mutex<HashMap<String, Lock>>>,
}

/// A directory as long as a step has it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) data: PathBuf,
    #[expect(dead_code, reason = "it is held, not looked at")]
    turn: Turn,
}

#[derive(Debug)]
#[expect(dead_code, reason = "they are held, not looked at")]
enum Turn {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// What is remembered of a directory.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Facts {
    description: String,
    created_at: Timestamp,
    used_at: Option<Timestamp>,
    uses: u64,
}

impl Caches {
    /// Begins with what earlier builds left. Blocks.
    pub(super) fn open(directory: PathBuf) -> std::io::Result<Self> {
        private_directory(&directory)?;
        Ok(Self {
            directory: Arc::new(directory),
            locks: Arc::default(),
        })
    }

    /// Gives a directory to a step, when it is its turn.
    pub(super) async fn take(&self, mount: &CacheMount, target: &str) -> Result<Held, StepError> {
        let name = name_of(mount);
        let (name, turn) = match mount.sharing {
            CacheSharing::Shared => {
                let turn = self.lock(&name).read_owned().await;
                (name, Turn::Shared(turn))
            }
            CacheSharing::Locked => {
                let turn = self.lock(&name).write_owned().await;
                (name, Turn::Alone(turn))
            }
            CacheSharing::Private => self.first_free(&name),
        };
        let directory = self.directory.join(&name);
        let description = format!("cached mount {target} with id {:?}", mount.id);
        let (mount, data) = (mount.clone(), directory.join("data"));
        let path = data.clone();
        blocking(move || prepare(&directory, &path, &mount, description)).await?;
        Ok(Held { data, turn })
    }

    fn first_free(&self, name: &str) -> (String, Turn) {
        let mut number = 0;
        loop {
            let name = match number {
                0 => name.to_owned(),
                number => format!("{name}-{number}"),
            };
            if let Ok(turn) = self.lock(&name).try_write_owned() {
                return (name, Turn::Alone(turn));
            }
            number += 1;
        }
    }

    fn lock(&self, name: &str) -> Lock {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.to_owned()).or_default())
    }

    /// Lists the directories.
    pub(super) async fn list(&self) -> Result<Vec<CacheDirectory>, StepError> {
        let caches = self.clone();
        blocking(move || {
            let mut list = Vec::new();
            let entries = std::fs::read_dir(caches.directory.as_path());
            for entry in entries
                .map_err(|error| disk("list", &caches.directory, error))?
                .flatten()
            {
                list.extend(caches.describe(&entry.path()));
            }
            Ok(list)
        })
        .await
    }

    /// Describes a directory; `None` when it goes meanwhile.
    fn describe(&self, path: &Path) -> Option<CacheDirectory> {
        let id = path.file_name()?.to_str()?.to_owned();
        if !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return None;
        }
        let facts = read_facts(path);
        let root = hyperbox_sys::tree::open_directory(rustix::fs::CWD, path.join("data")).ok()?;
        let usage = hyperbox_sys::tree::usage(root).ok()?;
        let in_use = self.lock(&id).try_write_owned().is_err();
        Some(CacheDirectory {
            id,
            description: facts.description,
            size: ByteSize(usage.content),
            created_at: facts.created_at,
            used_at: facts.used_at,
            uses: facts.uses,
            in_use,
        })
    }

    /// Removes a directory that nobody uses; tells whether it is gone.
    pub(super) async fn remove(&self, id: &str) -> Result<bool, StepError> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Ok(false);
        }
        let Ok(turn) = self.lock(id).try_write_owned() else {
            return Ok(false);
        };
        let path = self.directory.join(id);
        blocking(move || {
            let removed = std::fs::remove_dir_all(&path);
            drop(turn);
            match removed {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                result => result.map(|()| true).map_err(|error| disk("remove", &path, error)),
            }
        })
        .await
    }
}

/// Mounts of one id that begin with different things are different.
fn name_of(mount: &CacheMount) -> String {
    let mut hash = Sha256::new();
    hash.update(mount.id.as_bytes());
    if let Some(initial) = &mount.initial {
        hash.update([0]);
        hash.update(initial.path.as_bytes());
    }
    let digest = hash.finalize();
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn prepare(directory: &Path, data: &Path, mount: &CacheMount, description: String) -> Result<(), StepError> {
    let now = Timestamp::now();
    let mut facts = read_facts(directory);
    if !data.exists() {
        private_directory(directory).map_err(|error| disk("make", directory, error))?;
        fill(directory, data, mount)?;
        facts = Facts {
            created_at: now,
            ..Facts::default()
        };
    }
    facts.description = description;
    facts.used_at = Some(now);
    facts.uses += 1;
    let text = serde_json::to_vec(&facts).unwrap_or_default();
    let path = directory.join("facts.json");
    std::fs::write(&path, text).map_err(|error| disk("write", &path, error))
}

fn fill(directory: &Path, data: &Path, mount: &CacheMount) -> Result<(), StepError> {
    let new = directory.join("new");
    match std::fs::remove_dir_all(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk("remove", &new, error)),
        _ => {}
    }
    let made = match &mount.initial {
        Some(initial) => copy(initial, &new)?,
        None => {
            std::fs::create_dir(&new).map_err(|error| disk("make", &new, error))?;
            let mode = std::fs::Permissions::from_mode(mount.mode & 0o7777);
            chown(&new, Some(mount.uid), Some(mount.gid))
                .and_then(|()| std::fs::set_permissions(&new, mode))
                .map_err(|error| disk("give away", &new, error))?;
            new
        }
    };
    std::fs::rename(&made, data).map_err(|error| disk("make", data, error))
}

fn read_facts(directory: &Path) -> Facts {
    let text = std::fs::read(directory.join("facts.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(sharing: CacheSharing) -> CacheMount {
        CacheMount {
            id: "/root/.cache".to_owned(),
            sharing,
            initial: None,
            mode: 0o755,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    }

    #[tokio::test]
    async fn private_directories_are_apart_and_locked_ones_wait() {
        let scratch = tempfile::tempdir().unwrap();
        let caches = Caches::open(scratch.path().to_path_buf()).unwrap();
        let one = caches.take(&mount(CacheSharing::Private), "/c").await.unwrap();
        let other = caches.take(&mount(CacheSharing::Private), "/c").await.unwrap();
        assert_ne!(one.data, other.data);
        let wish = mount(CacheSharing::Locked);
        let waiting = caches.take(&wish, "/c");
        tokio::pin!(waiting);
        let waits = std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending()));
        assert!(waits.await, "somebody has it");
        let first = one.data.clone();
        drop(one);
        let locked = waiting.await.unwrap();
        assert_eq!(locked.data, first);
    }

    #[tokio::test]
    async fn what_is_in_use_stays_and_content_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let caches = Caches::open(scratch.path().to_path_buf()).unwrap();
        let one = caches.take(&mount(CacheSharing::Shared), "/c").await.unwrap();
        let two = caches.take(&mount(CacheSharing::Shared), "/c").await.unwrap();
        assert_eq!(one.data, two.data);
        std::fs::write(one.data.join("x"), "text").unwrap();
        let listed = caches.list().await.unwrap();
        assert_eq!((listed[0].size.0, listed[0].uses, listed[0].in_use), (4, 2, true));
        assert!(!caches.remove(&listed[0].id).await.unwrap());
        drop((one, two));
        let listed = caches.list().await.unwrap();
        assert!(!listed[0].in_use);
        assert!(caches.remove(&listed[0].id).await.unwrap());
        assert_eq!(caches.list().await.unwrap(), []);
        assert!(!caches.remove("../x").await.unwrap());
    }
}
