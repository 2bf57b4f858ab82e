// SPDX-License-Identifier: MIT
//! Numbers of several contenders, taken in turns as by `hb bench`, and printed when they are there.

use std::cell::RefCell;

use anyhow::Result;
use hyperbox_bench::Row;
pub(super) use hyperbox_bench::{Table, Unit};
use serde_json::Value;

/// A contender and how a number of it is taken.
pub(super) struct Series<'a> {
    pub(super) name: String,
    /// What is run; for the report.
    pub(super) command: String,
    pub(super) take: Box<dyn FnMut() -> Result<f64> + 'a>,
}

/// Takes numbers in turns, in an order that rotates, and prints their table. Who fails is left out, and named.
pub(super) fn interleave(scenario: &str, unit: Unit, series: Vec<Series<'_>>, rounds: usize) -> Table {
    let series = series.into_iter().map(|one| {
        let mut take = one.take;
        hyperbox_bench::Series {
            name: one.name,
            command: one.command,
            take: Box::new(move || take().map_err(|error| format!("{error:#}"))),
        }
    });
    print(hyperbox_bench::interleave(scenario, unit, series.collect(), rounds))
}

/// Prints a table and returns it.
pub(super) fn print(table: Table) -> Table {
    println!("\n{table}");
    table
}

/// A contender's name, what is run, and how two numbers are taken at once.
pub(super) type Pair<T> = (String, String, T);

/// Like [`interleave`], for two numbers of each run: the second ones have a table of their own, behind the first.
pub(super) fn beside<T: FnMut() -> Result<[f64; 2]>>(
    (scenario, unit): (&str, Unit),
    (second, second_unit): (&str, Unit),
    contenders: Vec<Pair<T>>,
    rounds: usize,
) -> [Value; 2] {
    let others: Vec<_> = contenders.iter().map(|_| RefCell::new(Vec::new())).collect();
    let series = contenders
        .into_iter()
        .zip(&others)
        .map(|((name, command, mut take), others)| Series {
            name,
            command,
            take: Box::new(move || {
                let [first, other] = take()?;
                others.borrow_mut().push(other);
                Ok(first)
            }),
        });
    let series: Vec<_> = series.collect();
    let names: Vec<_> = series.iter().map(|one| one.name.clone()).collect();
    let first = interleave(scenario, unit, series, rounds);
    let rows = first.rows.iter().filter_map(|one| {
        let place = names.iter().position(|name| *name == one.name)?;
        let all = others[place].borrow();
        // Those of the warm-up come first.
        let counted = all[all.len().saturating_sub(one.numbers.len())..].to_vec();
        Row::new(one.name.clone(), one.command.clone(), counted)
    });
    let second = print(Table {
        scenario: format!("{scenario}: {second}"),
        unit: second_unit,
        rows: rows.collect(),
        left_out: Vec::new(),
    });
    [first.to_json(), second.to_json()]
}
