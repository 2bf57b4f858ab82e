// SPDX-License-Identifier: MIT
//! Token scopes: `repository:name:actions` (distribution's `auth/scope.md`), merged and in a canonical order. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a token is good for: actions by resource. Equal scopes print equally, so the text is a cache key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope(BTreeMap<String, BTreeSet<String>>);

/// The most resources that a challenge can add.
const MAX_RESOURCES: usize = 16;

impl Scope {
    /// Reading a repository.
    pub(crate) fn pull(path: &str) -> Self {
        Self::repository(path, &["pull"])
    }

    /// Reading and writing a repository.
    pub(crate) fn push(path: &str) -> Self {
        Self::repository(path, &["pull", "push"])
    }

    fn repository(path: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Self(BTreeMap::from([(format!("repository:{path}"), actions)]))
    }

    /// Parses what a challenge asks for: several scopes separated by spaces. Garbage is skipped.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scope = Self::default();
        for word in text.split_ascii_whitespace().take(MAX_RESOURCES) {
            // The name of the resource may have colons (a host with a port): the last one separates the actions.
            let Some((resource, actions)) = word.rsplit_once(':') else {
                continue;
            };
            let actions = actions
                .split(',')
                .filter(|action| !action.is_empty())
                .map(ToOwned::to_owned);
            if resource.contains(':') {
                scope.0.entry(resource.to_owned()).or_default().extend(actions);
            }
        }
        scope
    }

    /// Returns a scope that allows what either allows.
    #[must_use]
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (resource, actions) in &other.0 {
            merged
                .0
                .entry(resource.clone())
                .or_default()
                .extend(actions.iter().cloned());
        }
        merged
    }

    /// Returns each resource as one `scope` parameter.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters: Vec<String> = self.parameters().collect();
        formatter.write_str(&parameters.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_canonical() {
        for (text, expected) in [
            ("repository:a/b:push,pull", "repository:a/b:pull,push"),
            ("repository:a:pull repository:a:push", "repository:a:pull,push"),
            ("repository:host:5000/a:pull", "repository:host:5000/a:pull"),
            ("repository(plugin):a:*", "repository(plugin):a:*"),
            ("garbage : x:y", ""),
            ("registry:catalog:*", "registry:catalog:*"),
            ("", ""),
        ] {
            assert_eq!(Scope::parse(text).to_string(), expected, "{text}");
        }
        assert_eq!(Scope::push("a").to_string(), "repository:a:pull,push");
        let mount = Scope::push("a").union(&Scope::pull("b"));
        assert_eq!(mount.to_string(), "repository:a:pull,push repository:b:pull");
        assert_eq!(Scope::push("a").union(&Scope::pull("a")), Scope::push("a"));
    }
}
