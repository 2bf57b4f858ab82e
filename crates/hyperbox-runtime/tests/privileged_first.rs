// SPDX-License-Identifier: MIT
//! The shortest way through the runtime.

mod support;

use support::outcome::run_ours;
use support::rootfs::Rootfs;
use support::specification::shell;

#[test]
fn privileged_a_command_runs_and_its_code_comes_back() {
    let rootfs = Rootfs::new();
    let outcome = run_ours(&shell("echo hello; hostname; echo $$; exit 7"), rootfs.overlay(), "");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (7, "hello\ntesthost\n1\n"),
        "{}",
        outcome.stderr
    );
}
