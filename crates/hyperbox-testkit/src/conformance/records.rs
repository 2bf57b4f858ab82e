// SPDX-License-Identifier: MIT
//! What every [`Records`] does.

use std::sync::Arc;

use hyperbox_core::seam::{Change, Records, Table};

/// Runs the suite; `make` makes an empty store.
///
/// # Panics
/// When the implementation breaks the contract.
pub fn run(make: impl Fn() -> Arc<dyn Records>) {
    rows_are_ordered_and_replaced(&*make());
    tables_are_separate(&*make());
    order_within_a_transaction_counts(&*make());
    text_is_kept_as_it_is(&*make());
    many_threads_see_whole_transactions(&make());
    make().sync().expect("sync of an empty store");
}

fn put(table: Table, key: &str, value: &str) -> Change {
    Change::Put {
        table,
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn remove(table: Table, key: &str) -> Change {
    Change::Remove {
        table,
        key: key.to_owned(),
    }
}

fn keys(records: &dyn Records, table: Table) -> Vec<String> {
    let rows = records.load(table).expect("load");
    rows.into_iter().map(|(key, _)| key).collect()
}

fn rows_are_ordered_and_replaced(records: &dyn Records) {
    for key in ["b", "c", "a", "B", "é"] {
        records.apply(&[put(Table::Images, key, "1")]).expect("apply");
    }
    assert_eq!(keys(records, Table::Images), ["B", "a", "b", "c", "é"]);
    records.apply(&[put(Table::Images, "b", "2")]).expect("apply");
    let rows = records.load(Table::Images).expect("load");
    assert!(rows.contains(&("b".to_owned(), "2".to_owned())) && rows.len() == 5);
    records
        .apply(&[remove(Table::Images, "b"), remove(Table::Images, "missing")])
        .expect("apply");
    assert_eq!(keys(records, Table::Images), ["B", "a", "c", "é"]);
    records.apply(&[]).expect("an empty transaction");
    records.sync().expect("sync");
}

fn tables_are_separate(records: &dyn Records) {
    let before = keys(records, Table::Meta).len();
    let all: Vec<Change> = Table::ALL
        .iter()
        .map(|table| put(*table, "same", table.as_str()))
        .collect();
    records.apply(&all).expect("apply");
    for table in Table::ALL {
        let rows = records.load(table).expect("load");
        let expected = ("same".to_owned(), table.as_str().to_owned());
        assert!(rows.contains(&expected), "{table:?} lacks its record");
        assert_eq!(
            rows.len(),
            if table == Table::Meta { before + 1 } else { 1 },
            "{table:?}"
        );
    }
}

fn order_within_a_transaction_counts(records: &dyn Records) {
    let changes = [
        put(Table::Volumes, "a", "1"),
        remove(Table::Volumes, "a"),
        put(Table::Volumes, "b", "1"),
        put(Table::Volumes, "b", "2"),
    ];
    records.apply(&changes).expect("apply");
    let rows = records.load(Table::Volumes).expect("load");
    assert_eq!(rows, [("b".to_owned(), "2".to_owned())]);
}

fn text_is_kept_as_it_is(records: &dyn Records) {
    let long = "x".repeat(1 << 20);
    let rows = [
        ("'; DROP TABLE images; --", "{\"a\":\"ü\\n\"}"),
        ("%_", "null"),
        ("long", long.as_str()),
    ];
    let changes: Vec<Change> = rows
        .iter()
        .map(|(key, value)| put(Table::Volumes, key, value))
        .collect();
    records.apply(&changes).expect("apply");
    for (key, value) in records.load(Table::Volumes).expect("load") {
        assert!(rows.contains(&(key.as_str(), value.as_str())), "{key}");
    }
    assert_eq!(keys(records, Table::Volumes).len(), rows.len());
}

/// Each transaction moves a token from one table to another: nobody ever sees it twice or never.
fn many_threads_see_whole_transactions(records: &Arc<dyn Records>) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..25 {
                    let key = format!("{thread}-{round}");
                    records.apply(&[put(Table::Containers, &key, "1")]).expect("apply");
                    let moved = [remove(Table::Containers, &key), put(Table::Networks, &key, "1")];
                    records.apply(&moved).expect("apply");
                }
            });
        }
    });
    assert!(keys(&**records, Table::Containers).is_empty());
    assert_eq!(keys(&**records, Table::Networks).len(), 100);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::MemoryRecords;

    #[test]
    fn the_fake_conforms() {
        run(|| Arc::new(MemoryRecords::new()));
    }
}
