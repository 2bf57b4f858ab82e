// SPDX-License-Identifier: MIT
//! The `filters` parameter in its two forms, `{"name":["a"]}` and `{"name":{"a":true}}`, with Docker's refusals.
//!
//! Values of one filter are alternatives (except labels, which must all match); different filters must all match. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{ApiError, ApiResult};
use crate::pattern;

/// Parsed filters: the values by filter, in the client's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

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
        let Value::Object(fields) = value else {
            return Err(malformed());
        };
        let mut filters = BTreeMap::new();
        for (name, values) in fields {
            let values = match values {
                Value::Array(values) => values
                    .into_iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>(),
                Value::Object(values) if values.values().all(Value::is_boolean) => Some(
                    values
                        .into_iter()
                        .filter(|(_, on)| on.as_bool() == Some(true))
                        .map(|(name, _)| name)
                        .collect(),
                ),
                _ => None,
            };
            filters.insert(name, values.ok_or_else(malformed)?);
        }
        Ok(Self(filters))
    }

    /// Parses the parameter and refuses filters other than `accepted`.
    ///
    /// # Errors
    /// 400 `invalid filter 'x'`.
    pub(crate) fn parse_accepting(text: &str, accepted: &[&str]) -> ApiResult<Self> {
        let filters = Self::parse(text)?;
        match filters.0.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) => Err(ApiError::bad_request(format!("invalid filter '{name}'"))),
            None => Ok(filters),
        }
    }

    /// Returns the values of a filter; empty when it is absent.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
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
        self.any(name, |value| value == source)
    }

    /// Tells whether the filter is absent or one value is a prefix of `source`.
    pub(crate) fn prefix(&self, name: &str, source: &str) -> bool {
        self.any(name, |value| source.starts_with(value))
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

    /// Returns a boolean filter.
    ///
    /// # Errors
    /// 400 for contradicting values and for what is no boolean.
    pub(crate) fn boolean(&self, name: &str) -> ApiResult<Option<bool>> {
        let values = self.values(name);
        let mut answer = None;
        for value in values {
            let parsed = match value.as_str() {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return Err(self.invalid(name)),
            };
            if answer.is_some_and(|earlier| earlier != parsed) {
                return Err(self.invalid(name));
            }
            answer = Some(parsed);
        }
        Ok(answer)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(text: &str) -> Filters {
        Filters::parse(text).expect(text)
    }

    #[test]
    fn both_forms_are_read() {
        let list = filters(r#"{"label":["a=b","c"],"name":["x"]}"#);
        let map = filters(r#"{"label":{"a=b":true,"c":true,"off":false},"name":{"x":true}}"#);
        assert_eq!(list, map);
        assert_eq!(list.values("label"), ["a=b", "c"]);
        assert_eq!(filters(""), Filters::default());
    }

    #[test]
    fn refusals_have_dockers_texts() {
        for text in ["[1]", "{", r#"{"label":"x"}"#, r#"{"a":[1]}"#, r#"{"a":{"b":1}}"#, "7"] {
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
