// SPDX-License-Identifier: MIT
//! What is known of the vertices of a build, made of its messages. Pure.

use std::collections::{HashMap, VecDeque};

use hyperbox_types::build::{PartState, VertexState};

/// So many of the last lines of each vertex are kept.
const KEPT_LINES: usize = 40;

/// A vertex as it is shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) state: VertexState,
    /// Its number, in the order in which vertices began; zero before that.
    pub(super) number: usize,
    pub(super) parts: Vec<PartState>,
    /// The last complete lines that it wrote.
    pub(super) lines: VecDeque<String>,
    partial: Vec<u8>,
}

impl Shown {
    /// Takes output in; returns the lines that are complete now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let mut complete = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            complete.push(visible(&line));
        }
        self.keep(&complete);
        complete
    }

    /// Takes what is left as a line.
    pub(super) fn rest(&mut self) -> Option<String> {
        let line = Some(std::mem::take(&mut self.partial)).filter(|line| !line.is_empty())?;
        let line = visible(&line);
        self.keep(std::slice::from_ref(&line));
        Some(line)
    }

    fn keep(&mut self, lines: &[String]) {
        self.lines.extend(lines.iter().cloned());
        let excess = self.lines.len().saturating_sub(KEPT_LINES);
        self.lines.drain(..excess);
    }

    /// Returns how long it took, or takes, in seconds.
    pub(super) fn seconds(&self, now: i64) -> f64 {
        let began = self.state.started.unwrap_or(now);
        let ended = self.state.completed.unwrap_or(now);
        #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
        let seconds = ended.saturating_sub(began).max(0) as f64 / 1e9;
        seconds
    }
}

/// A line without its end, as it looks after the last carriage return.
fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    text.rsplit('\r').next().unwrap_or_default().to_owned()
}

/// All vertices, in the order in which they were told.
#[derive(Debug, Default)]
pub(super) struct Vertices {
    pub(super) list: Vec<Shown>,
    index: HashMap<String, usize>,
    begun: usize,
}

impl Vertices {
    /// Takes a vertex in; returns its place and what was known before.
    pub(super) fn update(&mut self, state: &VertexState) -> (usize, VertexState) {
        let place = self.place(&state.digest);
        let shown = &mut self.list[place];
        let before = std::mem::replace(&mut shown.state, state.clone());
        let begins = shown.number == 0 && (state.started.is_some() || state.cached || state.completed.is_some());
        if begins {
            self.begun += 1;
            shown.number = self.begun;
        }
        (place, before)
    }

    /// Takes progress in; returns the vertex's place and whether the part has just ended.
    pub(super) fn advance(&mut self, part: &PartState) -> (usize, bool) {
        let place = self.place(&part.vertex);
        let parts = &mut self.list[place].parts;
        match parts.iter_mut().find(|known| known.id == part.id) {
            Some(known) => {
                let ends = known.completed.is_none() && part.completed.is_some();
                *known = part.clone();
                (place, ends)
            }
            None => {
                parts.push(part.clone());
                (place, part.completed.is_some())
            }
        }
    }

    /// Returns the place of a vertex, new or not.
    pub(super) fn place(&mut self, digest: &str) -> usize {
        if let Some(place) = self.index.get(digest) {
            return *place;
        }
        self.list.push(Shown::default());
        self.index.insert(digest.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_becomes_lines() {
        let mut shown = Shown::default();
        assert_eq!(shown.write(b"one\ntw"), ["one"]);
        assert_eq!(shown.write(b"o\r\n10%\r50%\r100%\n"), ["two", "100%"]);
        assert_eq!(shown.write(b"rest"), Vec::<String>::new());
        assert_eq!(shown.rest().as_deref(), Some("rest"));
        assert_eq!(shown.rest(), None);
        assert_eq!(shown.lines.len(), 4);
    }

    #[test]
    fn numbers_are_given_in_the_order_of_beginning() {
        let mut vertices = Vertices::default();
        let state = |digest: &str, started| VertexState {
            digest: digest.to_owned(),
            started,
            ..VertexState::default()
        };
        vertices.update(&state("a", None));
        vertices.update(&state("b", Some(1)));
        vertices.update(&state("a", Some(2)));
        let numbers: Vec<_> = vertices.list.iter().map(|shown| shown.number).collect();
        assert_eq!(numbers, [2, 1]);
    }
}
