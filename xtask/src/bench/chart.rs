// SPDX-License-Identifier: MIT
//! A bar chart of factors, as SVG: one bar each on a logarithmic axis, with lines at 1× and 20×.

use std::fmt::Write as _;

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    /// What was compared.
    pub(super) label: String,
    /// How many times better; a bar below one goes to the left.
    pub(super) factor: f64,
}

const ROW: usize = 26;
const LEFT: f64 = 430.0;
const WIDTH: f64 = 420.0;
/// The axis ends here; a longer bar is cut, its number is not.
const LAST: f64 = 100.0;
/// And begins here.
const FIRST: f64 = 0.5;

/// Draws the bars in their order.
pub(super) fn chart(bars: &[Bar]) -> String {
    let height = (bars.len() + 2) * ROW;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 930 {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"930\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (factor, colour) in [(1.0, "#666"), (20.0, "#0a7")] {
        let x = position(factor);
        let _infallible = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{ROW}\" y2=\"{height}\" stroke=\"{colour}\" stroke-dasharray=\"3 3\"/>\
             <text x=\"{x:.1}\" y=\"18\" text-anchor=\"middle\" fill=\"{colour}\">{factor:.0}×</text>"
        );
    }
    for (index, bar) in bars.iter().enumerate() {
        let y = (index + 1) * ROW + 4;
        let (one, end) = (position(1.0), position(bar.factor));
        let (x, width) = (one.min(end), (end - one).abs());
        let colour = if bar.factor < 1.0 { "#c43" } else { "#37b" };
        let middle = y + 14;
        let _infallible = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{middle}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{middle}\">{:.1}×</text>",
            LEFT - 10.0,
            escape(&bar.label),
            one.max(end) + 6.0,
            bar.factor,
        );
    }
    text.push_str("</svg>\n");
    text
}

/// Returns where a factor lies on the axis.
fn position(factor: f64) -> f64 {
    let part = (factor.clamp(FIRST, LAST) / FIRST).ln() / (LAST / FIRST).ln();
    LEFT + part * WIDTH
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_go_right_from_one_and_never_leave_the_picture() {
        assert!((position(FIRST) - LEFT).abs() < 1e-9);
        assert!((position(5000.0) - LEFT - WIDTH).abs() < 1e-9);
        assert!(position(20.0) > position(1.0));
    }

    #[test]
    fn labels_are_escaped() {
        let bar = Bar {
            label: "a < b & c".to_owned(),
            factor: 17.3,
        };
        let text = chart(&[bar]);
        assert!(text.contains("a &lt; b &amp; c") && text.contains("17.3×"), "{text}");
    }
}
