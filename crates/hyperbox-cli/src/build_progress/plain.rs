// SPDX-License-Identifier: MIT
//! A build as lines: `#3 [2/4] RUN make`, its output with the time since its beginning, `#3 DONE 1.2s`.

use std::io::{self, Write};

use hyperbox_client::decode_data;
use hyperbox_types::build::{BuildMessage, PartState, VertexState};

use super::View;
use super::state::Vertices;
use crate::format::decimal_size;

/// Writes a build as lines.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    vertices: Vertices,
    /// The vertex that was written about last.
    last: Option<usize>,
}

impl Plain {
    fn vertex(&mut self, state: &VertexState, out: &mut dyn Write) -> io::Result<()> {
        let (place, before) = self.vertices.update(state);
        let begins = before.started.is_none() && !before.cached && before.completed.is_none();
        if begins && self.vertices.list[place].number != 0 {
            self.turn_to(place, out)?;
        }
        if before.completed.is_none() && state.completed.is_some() {
            self.ended(place, out)?;
        }
        Ok(())
    }

    fn ended(&mut self, place: usize, out: &mut dyn Write) -> io::Result<()> {
        if let Some(line) = self.vertices.list[place].rest() {
            self.line(place, state_time(&self.vertices, place), &line, out)?;
        }
        self.turn_to(place, out)?;
        let shown = &self.vertices.list[place];
        let number = shown.number;
        match &shown.state.error {
            Some(error) => writeln!(out, "#{number} ERROR: {error}"),
            None if shown.state.cached => writeln!(out, "#{number} CACHED"),
            None => writeln!(out, "#{number} DONE {:.1}s", shown.seconds(0)),
        }
    }

    fn part(&mut self, part: &PartState, out: &mut dyn Write) -> io::Result<()> {
        let (place, ends) = self.vertices.advance(part);
        if !ends || self.vertices.list[place].number == 0 {
            return Ok(());
        }
        self.turn_to(place, out)?;
        let number = self.vertices.list[place].number;
        let name = if part.name.is_empty() { &part.id } else { &part.name };
        writeln!(out, "#{number} {name}{} done", amount(part))
    }

    fn log(&mut self, vertex: &str, bytes: &[u8], at: i64, out: &mut dyn Write) -> io::Result<()> {
        let place = self.vertices.place(vertex);
        let shown = &mut self.vertices.list[place];
        let began = shown.state.started.unwrap_or(at);
        let lines = shown.write(bytes);
        for line in lines {
            self.line(place, at.saturating_sub(began), &line, out)?;
        }
        Ok(())
    }

    fn line(&mut self, place: usize, since: i64, line: &str, out: &mut dyn Write) -> io::Result<()> {
        self.turn_to(place, out)?;
        let number = self.vertices.list[place].number;
        #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        let seconds = since.max(0) as f64 / 1e9;
        writeln!(out, "#{number} {seconds:.3} {line}")
    }

    /// Begins a new paragraph when the lines before were another vertex's.
    fn turn_to(&mut self, place: usize, out: &mut dyn Write) -> io::Result<()> {
        if self.last == Some(place) {
            return Ok(());
        }
        let gap = if self.last.is_some() { "\n" } else { "" };
        self.last = Some(place);
        let shown = &self.vertices.list[place];
        writeln!(out, "{gap}#{} {}", shown.number, shown.state.name)
    }
}

/// Returns how long after its beginning a vertex ended.
fn state_time(vertices: &Vertices, place: usize) -> i64 {
    let state = &vertices.list[place].state;
    match (state.started, state.completed) {
        (Some(began), Some(ended)) => ended.saturating_sub(began),
        _ => 0,
    }
}

/// Returns ` 12MB / 30MB`, or nothing.
pub(super) fn amount(part: &PartState) -> String {
    let size = |bytes: u64| decimal_size(i64::try_from(bytes).unwrap_or(i64::MAX));
    match (part.current, part.total) {
        (0, 0) => String::new(),
        (current, 0) => format!(" {}", size(current)),
        (current, total) if current == total => format!(" {}", size(total)),
        (current, total) => format!(" {} / {}", size(current), size(total)),
    }
}

impl View for Plain {
    fn message(&mut self, message: &BuildMessage, out: &mut dyn Write) -> io::Result<()> {
        match message {
            BuildMessage::Vertex(state) => self.vertex(state, out)?,
            BuildMessage::Progress(part) => self.part(part, out)?,
            BuildMessage::Log { vertex, data, at, .. } => self.log(vertex, &decode_data(data), *at, out)?,
            BuildMessage::Warning { short, excerpt, .. } => writeln!(out, "\nWARNING: {short}\n{excerpt}")?,
            _ => return Ok(()),
        }
        out.flush()
    }

    fn tick(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_client::encode_data;

    use super::*;

    fn vertex(digest: &str, name: &str, started: Option<i64>, completed: Option<i64>) -> VertexState {
        VertexState {
            digest: digest.to_owned(),
            name: name.to_owned(),
            started,
            completed,
            ..VertexState::default()
        }
    }

    #[test]
    fn a_build_as_lines() {
        const SECOND: i64 = 1_000_000_000;
        let log = |vertex: &str, text: &str, at: i64| BuildMessage::Log {
            vertex: vertex.to_owned(),
            stderr: false,
            data: encode_data(text.as_bytes()),
            at,
        };
        let cached = VertexState {
            cached: true,
            ..vertex("c", "[2/3] COPY a b", Some(SECOND), Some(SECOND))
        };
        let failed = VertexState {
            error: Some("exit code: 1".to_owned()),
            ..vertex("b", "[3/3] RUN false", Some(SECOND), Some(3 * SECOND))
        };
        let mut view = Plain::default();
        let mut out = Vec::new();
        for message in [
            BuildMessage::Vertex(vertex("a", "[1/3] FROM base", Some(0), None)),
            BuildMessage::Vertex(vertex("a", "[1/3] FROM base", Some(0), Some(SECOND / 2))),
            BuildMessage::Vertex(cached),
            BuildMessage::Vertex(vertex("b", "[3/3] RUN false", Some(SECOND), None)),
            log("b", "one\ntw", SECOND + SECOND / 4),
            log("b", "o", SECOND * 2),
            BuildMessage::Vertex(failed),
        ] {
            view.message(&message, &mut out).unwrap();
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "#1 [1/3] FROM base\n#1 DONE 0.5s\n\n#2 [2/3] COPY a b\n#2 CACHED\n\n#3 [3/3] RUN false\n#3 0.250 one\n#3 2.000 two\n\
             #3 ERROR: exit code: 1\n"
        );
    }
}
