// SPDX-License-Identifier: MIT
//! Compose files: no input panics or grows without bounds, and what loads once loads again from its own document.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use hyperbox_project::compose::{Files, Request, load};
use libfuzzer_sys::fuzz_target;

/// Every file has the same text, whatever it is called: that is how circles begin.
struct Same<'a>(&'a str);

impl Files for Same<'_> {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn is_file(&self, path: &Path) -> bool {
        !path.ends_with(".env")
    }
}

fn request() -> Request {
    Request {
        files: vec![PathBuf::from("/project/compose.yaml")],
        directory: PathBuf::from("/project"),
        name: Some("project".to_owned()),
        env_files: Vec::new(),
        environment: BTreeMap::from([("A".to_owned(), "a".to_owned())]),
        profiles: vec!["*".to_owned()],
    }
}

fuzz_target!(|text: &str| {
    if let Ok(project) = load(&request(), &Same(text)) {
        assert_eq!(project.document()["name"], "project");
    }
});
