// SPDX-License-Identifier: MIT
//! Records in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use hyperbox_core::seam::{Change, Records, RecordsError, Table};
use hyperbox_types::ErrorKind;

use super::fault::{Faults, lock};

/// A [`Records`] that forgets everything with its last clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryRecords {
    tables: Arc<Mutex<BTreeMap<(Table, String), String>>>,
    faults: Faults<RecordsError>,
    applied: Arc<AtomicUsize>,
    held: Held,
}

/// What the next sync waits for the end of.
type Held = Arc<Mutex<Option<Receiver<()>>>>;

/// A disk that takes its time: a sync waits until this is dropped.
#[derive(Debug)]
pub struct HeldSync {
    held: Held,
    _end: Sender<()>,
}

impl HeldSync {
    /// Tells whether a sync waits.
    pub fn is_waited_for(&self) -> bool {
        lock(&self.held).is_none()
    }
}

impl MemoryRecords {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next [`Records::apply`] fail as if the disk were full.
    pub fn fail_next_apply(&self) {
        self.faults.push(RecordsError {
            operation: "write",
            path: "memory".to_owned(),
            kind: ErrorKind::ResourceExhausted,
            source: "no space left on device".into(),
        });
    }

    /// Makes the next [`Records::sync`] wait.
    pub fn hold_next_sync(&self) -> HeldSync {
        let (end, receiver) = channel();
        *lock(&self.held) = Some(receiver);
        HeldSync {
            held: Arc::clone(&self.held),
            _end: end,
        }
    }

    /// Returns how many transactions there were.
    pub fn applied(&self) -> usize {
        self.applied.load(Ordering::SeqCst)
    }

    /// Returns one record.
    pub fn get(&self, table: Table, key: &str) -> Option<String> {
        lock(&self.tables).get(&(table, key.to_owned())).cloned()
    }
}

impl Records for MemoryRecords {
    fn load(&self, table: Table) -> Result<Vec<(String, String)>, RecordsError> {
        let tables = lock(&self.tables);
        let rows = tables.iter().filter(|((of, _), _)| *of == table);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<(), RecordsError> {
        self.faults.check()?;
        self.applied.fetch_add(1, Ordering::SeqCst);
        let mut tables = lock(&self.tables);
        for change in changes {
            match change {
                Change::Put { table, key, value } => {
                    tables.insert((*table, key.clone()), value.clone());
                }
                Change::Remove { table, key } => {
                    tables.remove(&(*table, key.clone()));
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), RecordsError> {
        let held = lock(&self.held).take();
        if let Some(end) = held {
            // Nothing is ever sent: it ends with the sender.
            while end.recv().is_ok() {}
        }
        Ok(())
    }

    fn check(&self) -> Result<Vec<String>, RecordsError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_apply_changes_nothing_and_a_clone_shares() {
        let records = MemoryRecords::new();
        let put = |key: &str| Change::Put {
            table: Table::Meta,
            key: key.to_owned(),
            value: "1".to_owned(),
        };
        records.apply(&[put("b"), put("a")]).unwrap();
        records.fail_next_apply();
        records.apply(&[put("c")]).unwrap_err();
        let keys: Vec<String> = records
            .clone()
            .load(Table::Meta)
            .unwrap()
            .into_iter()
            .map(|row| row.0)
            .collect();
        assert_eq!(keys, ["a", "b"]);
        assert!(records.load(Table::Images).unwrap().is_empty());
    }
}
