// SPDX-License-Identifier: MIT
//! What FROM lines see: variables that every file has, and the ARG instructions before the first FROM. Pure.
//!
//! Whoever asks which stages a target needs evaluates them here: all find the same ones.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use crate::word::{self, WordError};
use crate::{Dockerfile, Lines};

/// All defaults together come to no more bytes.
const MOST: usize = 16 << 20;

/// Variables of FROM lines.
#[derive(Debug, Clone)]
pub struct Globals {
    values: BTreeMap<String, String>,
    arguments: Vec<GlobalArgument>,
    escape: char,
}

/// An argument before the first FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalArgument {
    /// Its name.
    pub name: String,
    /// What it is; `None` when nobody says so.
    pub value: Option<String>,
    /// The variables that its default uses, where that counts.
    pub uses: Vec<String>,
    /// Whether its default uses what is no variable.
    pub uses_unknown: bool,
    /// The ARG instruction.
    pub lines: Lines,
}

/// A word with its variables replaced.
#[derive(Debug)]
pub struct Expanded {
    /// What it means.
    pub result: Result<String, WordError>,
    /// The variables that it uses, each once, in the order in which they are used.
    pub uses: Vec<String>,
    /// Whether it uses what is no variable.
    pub uses_unknown: bool,
}

/// A default that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct GlobalsError {
    /// The ARG instruction.
    pub lines: Lines,
    /// What is wrong with it.
    pub error: WordError,
}

impl Globals {
    /// Evaluates the arguments before the first FROM: what is `given` counts, else the default. `predefined` are the variables that every
    /// file has.
    ///
    /// # Errors
    /// Defaults that cannot be evaluated, and those that come to too much.
    pub fn new(
        file: &Dockerfile,
        given: &BTreeMap<String, String>,
        predefined: BTreeMap<String, String>,
    ) -> Result<Self, GlobalsError> {
        let mut globals = Self {
            values: predefined,
            arguments: Vec::new(),
            escape: file.directives.escape,
        };
        let mut length = 0;
        for one in &file.arguments {
            let (name, lines) = (&one.value.name, one.lines);
            let mut argument = GlobalArgument {
                name: name.clone(),
                value: given.get(name).cloned(),
                uses: Vec::new(),
                uses_unknown: false,
                lines,
            };
            if let (None, Some(default)) = (&argument.value, &one.value.default) {
                let default_value = globals.expand(default);
                (argument.uses, argument.uses_unknown) = (default_value.uses, default_value.uses_unknown);
                let value = default_value.result.map_err(|error| GlobalsError { lines, error })?;
                length += value.len();
                if length > MOST {
                    let error = word::too_much(default, MOST);
                    return Err(GlobalsError { lines, error });
                }
                argument.value = Some(value);
            }
            let value = argument.value.clone();
            globals.values.extend(value.map(|value| (name.clone(), value)));
            globals.arguments.push(argument);
        }
        Ok(globals)
    }

    /// Returns the value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns the arguments, in the order of the file.
    pub fn arguments(&self) -> &[GlobalArgument] {
        &self.arguments
    }

    /// Replaces the variables of a word.
    pub fn expand(&self, text: &str) -> Expanded {
        let asked: RefCell<(Vec<String>, HashSet<String>, bool)> = RefCell::default();
        let result = word::expand(text, self.escape, &|name| {
            let (uses, seen, unknown) = &mut *asked.borrow_mut();
            let Some(value) = self.values.get(name) else {
                *unknown = true;
                return None;
            };
            if seen.insert(name.to_owned()) {
                uses.push(name.to_owned());
            }
            Some(value.clone())
        });
        let (uses, _, uses_unknown) = asked.into_inner();
        Expanded {
            result,
            uses,
            uses_unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(text: &str, given: &[(&str, &str)]) -> Result<Globals, GlobalsError> {
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let file = Dockerfile::parse(text).expect("a Dockerfile");
        Globals::new(&file, &map(given), map(&[("TARGETARCH", "arm64")]))
    }

    #[test]
    fn what_is_given_counts_before_defaults() {
        let text = "ARG V=3\nARG B=base$V-$TARGETARCH\nARG N\nARG U=$NONE$V$V\nFROM $B\n";
        for (given, base) in [
            (&[][..], "base3-arm64"),
            (&[("V", "4")], "base4-arm64"),
            (&[("B", "x"), ("OTHER", "y")], "x"),
        ] {
            let globals = globals(text, given).expect("globals");
            assert_eq!(globals.expand("$B$OTHER").result.as_deref(), Ok(base), "{given:?}");
            assert_eq!((globals.get("B"), globals.get("N")), (Some(base), None));
        }
        let globals = globals(text, &[]).expect("globals");
        let uses = |argument: &GlobalArgument| (argument.uses.join(" "), argument.uses_unknown, argument.lines.first);
        let told: Vec<_> = globals.arguments().iter().map(uses).collect();
        let expected = [
            (String::new(), false, 1),
            ("V TARGETARCH".to_owned(), false, 2),
            (String::new(), false, 3),
            ("V".to_owned(), true, 4),
        ];
        assert_eq!(told, expected);
        assert!(globals.expand("$N").uses_unknown);
    }

    #[test]
    fn mistakes_say_where_they_are() {
        let error = globals("ARG A=1\nARG B=${A\nFROM x\n", &[]).expect_err("a mistake");
        assert_eq!(error.lines, Lines::one(2));
        // Each is short enough by itself.
        let mut text = format!("ARG A={}\n", "x".repeat(1 << 20));
        (0..2).for_each(|number| text.push_str(&format!("ARG A{number}={}\n", "$A".repeat(9))));
        text.push_str("FROM x\n");
        let error = globals(&text, &[]).expect_err("a mistake");
        assert_eq!(error.lines, Lines::one(3));
        assert!(
            error.to_string().ends_with(": values are longer than 16 MiB in all"),
            "{error}"
        );
    }
}
