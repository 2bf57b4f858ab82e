// SPDX-License-Identifier: MIT
//! The build cache: which steps were done, and what came of them.
//!
//! A record says that the step with this key made this layer. Records are in the record store (`Table::BuildCache`) and, all of them, in
//! memory. They hold their layers: the image service asks for them before it collects anything
//! ([`hyperbox_core::image::Images::set_holder`]). A layer is stored before its record is written and goes after its record is gone, so
//! that a crash leaves at worst a layer without a record, which is collected at the next start. When a step was last used is written at
//! the end of a build; a crash forgets that alone.

mod retention;
pub(crate) mod shared;
mod sweep;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_core::failpoint;
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::{Change, Records, RecordsError, Table};
use hyperbox_core::time::Timestamp;
use hyperbox_types::Digest;
use serde::{Deserialize, Serialize};

pub use retention::Retention;
pub(crate) use sweep::{Candidate, Entry, Limits, choose, only};

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its layer.
    pub(crate) layer: ImageLayer,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// When a build last used it.
    pub(crate) used_at: Timestamp,
    /// How often one did after it was made.
    #[serde(default)]
    pub(crate) uses: u64,
    /// For people.
    #[serde(default)]
    pub(crate) description: String,
}

/// Keeps records.
#[derive(Debug)]
pub(crate) struct Cache {
    records: Arc<dyn Records>,
    table: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    records: BTreeMap<Digest, Record>,
    /// Keys whose last use is not written yet.
    touched: HashSet<Digest>,
}

impl Cache {
    /// Reads all records. What cannot be read is left alone and holds nothing: the step is done again.
    ///
    /// # Errors
    /// Those of the record store.
    pub(crate) fn open(records: Arc<dyn Records>) -> Result<Self, RecordsError> {
        let mut known = Known::default();
        for (key, json) in records.load(Table::BuildCache)? {
            match (Digest::parse(&key), serde_json::from_str(&json)) {
                (Ok(key), Ok(record)) => {
                    known.records.insert(key, record);
                }
                _ => tracing::warn!(key, "unreadable record of the build cache left alone"),
            }
        }
        Ok(Self {
            records,
            table: Mutex::new(known),
        })
    }

    /// Returns what came of a step, and notes that it is used.
    pub(crate) fn use_record(&self, key: &Digest) -> Option<Record> {
        let mut known = self.lock();
        let record = known.records.get_mut(key)?;
        record.used_at = Timestamp::now();
        record.uses += 1;
        let record = record.clone();
        known.touched.insert(key.clone());
        Some(record)
    }

    /// Keeps what came of a step: the commit point of it. Blocks for microseconds.
    ///
    /// # Errors
    /// Those of the record store.
    pub(crate) fn put(&self, key: &Digest, record: &Record) -> Result<(), RecordsError> {
        let mut known = self.lock();
        failpoint!("build.before-record");
        self.records.apply(&[change(key, record)])?;
        failpoint!("build.after-record");
        known.records.insert(key.clone(), record.clone());
        Ok(())
    }

    /// Takes over steps that were done elsewhere, unless they are known.
    ///
    /// # Errors
    /// Those of the record store.
    pub(crate) fn take_over(&self, steps: Vec<(Digest, Record)>) -> Result<(), RecordsError> {
        let mut known = self.lock();
        let new: Vec<_> = steps
            .into_iter()
            .filter(|(key, _)| !known.records.contains_key(key))
            .collect();
        let changes: Vec<Change> = new.iter().map(|(key, record)| change(key, record)).collect();
        if !changes.is_empty() {
            self.records.apply(&changes)?;
        }
        known.records.extend(new);
        Ok(())
    }

    /// Writes when records were last used.
    ///
    /// # Errors
    /// Those of the record store; told again at the next call.
    pub(crate) fn flush(&self) -> Result<(), RecordsError> {
        let mut known = self.lock();
        let touched = known.touched.iter();
        let changes: Vec<Change> = touched
            .filter_map(|key| known.records.get(key).map(|record| change(key, record)))
            .collect();
        if !changes.is_empty() {
            self.records.apply(&changes)?;
        }
        known.touched.clear();
        Ok(())
    }

    /// Forgets steps; returns their layers, which the caller releases.
    ///
    /// # Errors
    /// Those of the record store; nothing is forgotten then.
    pub(crate) fn forget(&self, keys: &[Digest]) -> Result<Vec<ImageLayer>, RecordsError> {
        let mut known = self.lock();
        let changes: Vec<Change> = keys
            .iter()
            .map(|key| Change::Remove {
                table: Table::BuildCache,
                key: key.to_string(),
            })
            .collect();
        self.records.apply(&changes)?;
        let forgotten = keys.iter().filter_map(|key| {
            known.touched.remove(key);
            known.records.remove(key)
        });
        Ok(forgotten.map(|record| record.layer).collect())
    }

    /// Returns all records by key.
    pub(crate) fn all(&self) -> BTreeMap<Digest, Record> {
        self.lock().records.clone()
    }

    /// Returns the layers that are held.
    pub(crate) fn layers(&self) -> Vec<ImageLayer> {
        self.lock()
            .records
            .values()
            .map(|record| record.layer.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn change(key: &Digest, record: &Record) -> Change {
    Change::Put {
        table: Table::BuildCache,
        key: key.to_string(),
        // A structure of texts and numbers can always be encoded.
        value: serde_json::to_string(record).unwrap_or_default(),
    }
}
