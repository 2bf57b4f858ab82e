// SPDX-License-Identifier: MIT
//! The `filters` parameter in its two forms, `{"name":["a"]}` and `{"name":{"a":true}}`, with Docker's refusals.
//!
//! Values of one filter are alternatives (except labels, which must all match); different filters must all match. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};
use crate::pattern;

/// Parsed filters: the values by filter, in the client's order.
///
/// Docker keeps a value that is `false` or `null` in the second form: only a comparison as a whole ([`Filters::exact`]) passes it
/// over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    values: BTreeMap<String, Vec<String>>,
    off: BTreeSet<(String, String)>,
}

impl Filters {
    /// Parses the parameter; an empty text means no filters.
    ///
    /// # Errors
    /// 400 `invalid filter` for anything that is neither form.
    pub(crate) fn parse(text: &str) -> ApiResult<Self> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let malformed = || ApiError::bad_request("invalid filter");
        let value: Value = serde_json::from_str(text).map_err(|_| malformed())?;
        let fields = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(fields) => fields,
            _ => return Err(malformed()),
        };
        let maps = fields.values().all(|values| values.is_object() || values.is_null());
        let mut filters = Self::default();
        for (name, values) in fields {
            let values = match values {
                Value::Null => Vec::new(),
                Value::Array(values) => texts(values).ok_or_else(malformed)?,
                Value::Object(values) if maps => filters.switches(&name, values).ok_or_else(malformed)?,
                _ => return Err(malformed()),
            };
            filters.values.insert(name, values);
        }
        Ok(filters)
    }

    /// Reads the values of the form `{"a":true}`; `None` when one is no truth value.
    fn switches(&mut self, name: &str, values: Map<String, Value>) -> Option<Vec<String>> {
        let mut names = Vec::new();
        for (value, on) in values {
            let on = on.as_bool().or(on.is_null().then_some(false))?;
            if !on {
                self.off.insert((name.to_owned(), value.clone()));
            }
            names.push(value);
        }
        Some(names)
    }

    /// Parses the parameter and refuses filters other than `accepted`.
    ///
    /// # Errors
    /// 400 `invalid filter 'x'`.
    pub(crate) fn parse_accepting(text: &str, accepted: &[&str]) -> ApiResult<Self> {
        let filters = Self::parse(text)?;
        match filters.values.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) if name.is_empty() => Err(ApiError::bad_request("invalid filter")),
            Some(name) => Err(ApiError::bad_request(format!("invalid filter '{name}'"))),
            None => Ok(filters),
        }
    }

    /// Returns the names of all filters.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns the values of a filter; empty when it is absent.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Tells whether a filter is present with at least one value.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    /// Tells whether the filter is absent or one of its values satisfies the condition.
    pub(crate) fn any(&self, name: &str, condition: impl Fn(&str) -> bool) -> bool {
        !self.has(name) || self.values(name).iter().any(|value| condition(value))
    }

    /// Tells whether the filter is absent or names `source` exactly.
    pub(crate) fn exact(&self, name: &str, source: &str) -> bool {
        self.any(name, |value| {
            value == source && !self.off.contains(&(name.to_owned(), value.to_owned()))
        })
    }

    /// Tells whether the filter is absent or one value, as a regular expression, is found in `source` (or equals it).
    pub(crate) fn pattern(&self, name: &str, source: &str) -> bool {
        self.any(name, |value| pattern::finds(value, source))
    }

    /// Tells whether all `label` filters match, and no `label!` filter does.
    pub(crate) fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let matches = |wanted: &String| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|actual| actual == value),
            None => labels.contains_key(wanted),
        };
        let unwanted = self.values("label!");
        self.values("label").iter().all(matches) && (unwanted.is_empty() || !unwanted.iter().all(matches))
    }

    /// Returns a boolean filter. As with Docker, what is no boolean is passed over beside what is one.
    ///
    /// # Errors
    /// 400 for contradicting values and for no boolean at all.
    pub(crate) fn boolean(&self, name: &str) -> ApiResult<Option<bool>> {
        if !self.values.contains_key(name) {
            return Ok(None);
        }
        let has = |words: [&str; 2]| self.values(name).iter().any(|value| words.contains(&value.as_str()));
        match (has(["1", "true"]), has(["0", "false"])) {
            (true, false) => Ok(Some(true)),
            (false, true) => Ok(Some(false)),
            _ => Err(self.invalid(name)),
        }
    }

    /// Refuses values other than `allowed`, in Docker's words: `invalid filter 'status=x': invalid value for state (x): …`.
    pub(crate) fn require_one_of(&self, name: &str, what: &str, allowed: &[&str]) -> ApiResult<()> {
        match self
            .values(name)
            .iter()
            .find(|value| !allowed.contains(&value.as_str()))
        {
            Some(value) => Err(ApiError::bad_request(format!(
                "invalid filter '{name}={value}': invalid value for {what} ({value}): must be one of {}",
                allowed.join(", ")
            ))),
            None => Ok(()),
        }
    }

    fn invalid(&self, name: &str) -> ApiError {
        ApiError::bad_request(format!("invalid filter '{name}=[{}]'", self.values(name).join(" ")))
    }
}

