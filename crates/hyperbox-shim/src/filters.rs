// SPDX-License-Identifier: MIT
//! System call filters that the launcher has compiled: most containers have the same, and compiling it takes longer than a fork.
//!
//! The launcher keeps them and each shim is born with all of them. One that has to compile another one tells the launcher. What cannot
//! be compiled is not kept: the shim tries again and tells the daemon why.

use hyperbox_runtime::Filter;

/// How many are kept. More different ones than that are rare, and forgetting costs only time.
const KEPT: usize = 16;

/// Compiled filters by the text of their profile, the last used last.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    known: Vec<(String, Filter)>,
}

impl Filters {
    /// Tells whether the filter of a profile is compiled already.
    pub(crate) fn knows(&self, profile: &str) -> bool {
        self.known.iter().any(|(text, _)| text == profile)
    }

    /// Returns the filter of a profile, an OCI specification's `linux.seccomp` as JSON.
    pub(crate) fn of(&mut self, profile: &str) -> Option<Filter> {
        let known = self.known.iter().position(|(text, _)| text == profile);
        let entry = match known {
            Some(index) => self.known.remove(index),
            None => (profile.to_owned(), compile(profile)?),
        };
        if self.known.len() >= KEPT {
            self.known.remove(0);
        }
        let filter = entry.1.clone();
        self.known.push(entry);
        Some(filter)
    }
}

fn compile(profile: &str) -> Option<Filter> {
    Filter::compile(&serde_json::from_str(profile).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(errno: usize) -> String {
        format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":{errno},"syscalls":[]}}"#)
    }

    #[test]
    fn few_are_kept_and_nothing_wrong() {
        let mut filters = Filters::default();
        assert!(filters.of("{").is_none());
        assert!(
            filters
                .of(r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/x"}"#)
                .is_none()
        );
        assert!(filters.known.is_empty());
        for errno in 1..=KEPT {
            assert!(filters.of(&profile(errno)).is_some());
        }
        // The oldest is used, so the second goes.
        assert!(filters.of(&profile(1)).is_some() && filters.of(&profile(100)).is_some());
        let known: Vec<&str> = filters.known.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(known.len(), KEPT);
        assert!(known.contains(&profile(1).as_str()) && !known.contains(&profile(2).as_str()));
    }
}
