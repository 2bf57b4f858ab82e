// SPDX-License-Identifier: MIT
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hyperbox_core::seam::{Change, Records, Table};
use hyperbox_testkit::{conformance, unique_name, wait_for};
use hyperbox_types::ErrorKind;

use super::SqliteRecords;

fn put(key: &str, value: &str) -> Change {
    Change::Put {
        table: Table::Images,
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::records::run(|| -> Arc<dyn Records> {
        Arc::new(SqliteRecords::open(&directory.path().join(unique_name("records"))).unwrap())
    });
}

#[test]
fn survives_reopening_and_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.db");
    let records = SqliteRecords::open(&path).unwrap();
    records.apply(&[put("a", "{}"), put("b", "\"ü\"")]).unwrap();
    records.sync().unwrap();
    drop(records);
    let records = SqliteRecords::open(&path).unwrap();
    let expected = [("a", "{}"), ("b", "\"ü\"")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(records.load(Table::Images).unwrap(), expected);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{:?}",
            file.path()
        );
    }
}

/// A copy of the files, as they are while the process lives, is what a killed process leaves.
#[test]
fn survives_the_death_of_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.db");
    let records = SqliteRecords::open(&path).unwrap();
    for number in 0..100 {
        records.apply(&[put(&format!("{number:03}"), "1")]).unwrap();
    }
    let copied = tempfile::tempdir().unwrap();
    for name in ["records.db", "records.db-wal"] {
        std::fs::copy(directory.path().join(name), copied.path().join(name)).unwrap();
    }
    let survivor = SqliteRecords::open(&copied.path().join("records.db")).unwrap();
    assert_eq!(survivor.load(Table::Images).unwrap().len(), 100);
}

#[test]
fn the_log_is_copied_in_the_background() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.db");
    let records = SqliteRecords::open(&path).unwrap();
    records.apply(&[put("needle", "\"needle in the database\"")]).unwrap();
    wait_for("the checkpoint", || {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(6).any(|window| window == b"needle");
        if found {
            Ok(())
        } else {
            Err("the record is only in the log".to_owned())
        }
    });
}

#[test]
fn newer_and_foreign_databases_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let newer = directory.path().join("newer.db");
    let records = SqliteRecords::open(&newer).unwrap();
    let version = Change::Put {
        table: Table::Meta,
        key: super::FORMAT_KEY.to_owned(),
        value: "2".to_owned(),
    };
    records.apply(&[version]).unwrap();
    drop(records);
    let error = SqliteRecords::open(&newer).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.source.to_string().contains("its format is 2"), "{}", error.source);

    let foreign = directory.path().join("foreign.db");
    std::fs::write(&foreign, vec![b'x'; 8192]).unwrap();
    assert_eq!(SqliteRecords::open(&foreign).unwrap_err().kind, ErrorKind::Unsupported);

    let missing = directory.path().join("no/such/directory/x.db");
    assert_eq!(SqliteRecords::open(&missing).unwrap_err().kind, ErrorKind::NotFound);
}

/// The salts in the header of the log change when it begins anew (<https://www.sqlite.org/fileformat2.html#walformat>), and then SQLite syncs it.
#[test]
fn no_change_waits_for_the_disk_after_a_pause() {
    let directory = tempfile::tempdir().unwrap();
    let records = SqliteRecords::open(&directory.path().join("records.db")).unwrap();
    let salts = || std::fs::read(directory.path().join("records.db-wal")).unwrap()[16..24].to_vec();
    records.apply(&[put("a", "1")]).unwrap();
    let first = salts();
    wait_for("a new beginning of the log", || {
        let now = salts();
        if now == first { Err(format!("{now:?}")) } else { Ok(()) }
    });
    let begun = salts();
    records.apply(&[put("b", "2")]).unwrap();
    assert_eq!(salts(), begun);
    assert_eq!(records.load(Table::Images).unwrap().len(), 2);
}
