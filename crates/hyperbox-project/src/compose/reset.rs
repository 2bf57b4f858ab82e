// SPDX-License-Identifier: MIT
//! `!reset` and `!override`: what a file takes back of those before it.
//!
//! Source: <https://docs.docker.com/reference/compose-file/merge/#reset-value>.

use super::tree::{Directive, Map, Node, Value};

/// Keys whose earlier values go; each is a path of keys of maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resets(Vec<Vec<String>>);

impl Resets {
    /// Finds the tags of a document and takes them off: what is tagged `!reset` goes, what is tagged `!override` stays.
    pub(crate) fn take(document: &mut Node) -> Self {
        let mut resets = Self::default();
        take(document, &mut Vec::new(), &mut resets.0);
        resets
    }

    /// Removes from an earlier tree what this file takes back.
    pub(crate) fn apply(&self, earlier: &mut Map) {
        for path in &self.0 {
            remove(earlier, path);
        }
    }

    /// What is taken back below a key, as paths seen from there.
    pub(crate) fn below(&self, prefix: &[&str]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|path| path.len() > prefix.len() && path.iter().zip(prefix).all(|(left, right)| left == right))
                .map(|path| path[prefix.len()..].to_vec())
                .collect(),
        )
    }
}

fn take(node: &mut Node, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|key, member| {
                path.push(key.clone());
                let directive = member.directive.take();
                if directive.is_some() {
                    found.push(path.clone());
                }
                if directive != Some(Directive::Reset) {
                    take(member, path, found);
                }
                path.pop();
                directive != Some(Directive::Reset)
            });
        }
        Value::List(list) => {
            list.retain(|item| item.directive != Some(Directive::Reset));
            for item in list {
                item.directive = None;
                take(item, path, &mut Vec::new());
            }
        }
        _ => {}
    }
}

fn remove(map: &mut Map, path: &[String]) {
    match path {
        [] => {}
        [key] => {
            map.remove(key);
        }
        [key, rest @ ..] => {
            if let Some(map) = map.get_mut(key).and_then(Node::as_map_mut) {
                remove(map, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml;

    #[test]
    fn tagged_values_take_back_earlier_ones() {
        let text = "a:\n  gone: !reset null\n  kept: !override [1]\n  plain: 2\n";
        let mut later = yaml::parse(text, 0).unwrap().remove(0);
        let resets = Resets::take(&mut later);
        let a = later.get("a").unwrap();
        assert!(a.get("gone").is_none());
        assert!(a.get("kept").is_some());
        let mut earlier = yaml::parse("a: {gone: 1, kept: [0], plain: 1, other: 1}\n", 0)
            .unwrap()
            .remove(0);
        resets.apply(earlier.as_map_mut().unwrap());
        let left: Vec<_> = earlier.get("a").unwrap().as_map().unwrap().keys().cloned().collect();
        assert_eq!(left, ["other", "plain"]);
        assert_eq!(
            resets.below(&["a"]).0,
            [vec!["gone".to_owned()], vec!["kept".to_owned()]]
        );
    }
}
