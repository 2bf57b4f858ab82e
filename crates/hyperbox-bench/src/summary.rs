// SPDX-License-Identifier: MIT
//! Order statistics of a series. Pure.

/// Five numbers that describe a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Least number.
    pub minimum: f64,
    /// A quarter is below.
    pub lower_quartile: f64,
    /// Half is below.
    pub median: f64,
    /// A quarter is above.
    pub upper_quartile: f64,
    /// Greatest number.
    pub maximum: f64,
}

impl Summary {
    /// Describes a series; `None` when it is empty.
    pub fn of(times: &[f64]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            minimum: *sorted.first()?,
            lower_quartile: quantile(&sorted, 1),
            median: quantile(&sorted, 2),
            upper_quartile: quantile(&sorted, 3),
            maximum: *sorted.last()?,
        })
    }
}

/// The value `quarters`/4 of the way through a sorted series, interpolated.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let steps = (sorted.len() - 1) * quarters;
    let (index, rest) = (steps / 4, steps % 4);
    let next = sorted.get(index + 1).copied().unwrap_or(sorted[index]);
    let part = [0.0, 0.25, 0.5, 0.75][rest];
    sorted[index] + (next - sorted[index]) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            [
                summary.minimum,
                summary.lower_quartile,
                summary.median,
                summary.upper_quartile,
                summary.maximum
            ],
            [1.0, 1.75, 2.5, 3.25, 4.0]
        );
        assert_eq!(Summary::of(&[7.0]).unwrap().upper_quartile, 7.0);
        assert_eq!(Summary::of(&[]), None);
    }
}
