// SPDX-License-Identifier: MIT
//! Output of several containers, each line with its container in front. Pure but for the writer.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// Colours of names, in the order in which Compose gives them.
const CODES: [&str; 12] = [
    "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1", "31;1", "37;1",
];

/// Whether names have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// On a terminal.
    Shown,
    /// Elsewhere, and where nobody wants them.
    Plain,
}

/// Puts names in front of lines. Pieces that end no line wait for their end; a container's output and errors are kept apart.
#[derive(Debug)]
pub(crate) struct LinePrinter {
    colours: Colours,
    /// Whether names are shown at all.
    named: bool,
    /// How wide names are.
    width: usize,
    /// The number of each container, by name, for its colour.
    known: BTreeMap<String, usize>,
    partial: BTreeMap<(String, bool), Vec<u8>>,
}

impl LinePrinter {
    pub(crate) fn new(colours: Colours, named: bool) -> Self {
        Self {
            colours,
            named,
            width: 0,
            known: BTreeMap::new(),
            partial: BTreeMap::new(),
        }
    }

    /// Makes room for a name, and gives it a colour.
    pub(crate) fn announce(&mut self, name: &str) {
        self.width = self.width.max(name.chars().count());
        let number = self.known.len();
        self.known.entry(name.to_owned()).or_insert(number);
    }

    /// Takes output in and writes the lines that are complete.
    pub(crate) fn output(&mut self, name: &str, is_error: bool, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.announce(name);
        let mut rest = self.partial.remove(&(name.to_owned(), is_error)).unwrap_or_default();
        rest.extend_from_slice(bytes);
        let complete = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let left = rest.split_off(complete);
        let prefix = self.prefix(name);
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            out.write_all(prefix.as_bytes())?;
            out.write_all(line)?;
        }
        if !left.is_empty() {
            self.partial.insert((name.to_owned(), is_error), left);
        }
        Ok(())
    }

    /// A container's output is over: what is left of it is a line.
    pub(crate) fn end(&mut self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        for is_error in [false, true] {
            if let Some(mut left) = self.partial.remove(&(name.to_owned(), is_error)) {
                left.push(b'\n');
                out.write_all(self.prefix(name).as_bytes())?;
                out.write_all(&left)?;
            }
        }
        Ok(())
    }

    /// Writes a line about a container.
    pub(crate) fn remark(&mut self, name: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
        self.end(name, out)?;
        match self.colour(name) {
            Some(code) => writeln!(out, "\x1b[{code}m{name} {text}\x1b[0m"),
            None => writeln!(out, "{name} {text}"),
        }
    }

    fn colour(&self, name: &str) -> Option<&'static str> {
        let number = self.known.get(name)?;
        (self.colours == Colours::Shown).then(|| CODES[number % CODES.len()])
    }

    fn prefix(&self, name: &str) -> String {
        if !self.named {
            return String::new();
        }
        let padding = " ".repeat(self.width.saturating_sub(name.chars().count()));
        match self.colour(name) {
            Some(code) => format!("\x1b[{code}m{name}{padding}  | \x1b[0m"),
            None => format!("{name}{padding}  | "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_container_in_front() {
        let mut printer = LinePrinter::new(Colours::Plain, true);
        let mut out = Vec::new();
        printer.announce("db-1");
        printer.announce("worker-1");
        printer.output("db-1", false, b"one\ntw", &mut out).unwrap();
        printer.output("db-1", true, b"error\n", &mut out).unwrap();
        printer.output("worker-1", false, b"x\n\ny\n", &mut out).unwrap();
        printer.output("db-1", false, b"o\n", &mut out).unwrap();
        printer.output("db-1", false, b"rest", &mut out).unwrap();
        printer.remark("db-1", "exited with code 3", &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "db-1      | one\ndb-1      | error\nworker-1  | x\nworker-1  | \nworker-1  | y\ndb-1      | two\ndb-1      | rest\n\
             db-1 exited with code 3\n"
        );
    }

    #[test]
    fn colours_and_no_names() {
        let mut printer = LinePrinter::new(Colours::Shown, true);
        let mut out = Vec::new();
        printer.output("a", false, b"1\n", &mut out).unwrap();
        printer.output("b", false, b"2\n", &mut out).unwrap();
        assert_eq!(out, b"\x1b[36ma  | \x1b[0m1\n\x1b[33mb  | \x1b[0m2\n");
        let mut printer = LinePrinter::new(Colours::Plain, false);
        let mut out = Vec::new();
        printer.output("a", false, b"1\n", &mut out).unwrap();
        assert_eq!(out, b"1\n");
    }
}
