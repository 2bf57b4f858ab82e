// SPDX-License-Identifier: MIT
//! What tests of builds have in common: contexts, and the end.

use std::fs;

use hyperbox_testkit::environment::TestEnvironment;

/// Writes files below a directory of the environment; returns its path.
pub(crate) fn lay_out(environment: &TestEnvironment, directory: &str, files: &[(&str, &str)]) -> String {
    let root = environment.path(directory);
    for (name, content) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root.to_str().unwrap().to_owned()
}

/// Removes these images and everything that builds kept, and ends the environment.
pub(crate) fn clean_up(environment: TestEnvironment, images: &[&str]) {
    for image in images {
        environment.hb(["rmi", "-f", image]).succeeds();
    }
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}
