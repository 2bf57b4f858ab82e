// SPDX-License-Identifier: MIT
//! Where the clients are that `cargo xtask setup` installs.

use std::path::{Path, PathBuf};

/// Returns the directory that cargo builds into: programs are in `target/debug`, tests in `target/debug/deps`.
///
/// # Panics
/// When this program is somewhere else.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut ancestors = program.ancestors();
    let target = ancestors.find(|directory| directory.join("suite-tools").is_dir());
    target.map(Path::to_owned).unwrap_or_else(|| {
        panic!(
            "no directory above {} has suite-tools: run cargo xtask setup",
            program.display()
        )
    })
}

/// Returns the directories of the docker command line and of skopeo.
pub fn programs() -> [PathBuf; 2] {
    [target().join("suite-tools/bin"), target().join("skopeo/bin")]
}

/// Writes a configuration of the docker command line that knows its plugins, below `home`.
///
/// # Panics
/// When it cannot be written.
pub fn configure(home: &Path) {
    let directory = home.join(".docker");
    let plugins = target().join("suite-tools/cli-plugins");
    let config = serde_json::json!({"cliPluginsExtraDirs": [plugins]});
    std::fs::create_dir_all(&directory).expect("the directory of the client's configuration");
    std::fs::write(directory.join("config.json"), config.to_string()).expect("the client's configuration");
}
