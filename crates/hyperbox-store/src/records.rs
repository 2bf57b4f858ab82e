// SPDX-License-Identifier: MIT
//! Records in an SQLite database.
//!
//! One table per [`Table`], with the columns `key` and `value` (JSON text). The table `meta` has the key [`FORMAT_KEY`]; a database
//! of a newer format is refused, so that a downgrade cannot damage it.
//!
//! **Durability**: a write-ahead log with `synchronous=NORMAL`, so a transaction survives the death of the process as soon as it
//! is acknowledged, and no write waits for the disk. A thread with a connection of its own copies the log into the database
//! (which syncs it) [`DELAY`] after the first change; that bounds what power loss can take. Frames of the log are chained by
//! checksums: a later transaction never survives an earlier one that was lost (<https://www.sqlite.org/walformat.html>).
//!
//! **A full disk** refuses new records, but what makes room can still be recorded (`reserve.rs`).
//!
//! Any thread may call; calls take turns. Memory is bounded by two page caches of [`CACHE_KIB`].

mod checkpoint;
mod error;
mod reserve;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyperbox_core::seam::{Change, Records, RecordsError, Table};
use rusqlite::{Connection, OptionalExtension};

use self::checkpoint::Checkpointer;
use self::error::{Failure, failed};
use self::reserve::Reserve;

/// The key of the format's version in the table `meta`.
const FORMAT_KEY: &str = "format-version";
/// The version that this build writes, and the newest that it reads.
const FORMAT: u32 = 1;
const CACHE_KIB: u32 = 256;
/// How long a change may wait for the disk.
const DELAY: Duration = Duration::from_millis(500);

/// Keeps records in one database file.
#[derive(Debug)]
pub struct SqliteRecords {
    path: PathBuf,
    connection: Mutex<Connection>,
    checkpointer: Checkpointer,
    reserve: Reserve,
}

impl SqliteRecords {
    /// Opens the database, made with mode 0600 if it is missing.
    ///
    /// # Errors
    /// `Unsupported` when a newer HyperBox wrote it; else what the filesystem or SQLite says.
    pub fn open(path: &Path) -> Result<Self, RecordsError> {
        create_private(path).map_err(|error| failed("create", path, error))?;
        let connection = connect(path).map_err(|error| failed("open", path, error))?;
        check_format(&connection).map_err(|error| failed("open", path, error))?;
        // The log's directory entry must survive as well: SQLite syncs it only with the log itself.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(|error| failed("sync the directory of", path, error))?;
        let checkpointer = Checkpointer::start(path, DELAY).map_err(|error| failed("open", path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            connection: Mutex::new(connection),
            checkpointer,
            reserve: Reserve::open(path),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records for SqliteRecords {
    fn load(&self, table: Table) -> Result<Vec<(String, String)>, RecordsError> {
        let query = format!("SELECT key, value FROM {} ORDER BY key", table.as_str());
        let connection = self.connection();
        let load = || {
            let mut statement = connection.prepare_cached(&query)?;
            let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        load().map_err(|error| failed("read from", &self.path, error))
    }

    fn apply(&self, changes: &[Change]) -> Result<(), RecordsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let connection = self.connection();
        let mut applied = apply(&connection, changes);
        if applied.as_ref().is_err_and(is_full) && self.reserve.give() {
            applied = apply(&connection, changes);
        }
        applied.map_err(|error| failed("write to", &self.path, error))?;
        drop(connection);
        self.reserve.keep();
        self.checkpointer.changed();
        Ok(())
    }

    fn sync(&self) -> Result<(), RecordsError> {
        // What was applied is in the log, or was copied into the database, which SQLite synced before it dropped the log. The
        // log is no file that SQLite locks, so opening and closing it is safe (https://www.sqlite.org/howtocorrupt.html §2.2).
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        match File::open(&log).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("sync", &self.path, error)),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<Vec<String>, RecordsError> {
        // A connection of its own reads a snapshot; the others go on (https://www.sqlite.org/wal.html, "Concurrency").
        let check = || -> rusqlite::Result<Vec<String>> {
            let connection = connect(&self.path)?;
            let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
            let rows = statement.query_map((), |row| row.get::<_, String>(0))?;
            rows.collect()
        };
        match check() {
            Ok(lines) => Ok(lines.into_iter().filter(|line| line != "ok").collect()),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                Ok(vec![error.to_string()])
            }
            Err(error) => Err(failed("check", &self.path, error)),
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn apply(connection: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    // Prepared once, as the others: what the library's own transactions begin and end with is parsed each time.
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
    let transaction = Unfinished(connection);
    for change in changes {
        match change {
            Change::Put { table, key, value } => {
                let sql = format!("INSERT OR REPLACE INTO {} (key, value) VALUES (?1, ?2)", table.as_str());
                connection.prepare_cached(&sql)?.execute((key, value))?;
            }
            Change::Remove { table, key } => {
                let sql = format!("DELETE FROM {} WHERE key = ?1", table.as_str());
                connection.prepare_cached(&sql)?.execute((key,))?;
            }
        }
    }
    connection.prepare_cached("COMMIT")?.execute(())?;
    drop(transaction);
    Ok(())
}

/// A transaction that is undone when this is dropped, unless it has ended.
struct Unfinished<'a>(&'a Connection);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // After some errors SQLite has undone it already (https://www.sqlite.org/lang_transaction.html, "Response To Errors").
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "a transaction cannot be undone");
        }
    }
}

/// Makes the file before SQLite does, which would give it the umask's mode; the log inherits the mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(2 * Table::ALL.len() + 8);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
    // Checkpoints sync the disk: only the checkpointing thread makes them.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
    Ok(connection)
}

/// Makes the tables of a new database; refuses one of another format.
fn check_format(connection: &Connection) -> Result<(), Failure> {
    let has_meta = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'";
    let exists = connection.query_row(has_meta, (), |_| Ok(())).optional()?.is_some();
    let tables = Table::ALL.map(|table| {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
            table.as_str()
        )
    });
    let tables = tables.concat();
    if !exists {
        let insert = format!("INSERT INTO meta VALUES ('{FORMAT_KEY}', '{FORMAT}');");
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {tables} {insert} COMMIT;"))?;
        return Ok(());
    }
    let query = format!("SELECT value FROM meta WHERE key = '{FORMAT_KEY}'");
    let text: Option<String> = connection.query_row(&query, (), |row| row.get(0)).optional()?;
    match text.as_deref().map(str::parse::<u32>) {
        // A table that a newer build has besides is made when it is missing; the older build does not look at it.
        Some(Ok(FORMAT)) => Ok(connection.execute_batch(&format!("BEGIN IMMEDIATE; {tables} COMMIT;"))?),
        Some(Ok(found)) if found > FORMAT => Err(Failure::Newer { found, known: FORMAT }),
        _ => Err(Failure::Unknown),
    }
}

#[cfg(test)]
mod tests;
