// SPDX-License-Identifier: MIT
//! Records in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
        Ok(())
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
