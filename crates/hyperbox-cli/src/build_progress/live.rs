// SPDX-License-Identifier: MIT
//! A build on a terminal: what is over scrolls away as one line per vertex, what runs stays at the bottom with its time, its progress
//! and its last lines, and changes in place.

use std::io::{self, Write};
use std::time::SystemTime;

use hyperbox_client::decode_data;
use hyperbox_types::build::BuildMessage;
use unicode_width::UnicodeWidthChar;

use super::View;
use super::plain::amount;
use super::state::{Shown, Vertices};
use crate::terminal;

/// So many of the last lines of a vertex that runs are shown.
const LINES: usize = 6;
/// How the terminal is when it does not tell.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Shows a build on a terminal.
#[derive(Debug, Default)]
pub(crate) struct Live {
    vertices: Vertices,
    /// Vertices that have scrolled away.
    over: Vec<bool>,
    /// What is to scroll away next.
    notes: Vec<String>,
    /// How many lines at the bottom change in place.
    drawn: usize,
}

impl Live {
    fn draw(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let size = terminal::size();
        let rows = size.map_or(ROWS, |size| size.rows).max(4);
        let columns = usize::from(size.map_or(COLUMNS, |size| size.columns).max(20));
        let now = now();
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A\r\x1b[J", self.drawn));
        }
        for note in self.notes.drain(..) {
            text.push_str(&note);
            text.push('\n');
        }
        self.over.resize(self.vertices.list.len(), false);
        for (shown, over) in self.vertices.list.iter().zip(&mut self.over) {
            if !*over && shown.state.completed.is_some() {
                *over = true;
                text.push_str(&fitting(&headline(shown, now), columns));
                text.push('\n');
            }
        }
        let running: Vec<&Shown> = self
            .vertices
            .list
            .iter()
            .filter(|shown| shown.number != 0 && shown.state.completed.is_none())
            .collect();
        let lines = below(&running, usize::from(rows) - 1, now);
        self.drawn = lines.len();
        for line in lines {
            text.push_str(&fitting(&line, columns));
            text.push('\n');
        }
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Returns the lines of what runs, as many as there is room for.
fn below(running: &[&Shown], room: usize, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    let each = room.checked_div(running.len()).unwrap_or(0).saturating_sub(1);
    for shown in running.iter().take(room) {
        lines.push(headline(shown, now));
        let parts = shown.parts.iter().filter(|part| part.completed.is_none());
        let mut more: Vec<String> = parts
            .map(|part| {
                let name = if part.name.is_empty() { &part.id } else { &part.name };
                format!("  => {name}{}", amount(part))
            })
            .collect();
        let skipped = shown.lines.len().saturating_sub(LINES);
        more.extend(shown.lines.iter().skip(skipped).map(|line| format!("  | {line}")));
        let excess = more.len().saturating_sub(each);
        lines.extend(more.into_iter().skip(excess));
    }
    lines.truncate(room);
    lines
}

fn headline(shown: &Shown, now: i64) -> String {
    let name = &shown.state.name;
    match &shown.state.error {
        Some(_) => format!("=> ERROR {name}  {:.1}s", shown.seconds(now)),
        None if shown.state.cached => format!("=> CACHED {name}"),
        None => format!("=> {name}  {:.1}s", shown.seconds(now)),
    }
}

/// Returns as much of a line as fits, without control characters.
pub(crate) fn fitting(line: &str, columns: usize) -> String {
    let mut width = 0;
    let clean = line.replace('\t', "    ");
    let visible = without_escapes(&clean);
    visible
        .chars()
        .filter(|character| !character.is_control())
        .take_while(|character| {
            width += character.width().unwrap_or(0);
            width < columns
        })
        .collect()
}

/// Takes escape sequences (ECMA-48, 5.4) away: they would move what changes in place.
fn without_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\x1b' {
            kept.push(character);
        } else if characters.next() == Some('[') {
            // Parameters, then one letter.
            characters.by_ref().find(|end| ('\x40'..='\x7e').contains(end));
        }
    }
    kept
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

impl View for Live {
    fn message(&mut self, message: &BuildMessage, _out: &mut dyn Write) -> io::Result<()> {
        match message {
            BuildMessage::Vertex(state) => drop(self.vertices.update(state)),
            BuildMessage::Progress(part) => drop(self.vertices.advance(part)),
            BuildMessage::Log { vertex, data, .. } => {
                let place = self.vertices.place(vertex);
                drop(self.vertices.list[place].write(&decode_data(data)));
            }
            BuildMessage::Warning { short, .. } => self.notes.push(format!("WARNING: {short}")),
            _ => {}
        }
        Ok(())
    }

    fn tick(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.draw(out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.draw(out)
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::build::VertexState;

    use super::*;

    #[test]
    fn lines_fit_and_move_nothing() {
        assert_eq!(fitting("a\x1b[31mred\x1b[0m\tb\x07", 40), "ared    b");
        assert_eq!(fitting("日本語", 5), "日本");
        assert_eq!(fitting("abcdef", 4), "abc");
    }

    #[test]
    fn what_runs_has_room_for_its_last_lines() {
        let mut vertices = Vertices::default();
        for (digest, text) in [("a", "1\n2\n3\n4\n5\n6\n7\n8\n"), ("b", "x\n")] {
            let (place, _) = vertices.update(&VertexState {
                digest: digest.to_owned(),
                name: digest.to_owned(),
                started: Some(0),
                ..VertexState::default()
            });
            vertices.list[place].write(text.as_bytes());
        }
        let running: Vec<&Shown> = vertices.list.iter().collect();
        let lines = below(&running, 6, 1_500_000_000);
        assert_eq!(lines, ["=> a  1.5s", "  | 7", "  | 8", "=> b  1.5s", "  | x"]);
        assert_eq!(below(&running, 1, 0).len(), 1);
    }
}
