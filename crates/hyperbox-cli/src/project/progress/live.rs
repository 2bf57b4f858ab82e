// SPDX-License-Identifier: MIT
//! A run on a terminal: what is done scrolls away as a line, what goes on stays at the bottom with its time and changes in place.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use hyperbox_types::project::{OperationPhase, ProjectEvent};

use super::line_of;
use crate::build_progress::fitting;
use crate::format::decimal_size;
use crate::terminal;

/// How the terminal is when it does not tell.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Shows a run.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// What goes on, by its number in the plan.
    running: BTreeMap<usize, Step>,
    /// What is being pulled, by image and layer.
    pulls: BTreeMap<String, BTreeMap<String, (u64, u64)>>,
    /// What is to scroll away next.
    over: Vec<String>,
    /// How many lines at the bottom change in place.
    drawn: usize,
}

#[derive(Debug)]
struct Step {
    text: String,
    detail: String,
    began: Instant,
}

impl Live {
    /// Takes an event in.
    pub(super) fn take(&mut self, event: &ProjectEvent) {
        match event {
            ProjectEvent::Operation {
                number,
                text,
                phase,
                detail,
                ..
            } => self.operation(*number, text, *phase, detail.as_deref(), event),
            ProjectEvent::Pull {
                image,
                layer: Some(layer),
                current,
                total,
                ..
            } => {
                let amounts = (current.unwrap_or_default(), total.unwrap_or_default());
                let layers = self.pulls.entry(image.clone()).or_default();
                // A layer that is there tells no amounts any more.
                let known = layers.entry(layer.clone()).or_default();
                *known = if amounts.1 > 0 { amounts } else { (known.1, known.1) };
            }
            ProjectEvent::Planned { .. } => self.pulls.clear(),
            other => self.over.extend(line_of(other)),
        }
    }

    fn operation(
        &mut self,
        number: usize,
        text: &str,
        phase: OperationPhase,
        detail: Option<&str>,
        event: &ProjectEvent,
    ) {
        match phase {
            OperationPhase::Started | OperationPhase::Progress => {
                let step = self.running.entry(number).or_insert_with(|| Step {
                    text: text.to_owned(),
                    detail: String::new(),
                    began: Instant::now(),
                });
                step.detail = detail.unwrap_or_default().to_owned();
            }
            OperationPhase::Done => {
                let time = self
                    .running
                    .remove(&number)
                    .map(|step| step.began.elapsed().as_secs_f64());
                self.over.push(format!("=> {text}  {:.1}s", time.unwrap_or_default()));
            }
            OperationPhase::Failed => {
                self.running.remove(&number);
                self.over.extend(line_of(event).map(|line| format!("=> {line}")));
            }
            OperationPhase::Skipped => drop(self.running.remove(&number)),
        }
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, out: &mut dyn Write) -> io::Result<()> {
        // A terminal that does not know its size says zero.
        let size = terminal::size().filter(|size| size.rows > 0 && size.columns > 0);
        let rows = usize::from(size.map_or(ROWS, |size| size.rows).max(4)) - 1;
        let columns = usize::from(size.map_or(COLUMNS, |size| size.columns).max(20));
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for line in self.over.drain(..) {
            text.push_str(&fitting(&line, columns));
            text.push('\n');
        }
        let below = self.below(rows);
        self.drawn = below.len();
        for line in below {
            text.push_str(&fitting(&line, columns));
            text.push('\n');
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// The lines of what goes on, as many as there is room for.
    fn below(&self, rows: usize) -> Vec<String> {
        let pulls = self.pulls.iter().map(|(image, layers)| {
            let sum = |part: fn(&(u64, u64)) -> u64| layers.values().map(part).sum::<u64>();
            let size = |bytes: u64| decimal_size(i64::try_from(bytes).unwrap_or(i64::MAX));
            format!(
                "   pull {image}  {} / {}",
                size(sum(|amount| amount.0)),
                size(sum(|amount| amount.1))
            )
        });
        let steps = self.running.values().map(|step| {
            let detail = if step.detail.is_empty() {
                String::new()
            } else {
                format!("  {}", step.detail)
            };
            format!("   {}  {:.1}s{detail}", step.text, step.began.elapsed().as_secs_f64())
        });
        let mut lines: Vec<String> = pulls.chain(steps).collect();
        if lines.len() > rows {
            let hidden = lines.len() - rows + 1;
            lines.truncate(rows - 1);
            lines.push(format!("   … and {hidden} more"));
        }
        lines
    }

    /// Draws for the last time.
    pub(super) fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.running.clear();
        self.pulls.clear();
        self.draw(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(number: usize, phase: OperationPhase) -> ProjectEvent {
        ProjectEvent::Operation {
            number,
            text: format!("start c{number}"),
            cause: "missing".to_owned(),
            phase,
            detail: None,
            error: Some("broken".to_owned()),
        }
    }

    #[test]
    fn what_goes_on_is_below_what_is_done() {
        let mut view = Live::default();
        for number in 1..=5 {
            view.take(&operation(number, OperationPhase::Started));
        }
        view.take(&operation(1, OperationPhase::Done));
        view.take(&operation(2, OperationPhase::Failed));
        view.take(&operation(3, OperationPhase::Skipped));
        assert_eq!(view.over[1], "=> start c2: failed: broken");
        assert!(view.over[0].starts_with("=> start c1  0."), "{:?}", view.over);
        let below = view.below(10);
        assert_eq!(below.len(), 2);
        assert!(below[0].starts_with("   start c4  0."), "{below:?}");
        for number in 10..20 {
            view.take(&operation(number, OperationPhase::Started));
        }
        assert_eq!(view.below(4).last().map(String::as_str), Some("   … and 9 more"));
        let mut out = Vec::new();
        view.end(&mut out).unwrap();
        assert_eq!(view.drawn, 0);
    }
}
