// SPDX-License-Identifier: MIT
//! What is shown of a failed build besides its sentence.

use std::sync::{Arc, OnceLock};

use hyperbox_build::{BuildError, StepError};
use hyperbox_dockerfile::Lines;

/// Returns the last that a step wrote.
pub(super) fn tail(error: &BuildError) -> &[u8] {
    match error {
        BuildError::Step { source, .. } => match source.as_ref() {
            StepError::Exit { tail, .. } => tail,
            _ => &[],
        },
        _ => &[],
    }
}

/// A Dockerfile, as far as the build has read it: the door reads none, since the build looks at what it opens.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) text: Arc<OnceLock<String>>,
}

impl Known {
    /// Returns the marked lines.
    pub(super) fn excerpt(&self, lines: Option<Lines>) -> String {
        match (lines, self.text.get()) {
            (Some(lines), Some(text)) => lines.excerpt(&self.name, text),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_of_what_the_build_has_read() {
        let file = Known {
            name: "/dev/zero".to_owned(),
            text: Arc::default(),
        };
        let lines = Some(Lines { first: 1, last: 1 });
        assert_eq!(file.excerpt(lines), "");
        file.text.set("FROM scratch\n".to_owned()).unwrap();
        assert!(file.excerpt(lines).contains("FROM scratch"));
    }
}
