// SPDX-License-Identifier: MIT
//! Dockerfiles, words and `.dockerignore`: no input panics, lines stay in the text, a quoted word stays what it is.
#![no_main]

use hyperbox_dockerfile::word::expand;
use hyperbox_dockerfile::{Dockerfile, Ignore, StageGraph};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Dockerfile::parse(text) {
        Ok(file) => {
            assert!(!file.stages.is_empty());
            if let Ok(graph) = StageGraph::new(&file, None, str::to_owned) {
                assert_eq!(graph.needed.last(), Some(&graph.target));
            }
        }
        Err(error) => {
            if let Some(lines) = error.lines {
                assert!(lines.first >= 1 && lines.last <= text.lines().count());
                lines.excerpt("Dockerfile", text);
            }
        }
    }
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| name.to_owned());
    drop(expand(text, '\\', &lookup));
    if !text.contains('\'') {
        assert_eq!(expand(&format!("'{text}'"), '\\', &lookup).as_deref(), Ok(text));
    }
    if let Ok(ignore) = Ignore::parse(text) {
        ignore.excludes("a/b/c");
        ignore.may_take_back_below("a");
    }
});
