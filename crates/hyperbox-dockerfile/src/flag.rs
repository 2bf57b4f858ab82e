// SPDX-License-Identifier: MIT
//! Flags between an instruction's keyword and its arguments: `--name`, `--name=value`.

use std::collections::BTreeMap;

/// The flags of one instruction that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Flags {
    values: BTreeMap<String, Vec<Option<String>>>,
    known: Vec<&'static str>,
}

/// Takes the flags from the beginning of `text`; returns them and the rest.
pub(crate) fn split(text: &str, escape: char) -> (Flags, &str) {
    let mut values: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, behind) = first_word(rest, escape);
        rest = behind.trim_start();
        // Ends the flags.
        if word == "--" {
            break;
        }
        let (name, value) = match word[2..].split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&word[2..], None),
        };
        values.entry(name.to_owned()).or_default().push(value);
    }
    let known = Vec::new();
    (Flags { values, known }, rest)
}

/// Returns the first word without its quotes and escapes, and what is behind it.
fn first_word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match quote {
            Some(open) if character == open => quote = None,
            _ if character == escape => word.extend(characters.next().map(|(_, next)| next)),
            Some(_) => word.push(character),
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character.is_whitespace() => return (word, &text[index..]),
            None => word.push(character),
        }
    }
    (word, "")
}

impl Flags {
    /// Takes a flag that is given once at most and has a value.
    pub(crate) fn value(&mut self, name: &'static str) -> Result<Option<String>, String> {
        let mut values = self.values(name)?;
        if values.len() > 1 {
            return Err(format!("duplicate flag specified: --{name}"));
        }
        Ok(values.pop())
    }

    /// Takes a flag that may be given several times, each with a value.
    pub(crate) fn values(&mut self, name: &'static str) -> Result<Vec<String>, String> {
        self.known.push(name);
        let values = self.values.remove(name).unwrap_or_default();
        let values = values
            .into_iter()
            .map(|value| value.ok_or_else(|| format!("missing a value on flag: --{name}")));
        values.collect()
    }

    /// Takes a flag that is on or off; `None` when it is not given.
    pub(crate) fn switch(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        self.known.push(name);
        match self.values.remove(name).unwrap_or_default().as_slice() {
            [] => Ok(None),
            [None] => Ok(Some(true)),
            [Some(value)] => match value.to_ascii_lowercase().as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(format!("expecting boolean value for flag --{name}, not: {value}")),
            },
            _ => Err(format!("duplicate flag specified: --{name}")),
        }
    }

    /// Refuses what nobody has asked for.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(name) => Err(with_suggestion(format!("unknown flag: --{name}"), name, &self.known)),
        }
    }
}

/// Adds what may have been meant: the name that is nearest, if fewer than three letters differ.
pub(crate) fn with_suggestion(message: String, wrong: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|name| distance(wrong, name));
    match nearest.filter(|name| distance(wrong, name) < 3) {
        Some(name) => format!("{message} (did you mean {name}?)"),
        None => message,
    }
}

/// Counts the letters to add, remove or change (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, candidate) in other.iter().enumerate() {
            let changed = diagonal + usize::from(character != *candidate);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_first_and_end_at_the_first_argument() {
        let (mut flags, rest) = split("--from=a --link --exclude='x y' --exclude=\"z\" a --b", '\\');
        assert_eq!(rest, "a --b");
        assert_eq!(flags.value("from"), Ok(Some("a".to_owned())));
        assert_eq!(flags.switch("link"), Ok(Some(true)));
        assert_eq!(flags.values("exclude"), Ok(vec!["x y".to_owned(), "z".to_owned()]));
        assert_eq!(flags.finish(), Ok(()));
        assert_eq!(split("-- --a", '\\').1, "--a");
        assert_eq!(split("--", '\\').1, "");
    }

    #[test]
    fn mistakes_are_dockers() {
        let value = |text| split(text, '\\').0.value("from").unwrap_err();
        assert_eq!(value("--from a"), "missing a value on flag: --from");
        assert_eq!(value("--from=a --from=b c"), "duplicate flag specified: --from");
        let switch = |text| split(text, '\\').0.switch("link").unwrap_err();
        assert_eq!(
            switch("--link=maybe a"),
            "expecting boolean value for flag --link, not: maybe"
        );
        let (mut flags, _) = split("--form=x a b", '\\');
        assert_eq!(flags.value("from"), Ok(None));
        assert_eq!(
            flags.finish(),
            Err("unknown flag: --form (did you mean from?)".to_owned())
        );
        let (flags, _) = split("--something=x a b", '\\');
        assert_eq!(flags.finish(), Err("unknown flag: --something".to_owned()));
    }

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("foo", "from", 2),
            ("kitten", "sitting", 3),
            ("a", "a", 0),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
