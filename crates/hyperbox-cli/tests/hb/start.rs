// SPDX-License-Identifier: MIT
//! What the start of the program may cost: instructions, up to the moment at which it would connect.
//!
//! Times on a busy machine say nothing; this count is the same for each call of one build (`valgrind(1)`, tool callgrind; it counts what
//! runs in user mode, the dynamic linker included). Who raises the budget says in the commit what the start got for it; who saves lowers
//! it. It is of the development profile: an optimised build needs a ninth of it.

use std::process::Command;

/// A little above what `hb run --rm IMAGE true` needs.
const MOST: u64 = 9_700_000;

#[test]
fn a_run_keeps_its_budget_of_instructions() {
    let directory = tempfile::tempdir().unwrap();
    let nobody = format!("unix://{}", directory.path().join("nobody.sock").display());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_hb"))
        .args(["--host", &nobody, "run", "--rm", "image", "true"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", directory.path())
        .output()
        .expect("valgrind starts (package valgrind)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("cannot connect to HyperBox"), "{said}");
    let counted = said.lines().find_map(|line| line.split_once("Collected : "));
    let counted: u64 = counted.and_then(|(_, number)| number.trim().parse().ok()).expect(&said);
    println!("{counted} of {MOST}");
    // A count that sees nothing would keep every budget.
    assert!(counted > 1_000_000, "{counted}\n{said}");
    assert!(counted <= MOST, "{counted} instructions, budget {MOST}");
}
