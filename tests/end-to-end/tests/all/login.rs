// SPDX-License-Identifier: MIT
//! `hb login` and `logout` with a registry that asks for a password.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::registry::{RegistryAccess, TEST_PASSWORD, TEST_USER};

#[test]
fn privileged_login_opens_and_logout_closes() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Password);
    let image = registry.image("private/image:1");
    let layout = environment.layout(&hyperbox_testkit::images::starter(), Default::default());
    registry.add("private/image:1", &layout);
    let _refused = environment
        .hb(["pull", &image])
        .exits_with(1)
        .complains(registry.host());

    let login = |password: &str| {
        let words = ["login", "--username", TEST_USER, "--password-stdin", registry.host()];
        environment.hb_with_input(words, password.as_bytes())
    };
    let wrong = login("wrong").exits_with(1);
    assert!(!wrong.stderr.contains("wrong password wrong"), "{wrong}");
    assert!(login(TEST_PASSWORD).succeeds().contains("Login Succeeded"));
    environment.hb(["pull", &image]).succeeds();
    assert_eq!(environment.hb(["run", "--rm", &image, "echo", "in"]).succeeds(), "in");
    let pushed = registry.image("private/pushed:1");
    environment.hb(["tag", STARTER, &pushed]).succeeds();
    environment.hb(["push", &pushed]).succeeds();
    assert!(registry.has_tag("private/pushed", "1"));

    environment.hb(["logout", registry.host()]).succeeds();
    environment.hb(["rmi", "-f", &image]).succeeds();
    let _closed = environment.hb(["pull", &image]).exits_with(1);
    environment.finish();
}

#[test]
fn privileged_credentials_are_kept_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let environment = TestEnvironment::start();
    let registry = environment.registry(RegistryAccess::Password);
    let words = ["login", "--username", TEST_USER, "--password-stdin", registry.host()];
    environment.hb_with_input(words, TEST_PASSWORD.as_bytes()).succeeds();
    let file = environment.path("home/.docker/config.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    environment.finish();
}
