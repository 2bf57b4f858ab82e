// SPDX-License-Identifier: MIT
//! Filters of lists, sent as `{"key":{"value":true}}`.

use std::collections::{BTreeMap, BTreeSet};

/// A set of `key=value` filters; several values of one key are alternatives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Adds one filter.
    pub fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether a key is used.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Returns the query parameter; `None` when there are no filters.
    pub fn to_query(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        let map: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(key, values)| {
                (
                    key.as_str(),
                    values.iter().map(|value| (value.as_str(), true)).collect(),
                )
            })
            .collect();
        serde_json::to_string(&map).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_form() {
        let mut filters = Filters::default();
        assert_eq!(filters.to_query(), None);
        filters.add("label", "b");
        filters.add("label", "a=1");
        filters.add("name", "x");
        assert_eq!(
            filters.to_query().as_deref(),
            Some(r#"{"label":{"a=1":true,"b":true},"name":{"x":true}}"#)
        );
    }
}
