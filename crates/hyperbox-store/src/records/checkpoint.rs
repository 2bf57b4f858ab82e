// SPDX-License-Identifier: MIT
//! The thread that copies the write-ahead log into the database, so that no writer waits for the disk.
//!
//! It sleeps until something changed, waits a little for more, and makes a passive checkpoint: that neither waits for the
//! writer nor makes it wait. Dropping the [`Checkpointer`] makes a last one.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::Failure;

#[derive(Debug)]
pub(super) struct Checkpointer {
    changes: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, delay: Duration) -> Result<Self, Failure> {
        let connection = super::connect(path)?;
        let (changes, changed) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("records-sync".to_owned())
            .spawn(move || run(&connection, &changed, delay))?;
        Ok(Self {
            changes: Some(changes),
            thread: Some(thread),
        })
    }

    /// Tells that there is something to copy. Never blocks: one notice is as good as many.
    pub(super) fn changed(&self) {
        if let Some(changes) = &self.changes {
            // A full channel holds the notice already.
            let _ = changes.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the database panicked");
        }
    }
}

fn run(connection: &Connection, changed: &Receiver<()>, delay: Duration) {
    while changed.recv().is_ok() {
        let deadline = Instant::now() + delay;
        // Later notices are covered by this checkpoint; only the end of the channel cuts the wait short.
        while changed
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
        let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
            let (all, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(all == copied)
        });
        let result = copied.and_then(|all| if all { begin_log_anew(connection) } else { Ok(()) });
        if let Err(error) = result {
            tracing::warn!(%error, "cannot copy the database's log; the next change tries again");
        }
    }
}

/// Writes something that changes nothing. Whoever writes first after the whole log was copied begins it anew, and waits for the disk
/// between its header and the first page (<https://www.sqlite.org/wal.html>): better this thread than a start.
fn begin_log_anew(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}
