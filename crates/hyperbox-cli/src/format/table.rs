// SPDX-License-Identifier: MIT
//! Lists: Docker's tables and `--format`.

use std::io::Write;

use unicode_width::UnicodeWidthStr;

use crate::context::Context;
use crate::error::CliError;
use crate::template::{Template, Value};

/// Between two columns.
const PADDING: usize = 3;
/// A column is at least that wide, padding included.
const MINIMUM: usize = 10;

/// How a list of one kind of object looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// The template of a row of the default table.
    pub(crate) row: &'static str,
    /// The template with `--quiet`.
    pub(crate) quiet: &'static str,
    /// Column titles by field.
    pub(crate) titles: &'static [(&'static str, &'static str)],
}

impl List {
    /// Renders the rows.
    pub(crate) fn render(&self, format: Option<&str>, quiet: bool, rows: &[Value]) -> Result<String, CliError> {
        let format = format.unwrap_or_default();
        let is_table = matches!(format, "" | "table");
        let (template, titled) = match format {
            _ if quiet && is_table => (self.quiet.to_owned(), false),
            "" | "table" => (self.row.to_owned(), true),
            "json" => ("{{json .}}".to_owned(), false),
            _ => match format.strip_prefix("table ") {
                Some(row) => (unescape(row), true),
                None => (unescape(format), false),
            },
        };
        let template = Template::parse(&template)?;
        let mut lines = Vec::with_capacity(rows.len() + 1);
        if titled {
            let titles = self.titles.iter().map(|(field, title)| (*field, Value::from(*title)));
            lines.push(template.render(&with_methods(titles))?);
        }
        for row in rows {
            lines.push(template.render(row)?);
        }
        if titled {
            Ok(align(&lines))
        } else {
            Ok(lines.iter().map(|line| format!("{line}\n")).collect())
        }
    }

    /// Writes the rows to standard output.
    pub(crate) fn print(
        &self,
        context: &Context,
        format: Option<&str>,
        quiet: bool,
        rows: &[Value],
    ) -> Result<(), CliError> {
        let text = self.render(format, quiet, rows)?;
        let mut output = context.output();
        output.write_all(text.as_bytes())?;
        Ok(output.flush()?)
    }
}

/// In a title row `.Label "x"` gives the label's name, as Docker's does.
fn with_methods(titles: impl Iterator<Item = (&'static str, Value)>) -> Value {
    let mut fields: Vec<(String, Value)> = titles.map(|(name, value)| (name.to_owned(), value)).collect();
    fields.push(("\0Label".to_owned(), Value::Map(Vec::new())));
    Value::Map(fields)
}

/// Docker's shells leave `\t` and `\n` in formats as they were typed.
fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// Aligns lines at their tabs.
pub(crate) fn align(lines: &[String]) -> String {
    align_to(lines, MINIMUM)
}

/// Aligns lines at their tabs, with the wide columns of `top`.
pub(crate) fn align_wide(lines: &[String]) -> String {
    align_to(lines, 2 * MINIMUM)
}

fn align_to(lines: &[String], minimum: usize) -> String {
    let rows: Vec<Vec<&str>> = lines
        .iter()
        .flat_map(|line| line.split('\n'))
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        // The last cell of a row ends no column.
        for (column, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
            if widths.len() <= column {
                widths.push(minimum);
            }
            widths[column] = widths[column].max(cell.width() + PADDING);
        }
    }
    let mut output = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            output.push_str(cell);
            if column + 1 < row.len() {
                output.extend(std::iter::repeat_n(' ', widths[column].saturating_sub(cell.width())));
            }
        }
        output.push('\n');
    }
    output
}

/// Shortens a text to `limit` characters, the last of which says so.
pub(crate) fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List = List {
        row: "{{.ID}}\t{{.Name}}\t{{.Size}}",
        quiet: "{{.ID}}",
        titles: &[("ID", "ID"), ("Name", "NAME"), ("Size", "SIZE")],
    };

    #[test]
    fn formats() {
        let row =
            |id: &str, name: &str| Value::map([("ID", id.into()), ("Name", name.into()), ("Size", Value::from("1B"))]);
        let rows = [row("1", "short"), row("2", "a much longer name")];
        for (format, quiet, expected) in [
            (
                None,
                false,
                "ID        NAME                 SIZE\n1         short                1B\n2         a much longer name   1B\n",
            ),
            (None, true, "1\n2\n"),
            (
                Some("table {{.Name}}\\t{{.ID}}"),
                false,
                "NAME                 ID\nshort                1\na much longer name   2\n",
            ),
            (Some("{{.ID}}:{{.Name}}"), true, "1:short\n2:a much longer name\n"),
            (
                Some("json"),
                false,
                "{\"ID\":\"1\",\"Name\":\"short\",\"Size\":\"1B\"}\n{\"ID\":\"2\",\"Name\":\"a much longer name\",\"Size\":\"1B\"}\n",
            ),
        ] {
            assert_eq!(LIST.render(format, quiet, &rows).unwrap(), expected, "{format:?}");
        }
        assert!(LIST.render(Some("{{.Foo}}"), false, &rows).is_err());
    }

    #[test]
    fn shortened_texts() {
        assert_eq!(ellipsis("abcdef", 6), "abcdef");
        assert_eq!(ellipsis("abcdefg", 6), "abcde…");
    }
}
