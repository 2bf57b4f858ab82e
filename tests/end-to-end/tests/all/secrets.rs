// SPDX-License-Identifier: MIT
//! Secrets never reach the log, whatever its level, nor the command line of a process.

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::registry::{RegistryAccess, TEST_PASSWORD, TEST_USER};

#[test]
fn privileged_passwords_and_environment_stay_out_of_the_log() {
    let environment = TestEnvironment::start_with(&DaemonOptions {
        log: Some("trace".to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    let registry = environment.registry(RegistryAccess::Password);
    let layout = environment.layout(&hyperbox_testkit::images::starter(), Default::default());
    let image = registry.add("secret:1", &layout);
    let words = ["login", "--username", TEST_USER, "--password-stdin", registry.host()];
    environment.hb_with_input(words, TEST_PASSWORD.as_bytes()).succeeds();
    environment.hb(["pull", &image]).succeeds();
    let secret = "s3cr3t-0f-the-environment";
    let variable = format!("TOKEN={secret}");
    let id = environment.detached(&["-e", &variable], &["sleep", "600"]);
    environment.hb(["exec", "-e", &variable, &id, "true"]).succeeds();
    let _failed = environment
        .hb(["run", "--rm", "-e", &variable, &image, "nosuch"])
        .exits_with(127);
    let log = environment.log();
    assert!(log.len() > 1000, "the log is detailed: {} bytes", log.len());
    // base64 of `tester:correct horse` and of the password alone, as headers carry them.
    for hidden in [
        TEST_PASSWORD,
        secret,
        "dGVzdGVyOmNvcnJlY3QgaG9yc2U",
        "Y29ycmVjdCBob3JzZQ",
    ] {
        let line = log.lines().find(|line| line.contains(hidden));
        assert_eq!(line, None, "{hidden:?} is in the log");
    }
    for process in environment.census().of("process") {
        let pid = process.split(' ').next().unwrap();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&command).contains(secret), "{process}");
    }
    environment.finish();
}
