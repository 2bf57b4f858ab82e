// SPDX-License-Identifier: MIT
//! Numbers of several contenders, taken in turns.

use serde_json::{Value, json};

use anyhow::Result;

use super::statistics::Summary;

/// Rounds before the first that counts, at most: where few are asked for, each is long.
const WARM_UP: usize = 3;

/// What is measured, and so whether more is better.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Milliseconds,
    GigabitsPerSecond,
    PerSecond,
}

impl Unit {
    fn shown(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::GigabitsPerSecond => "Gbit/s",
            Self::PerSecond => "1/s",
        }
    }
}

/// A contender and how a number of it is taken.
pub(super) struct Series<'a> {
    pub(super) name: String,
    /// What is run; for the report.
    pub(super) command: String,
    pub(super) take: Box<dyn FnMut() -> Result<f64> + 'a>,
}

/// The numbers of a contender.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) summary: Summary,
    command: String,
    numbers: Vec<f64>,
}

/// The numbers of all contenders of a scenario; the first one is the reference of the ratios.
#[derive(Debug)]
pub(super) struct Table {
    scenario: String,
    unit: Unit,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Returns the median of a contender.
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map(|row| row.summary.median)
    }

    fn ratio(&self, row: &Row) -> f64 {
        self.rows
            .first()
            .map_or(1.0, |first| row.summary.median / first.summary.median)
    }

    fn print(&self) {
        println!(
            "  {:<28} {:>12} {:>10} {:>10} {:>8}",
            "",
            format!("median {}", self.unit.shown()),
            "quartile",
            "quartile",
            "ratio"
        );
        for row in &self.rows {
            let summary = row.summary;
            println!(
                "  {:<28} {:>12.2} {:>10.2} {:>10.2} {:>7.2}x",
                row.name,
                summary.median,
                summary.lower_quartile,
                summary.upper_quartile,
                self.ratio(row)
            );
        }
    }

    /// Returns what is kept.
    pub(super) fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let summary = row.summary;
            json!({
                "name": row.name, "command": row.command, "median": summary.median,
                "lower_quartile": summary.lower_quartile, "upper_quartile": summary.upper_quartile,
                "minimum": summary.minimum, "maximum": summary.maximum, "ratio": self.ratio(row), "numbers": row.numbers,
            })
        });
        json!({"name": self.scenario, "unit": self.unit.shown(), "contenders": rows.collect::<Vec<_>>()})
    }
}

/// Takes numbers in turns, in an order that rotates, and prints their table. Who fails is left out, and named.
pub(super) fn interleave(scenario: &str, unit: Unit, series: Vec<Series<'_>>, rounds: usize) -> Table {
    println!("\n{scenario} ({rounds} rounds)");
    let mut runners: Vec<(Series<'_>, Vec<f64>)> = series.into_iter().map(|one| (one, Vec::new())).collect();
    let warm_up = WARM_UP.min(rounds / 3);
    for round in 0..warm_up + rounds {
        let count = runners.len();
        let mut failed = Vec::new();
        for turn in 0..count {
            let index = (round + turn) % count;
            let (series, numbers) = &mut runners[index];
            match (series.take)() {
                Ok(number) if round >= warm_up => numbers.push(number),
                Ok(_) => {}
                Err(error) => {
                    println!("  left out {}: {error:#}", series.name);
                    failed.push(series.name.clone());
                }
            }
        }
        runners.retain(|(series, _)| !failed.contains(&series.name));
    }
    let rows = runners.into_iter().filter_map(|(series, numbers)| {
        Some(Row {
            summary: Summary::of(&numbers)?,
            name: series.name,
            command: series.command,
            numbers,
        })
    });
    let table = Table {
        scenario: scenario.to_owned(),
        unit,
        rows: rows.collect(),
    };
    table.print();
    table
}
