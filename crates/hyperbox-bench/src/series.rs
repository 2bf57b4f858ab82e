// SPDX-License-Identifier: MIT
//! Numbers of several contenders, taken in turns.

use std::fmt;

use serde_json::{Value, json};

use crate::summary::Summary;

/// Rounds before the first that counts, at most: where few are asked for, each is long.
const WARM_UP: usize = 3;

/// In what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Times.
    Milliseconds,
    /// Throughput.
    GigabitsPerSecond,
    /// Rates.
    PerSecond,
    /// Memory or disk space, of 10^6 bytes.
    Megabytes,
    /// Short times.
    Microseconds,
    /// Processor time.
    SecondsPerGigabyte,
}

impl Unit {
    /// Returns how it is written behind a number.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::GigabitsPerSecond => "Gbit/s",
            Self::PerSecond => "1/s",
            Self::Megabytes => "MB",
            Self::Microseconds => "µs",
            Self::SecondsPerGigabyte => "s/GB",
        }
    }
}

/// A contender and how a number of it is taken.
pub struct Series<'a> {
    /// What it is called.
    pub name: String,
    /// What is run; for the report.
    pub command: String,
    /// Takes a number, or says why there is none.
    pub take: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

impl fmt::Debug for Series<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Series")
            .field("name", &self.name)
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

/// The numbers of a contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is called.
    pub name: String,
    /// What its numbers amount to.
    pub summary: Summary,
    /// What was run.
    pub command: String,
    /// All numbers, in the order in which they were taken.
    pub numbers: Vec<f64>,
}

impl Row {
    /// Describes numbers; `None` when there are none.
    pub fn new(name: String, command: String, numbers: Vec<f64>) -> Option<Self> {
        Some(Self {
            summary: Summary::of(&numbers)?,
            name,
            command,
            numbers,
        })
    }
}

/// A contender that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is called.
    pub name: String,
    /// What it said.
    pub reason: String,
}

/// The numbers of all contenders of a scenario; the first one is the reference of the ratios.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What was measured.
    pub scenario: String,
    /// In which unit.
    pub unit: Unit,
    /// One row for each contender that did not fail.
    pub rows: Vec<Row>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

impl Table {
    /// Returns the median of a contender.
    pub fn median(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map(|row| row.summary.median)
    }

    fn ratio(&self, row: &Row) -> f64 {
        self.rows
            .first()
            .map_or(1.0, |first| row.summary.median / first.summary.median)
    }

    /// Returns what is kept.
    pub fn to_json(&self) -> Value {
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

impl fmt::Display for Table {
    /// The scenario is the first line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.scenario)?;
        for left_out in &self.left_out {
            writeln!(formatter, "  left out {}: {}", left_out.name, left_out.reason)?;
        }
        let median = format!("median {}", self.unit.shown());
        writeln!(
            formatter,
            "  {:<28} {median:>12} {:>10} {:>10} {:>8}",
            "", "quartile", "quartile", "ratio"
        )?;
        for row in &self.rows {
            let summary = row.summary;
            writeln!(
                formatter,
                "  {:<28} {:>12.2} {:>10.2} {:>10.2} {:>7.2}x",
                row.name,
                summary.median,
                summary.lower_quartile,
                summary.upper_quartile,
                self.ratio(row)
            )?;
        }
        Ok(())
    }
}

/// Takes numbers in turns, in an order that rotates. Who fails is left out from then on, and named.
pub fn interleave(scenario: &str, unit: Unit, series: Vec<Series<'_>>, rounds: usize) -> Table {
    let mut runners: Vec<(Series<'_>, Vec<f64>)> = series.into_iter().map(|one| (one, Vec::new())).collect();
    let mut left_out: Vec<LeftOut> = Vec::new();
    let warm_up = WARM_UP.min(rounds / 3);
    for round in 0..warm_up + rounds {
        let count = runners.len();
        for turn in 0..count {
            let (series, numbers) = &mut runners[(round + turn) % count];
            match (series.take)() {
                Ok(number) if round >= warm_up => numbers.push(number),
                Ok(_) => {}
                Err(reason) => left_out.push(LeftOut {
                    name: series.name.clone(),
                    reason,
                }),
            }
        }
        runners.retain(|(series, _)| !left_out.iter().any(|one| one.name == series.name));
    }
    let rows = runners
        .into_iter()
        .filter_map(|(series, numbers)| Row::new(series.name, series.command, numbers));
    Table {
        scenario: scenario.to_owned(),
        unit,
        rows: rows.collect(),
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_rotate_and_who_fails_is_left_out() {
        let order = std::cell::RefCell::new(String::new());
        let series = |name: &'static str, fails_at: usize| {
            let order = &order;
            let mut taken = 0_u8;
            Series {
                name: name.to_owned(),
                command: String::new(),
                take: Box::new(move || {
                    order.borrow_mut().push_str(name);
                    taken += 1;
                    if usize::from(taken) == fails_at {
                        return Err("tired".to_owned());
                    }
                    Ok(f64::from(taken) * if name == "a" { 1.0 } else { 2.0 })
                }),
            }
        };
        let all = vec![series("a", 99), series("b", 99), series("c", 2)];
        let table = interleave("race", Unit::Milliseconds, all, 3);
        assert_eq!(order.borrow().as_str(), "abcbcaabba");
        assert_eq!((table.median("a"), table.median("b")), (Some(3.0), Some(6.0)));
        assert_eq!(table.left_out.len(), 1);
        let text = table.to_string();
        assert!(text.starts_with("race\n  left out c: tired\n"), "{text}");
        assert!(text.contains("2.00x"), "{text}");
        assert_eq!(table.to_json()["contenders"][1]["ratio"], 2.0);
    }
}
