// SPDX-License-Identifier: MIT
//! Packed layers that went, until nobody reads from their mounts any more; then the objects that only they had are given back.
//!
//! A container may go on reading through a mount of a layer that was removed or changed its form. Other files of a layer live as long
//! as the kernel has them open; ranges of a pack would be punched out under its feet. So a layer's directory goes to `graves`, and its
//! list counts as references until its index is open nowhere (a mount keeps it open, in whichever process or namespace).
//!
//! **Concurrency**: one thread at most looks after the graves, only while there are some; [`Packed::turn`] keeps it and a run of the
//! optimizer apart. **Crashes**: graves and a marker of unfinished runs are looked for at the next open.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::list::{List, Object};
use super::packs::Packs;
use super::ranges::Ranges;
use crate::overlay::layout::IndexedFiles;
use crate::trash::random_name;

/// How long to wait before a grave is looked at again: at first, since the kernel takes mounts apart a moment later; and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(30));

/// The packs, and the layers whose references to them end.
#[derive(Debug)]
pub(in crate::overlay) struct Packed {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    packs: Packs,
    layers: PathBuf,
    graves: PathBuf,
    /// Held by whoever adds objects, or takes them away.
    turn: Mutex<()>,
    watch: Mutex<Watch>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Watch {
    running: bool,
    again: bool,
    stop: bool,
}

impl Packed {
    /// Takes over the directories, which exist.
    pub(in crate::overlay) fn new(objects: PathBuf, layers: PathBuf, graves: PathBuf) -> Self {
        let shared = Shared {
            packs: Packs::new(objects),
            layers,
            graves,
            turn: Mutex::default(),
            watch: Mutex::default(),
            changed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            keeper: Mutex::default(),
        }
    }

    pub(in crate::overlay) fn packs(&self) -> &Packs {
        &self.shared.packs
    }

    /// Waits until nobody else adds objects or takes them away.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a packed layer's directory, wherever it is, to the graves.
    pub(in crate::overlay) fn bury(&self, directory: &Path) -> io::Result<()> {
        std::fs::rename(directory, self.shared.graves.join(random_name()?))?;
        self.look_after();
        Ok(())
    }

    /// Looks after what an earlier process left, in the background.
    pub(in crate::overlay) fn resume(&self) -> io::Result<()> {
        let some = std::fs::read_dir(&self.shared.graves)?.next().is_some();
        if some || self.packs().marker().exists() {
            self.look_after();
        }
        Ok(())
    }

    /// Gives back what nobody refers to. The caller has the turn. Returns how many graves are still read from.
    pub(super) fn settle(&self) -> io::Result<usize> {
        self.shared.settle()
    }

    fn look_after(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut watch = self.shared.watch();
            watch.again = true;
            self.shared.changed.notify_all();
            if watch.running || watch.stop {
                return;
            }
            watch.running = true;
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("layer-graves".to_owned());
        match thread.spawn(move || shared.keep()) {
            Ok(thread) => *keeper = Some(thread),
            Err(error) => {
                self.shared.watch().running = false;
                tracing::warn!(%error, "objects of removed layers stay until the next one goes");
            }
        }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        self.shared.watch().stop = true;
        self.shared.changed.notify_all();
        let thread = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks after removed layers panicked");
        }
    }
}

impl Shared {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the graves until there are none.
    fn keep(&self) {
        let mut wait = WAITS.0;
        loop {
            {
                let mut watch = self.watch();
                if watch.stop {
                    return;
                }
                if std::mem::take(&mut watch.again) {
                    wait = WAITS.0;
                }
            }
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let settled = self.settle();
            drop(turn);
            let mut watch = self.watch();
            match settled {
                Ok(0) if !watch.again => {
                    watch.running = false;
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "objects of removed layers stay until the next one goes");
                    if !watch.again {
                        watch.running = false;
                        return;
                    }
                }
            }
            if !watch.again && !watch.stop {
                let waited = self.changed.wait_timeout(watch, wait);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                wait = (wait * 2).min(WAITS.1);
            }
        }
    }

    fn settle(&self) -> io::Result<usize> {
        let mut waiting = 0;
        let mut gone = 0;
        for grave in std::fs::read_dir(&self.graves)? {
            let grave = grave?.path();
            if is_in_use(&grave) {
                waiting += 1;
            } else {
                std::fs::remove_dir_all(&grave)?;
                gone += 1;
            }
        }
        if gone > 0 || self.packs.marker().exists() {
            hyperbox_core::failpoint!("optimize.before-reclaim");
            let live = self.live()?;
            self.packs.reclaim(live)?;
            hyperbox_core::failpoint!("optimize.after-reclaim");
            match std::fs::remove_file(self.packs.marker()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(waiting)
    }

    /// Reads what all layers and graves refer to. A list that cannot be read is an error: nothing is taken away then.
    fn live(&self) -> io::Result<BTreeMap<u32, Ranges>> {
        let mut live: BTreeMap<u32, Ranges> = BTreeMap::new();
        for place in [&self.layers, &self.graves] {
            for directory in std::fs::read_dir(place)? {
                let list = IndexedFiles::of(&directory?.path()).list;
                let list = match List::read(&list) {
                    Ok(list) => list,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", list.display()))),
                };
                for object in &list.objects {
                    let range = object.place.at..object.place.at + Object::padded(object);
                    live.entry(object.place.pack).or_default().add(range);
                }
                live.values_mut().for_each(Ranges::settle);
            }
        }
        Ok(live)
    }
}

/// Tells whether somebody may still read through a mount of the layer that was in this directory.
fn is_in_use(grave: &Path) -> bool {
    match File::open(IndexedFiles::of(grave).index) {
        Ok(index) => hyperbox_sys::file_use::is_open_elsewhere(index.as_fd()).unwrap_or(true),
        // It was never finished.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
