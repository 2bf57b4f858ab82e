// SPDX-License-Identifier: MIT
//! The record store: small JSON documents in named tables, changed in transactions.

use hyperbox_types::ErrorKind;

/// A table of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Containers by id.
    Containers,
    /// Images by id (configuration digest).
    Images,
    /// Volumes by name.
    Volumes,
    /// Networks by id.
    Networks,
    /// Steps of builds by key.
    BuildCache,
    /// Projects by name.
    Projects,
    /// Facts about this store itself, such as its format version.
    Meta,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 7] = [
        Self::Containers,
        Self::Images,
        Self::Volumes,
        Self::Networks,
        Self::BuildCache,
        Self::Projects,
        Self::Meta,
    ];

    /// Returns the table's name on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Volumes => "volumes",
            Self::Networks => "networks",
            Self::BuildCache => "build_cache",
            Self::Projects => "projects",
            Self::Meta => "meta",
        }
    }
}

/// One change of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Inserts or replaces a record.
    Put {
        /// Where.
        table: Table,
        /// Under which key.
        key: String,
        /// JSON text.
        value: String,
    },
    /// Removes a record; removing what is not there succeeds.
    Remove {
        /// Where.
        table: Table,
        /// Which.
        key: String,
    },
}

/// Keeps records.
///
/// [`Records::apply`] is the commit point of the whole engine: all changes of one call become visible together, or none does,
/// also when the process or the machine dies in the middle. A change that was acknowledged survives the death of the process;
/// it survives the death of the machine after a short delay at the latest (so that no hot path waits for the disk), and order
/// is kept: a later transaction never survives an earlier one that was lost.
///
/// Calls block for microseconds and may be made from async code. Services keep what they need in memory and read the tables
/// once, at start.
pub trait Records: Send + Sync + std::fmt::Debug {
    /// Returns all records of a table as (key, JSON), ordered by key.
    fn load(&self, table: Table) -> Result<Vec<(String, String)>, RecordsError>;

    /// Applies changes in one transaction.
    fn apply(&self, changes: &[Change]) -> Result<(), RecordsError>;

    /// Waits until everything applied so far survives the death of the machine.
    fn sync(&self) -> Result<(), RecordsError>;

    /// Looks for damage below the records and returns what is complained about, one sentence each. Reads everything; changes go on
    /// meanwhile where the mechanism allows it.
    fn check(&self) -> Result<Vec<String>, RecordsError>;
}

/// Why the record store failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the database {path}")]
pub struct RecordsError {
    /// What was tried.
    pub operation: &'static str,
    /// The database file.
    pub path: String,
    /// The class.
    pub kind: ErrorKind,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