/// Reads the values of the form `["a"]`; `None` when one is no text.
fn texts(values: Vec<Value>) -> Option<Vec<String>> {
    let text = |value: Value| match value {
        Value::String(text) => Some(text),
        Value::Null => Some(String::new()),
        _ => None,
    };
    values.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Filters {
        Filters::parse(text).expect(text)
    }

    #[test]
    fn both_forms_are_read() {
        let list = filters(r#"{"label":["a=b","c"],"name":["x"]}"#);
        let map = filters(r#"{"label":{"a=b":true,"c":true},"name":{"x":true}}"#);
        assert_eq!(list, map);
        assert_eq!(list.values("label"), ["a=b", "c"]);
        assert_eq!(filters(""), Filters::default());
        assert_eq!(filters("null"), Filters::default());
        assert!(!filters(r#"{"label":null}"#).has("label"));
        let off = filters(r#"{"driver":{"local":false},"name":{"x":null}}"#);
        assert_eq!(
            (off.values("driver"), off.values("name")),
            (&["local".to_owned()][..], &["x".to_owned()][..])
        );
        assert!(!off.exact("driver", "local") && off.pattern("name", "x"));
    }

    #[test]
    fn refusals_have_dockers_texts() {
        for text in [
            "[1]",
            "{",
            r#"{"label":"x"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{"b":true},"c":["d"]}"#,
            "7",
        ] {
            assert_eq!(
                Filters::parse(text).expect_err(text).message(),
                "invalid filter",
                "{text}"
            );
        }
        let unknown = Filters::parse_accepting(r#"{"bogus":["x"]}"#, &["name"]).expect_err("unknown");
        assert_eq!(unknown.message(), "invalid filter 'bogus'");
        let value = filters(r#"{"dangling":["x"]}"#)
            .boolean("dangling")
            .expect_err("no boolean");
        assert_eq!(value.message(), "invalid filter 'dangling=[x]'");
        for (text, expected) in [
            ("{}", Some(None)),
            (r#"{"dangling":["true","x"]}"#, Some(Some(true))),
            (r#"{"dangling":{"0":true}}"#, Some(Some(false))),
            (r#"{"dangling":["1","false"]}"#, None),
            (r#"{"dangling":[]}"#, None),
        ] {
            assert_eq!(filters(text).boolean("dangling").ok(), expected, "{text}");
        }
        let nameless = Filters::parse_accepting(r#"{"":["x"]}"#, &[]).expect_err("no name");
        assert_eq!(nameless.message(), "invalid filter");
    }

    #[test]
    fn labels_must_all_match() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        for (text, expected) in [
            (r#"{"label":["a=b","c"]}"#, true),
            (r#"{"label":["a"]}"#, true),
            (r#"{"label":["a=x"]}"#, false),
            (r#"{"label":["a","d"]}"#, false),
            (r#"{"label!":["a"]}"#, false),
            (r#"{"label!":["d"]}"#, true),
            ("{}", true),
        ] {
            assert_eq!(filters(text).labels(&labels), expected, "{text}");
        }
    }

    #[test]
    fn names_are_patterns() {
        for (text, expected) in [
            (r#"{"name":["web"]}"#, true),
            (r#"{"name":["^/web-1$"]}"#, true),
            (r#"{"name":["^web"]}"#, false),
            (r#"{"name":["db","web-[0-9]+"]}"#, true),
            (r#"{"name":["["]}"#, false),
        ] {
            assert_eq!(filters(text).pattern("name", "/web-1"), expected, "{text}");
        }
    }
}
