// SPDX-License-Identifier: MIT
//! Variables as checks see them: which there are, and which of a word's are none.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::flag::distance;
use crate::word::{self, WordError};

/// So many letters are compared for suggestions in one check, and no more: some files name more variables than anybody reads.
const EFFORT: usize = 10_000_000;

/// Variables in the order in which they were first named. Clones share what is the same in both: most stages add little.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    known: Rc<Known>,
    suggestions: Suggestions,
}

#[derive(Debug, Clone, Default)]
struct Known {
    values: Vec<(String, String)>,
    /// Where each is.
    places: HashMap<String, usize>,
    /// What is declared although it has no value.
    declared: Vec<String>,
    is_declared: HashSet<String>,
}

/// What was spent on suggestions; clones spend together.
#[derive(Debug, Clone, Default)]
pub(super) struct Suggestions {
    compared: Rc<Cell<usize>>,
}

/// A word that is evaluated.
#[derive(Debug)]
pub(super) struct Evaluated {
    /// What it means.
    pub(super) result: Result<String, WordError>,
    /// The variables that it uses.
    pub(super) matched: Vec<String>,
    /// Those of them that are not defined and not declared.
    pub(super) unmatched: Vec<String>,
}

impl Variables {
    /// Makes none, whose suggestions count with others'.
    pub(super) fn with(suggestions: &Suggestions) -> Self {
        Self {
            suggestions: suggestions.clone(),
            ..Self::default()
        }
    }

    /// Returns what was spent on suggestions.
    pub(super) fn suggestions(&self) -> &Suggestions {
        &self.suggestions
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let place = self.known.places.get(name)?;
        Some(self.known.values[*place].1.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let known = Rc::make_mut(&mut self.known);
        match known.places.get(name) {
            Some(place) => value.clone_into(&mut known.values[*place].1),
            None => {
                known.places.insert(name.to_owned(), known.values.len());
                known.values.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) fn declare(&mut self, name: &str) {
        if !self.known.is_declared.contains(name) {
            let known = Rc::make_mut(&mut self.known);
            known.is_declared.insert(name.to_owned());
            known.declared.push(name.to_owned());
        }
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        self.known.places.contains_key(name) || self.known.is_declared.contains(name)
    }

    /// Evaluates a word.
    pub(super) fn word(&self, text: &str, escape: char) -> Evaluated {
        self.look_up(|lookup| word::expand(text, escape, lookup))
    }

    /// Evaluates the text of a here-document.
    pub(super) fn heredoc(&self, text: &str) -> Evaluated {
        self.look_up(|lookup| word::expand_heredoc(text, '\\', lookup))
    }

    fn look_up(&self, expand: impl FnOnce(word::Lookup<'_>) -> Result<String, WordError>) -> Evaluated {
        let asked: RefCell<(Vec<String>, HashSet<String>)> = RefCell::default();
        let result = expand(&|name| {
            let (order, known) = &mut *asked.borrow_mut();
            if known.insert(name.to_owned()) {
                order.push(name.to_owned());
            }
            self.get(name).map(str::to_owned)
        });
        let (order, _) = asked.into_inner();
        let (matched, unmatched) = order.into_iter().partition(|name| self.is_known(name));
        Evaluated {
            result,
            matched,
            unmatched,
        }
    }

    /// Replaces variables; what cannot be evaluated is nothing.
    pub(super) fn expand(&self, text: &str, escape: char) -> String {
        self.word(text, escape).result.unwrap_or_default()
    }

    /// Returns what may have been meant: the variable with a value whose name is nearest, if fewer than three letters differ.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        self.suggestions.nearest(name, self.names())
    }

    /// As [`Self::nearest`], among those without a value too.
    pub(super) fn nearest_declared(&self, name: &str) -> Option<&str> {
        let declared = self.known.declared.iter().map(String::as_str);
        self.suggestions.nearest(name, self.names().chain(declared))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.known.values.iter().map(|(name, _)| name.as_str())
    }
}

impl Suggestions {
    /// Returns the nearest name, of equally near ones the first; none when too much was compared.
    fn nearest<'a>(&self, name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let length = name.chars().count();
        let mut best: Option<(usize, &str)> = None;
        for other in known {
            let others = other.chars().count();
            // As many letters differ at least as one is longer.
            if length.abs_diff(others) > 2 {
                continue;
            }
            let compared = self.compared.get().saturating_add(length.saturating_mul(others));
            if compared > EFFORT {
                return None;
            }
            self.compared.set(compared);
            let differ = distance(name, other);
            if differ < best.map_or(3, |(least, _)| least) {
                best = Some((differ, other));
            }
        }
        best.map(|(_, other)| other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_the_first_of_those_that_differ_least() {
        let mut variables = Variables::default();
        for name in ["VERSIONS", "VERSIOM", "VERSIO", "PATH"] {
            variables.set(name, "");
        }
        variables.declare("PORT");
        assert_eq!(variables.nearest("VERSION"), Some("VERSIONS"));
        assert_eq!(variables.nearest("PART"), Some("PATH"));
        assert_eq!(variables.nearest("FORT"), None);
        assert_eq!(variables.nearest_declared("FORT"), Some("PORT"));
        assert_eq!(variables.nearest("SOMETHING_ELSE"), None);
    }

    #[test]
    fn variables_keep_their_order_and_take_new_values() {
        let mut variables = Variables::default();
        variables.set("A", "1");
        variables.declare("B");
        variables.declare("B");
        variables.set("A", "2");
        assert_eq!(variables.get("A"), Some("2"));
        assert!(variables.is_known("B") && variables.get("B").is_none() && !variables.is_known("C"));
        let word = variables.word("$C${A}$C$B", '\\');
        assert_eq!(
            (word.matched, word.unmatched),
            (vec!["A".to_owned(), "B".to_owned()], vec!["C".to_owned()])
        );
    }

    #[test]
    fn suggestions_end_when_too_much_was_compared() {
        let suggestions = Suggestions::default();
        let mut one = Variables::with(&suggestions);
        one.set("NAMED", "");
        assert_eq!(one.nearest("NAMES"), Some("NAMED"));
        suggestions.compared.set(EFFORT);
        assert_eq!(one.clone().nearest("NAMES"), None);
    }
}
