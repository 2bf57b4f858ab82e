// SPDX-License-Identifier: MIT
//! Which key of a file a place belongs to, and the parser's complaints in the words of those who write such files. Pure.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What the parser calls the kinds of values, and what people do.
const KINDS: [(&str, &str); 6] = [
    ("expected f64", "expected a number"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected u64", "expected a whole number"),
    ("expected a sequence", "expected a list"),
    ("expected struct ", "expected a table: "),
    (
        "data did not match any variant of untagged enum NumberOrText",
        "must be a number or a string",
    ),
];

/// Returns the innermost key at an offset, such as `limits.io.read`; empty when there is none, or the text is no TOML.
pub(super) fn key_at(text: &str, offset: usize) -> String {
    let document = DeTable::parse(text).ok();
    let found = document.and_then(|table| in_table(table.get_ref(), offset));
    found.unwrap_or_default()
}

fn in_table(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        if let Some(inner) = in_value(value, offset) {
            return Some(format!("{name}.{inner}"));
        }
        let here = key.span().contains(&offset) || value.span().contains(&offset);
        here.then(|| name.to_string())
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, offset: usize) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, offset),
        DeValue::Array(items) => items.iter().find_map(|item| in_value(item, offset)),
        _ => None,
    }
}

/// Gives a complaint its words.
pub(super) fn in_words(message: &str) -> String {
    let line = message.trim_end().replace('\n', ", ");
    KINDS.iter().fold(line, |text, (kind, words)| text.replace(kind, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_places() {
        let text =
            "name = 5\n[limits]\ncpus = 1\nio = { read = \"x\", zz = 1 }\n[[watch]]\npath = \"a\"\naction = \"b\"\n";
        for (part, expected) in [
            ("5", "name"),
            ("name", "name"),
            ("1\n", "limits.cpus"),
            ("\"x\"", "limits.io.read"),
            ("zz", "limits.io.zz"),
            ("\"b\"", "watch.action"),
        ] {
            assert_eq!(key_at(text, text.find(part).unwrap()), expected, "{part}");
        }
        assert_eq!(key_at("name = ", 3), "");
        assert_eq!(key_at("", 0), "");
    }

    #[test]
    fn words() {
        assert_eq!(
            in_words("invalid type: string \"two\", expected f64\n"),
            "invalid type: string \"two\", expected a number"
        );
    }
}
