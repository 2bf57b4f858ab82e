// SPDX-License-Identifier: MIT
//! Where the programs under test are.

use std::path::PathBuf;

/// Returns the path of `hb`, `hyperboxd` or `hyperbox-shim`: in the directory that `HYPERBOX_TEST_BINARIES` names, else where
/// cargo has put them, beside the directory of the running test.
///
/// # Panics
/// When it was not built.
pub fn binary(name: &str) -> PathBuf {
    let directory = std::env::var_os("HYPERBOX_TEST_BINARIES").map_or_else(built, PathBuf::from);
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins (cargo xtask test does it)",
        path.display()
    );
    path
}

/// `target/debug/deps/test-…` is where tests are, `target/debug` where programs are.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let directory = test.ancestors().nth(2).expect("tests are two levels deep in target");
    directory.to_owned()
}
