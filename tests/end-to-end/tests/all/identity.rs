// SPDX-License-Identifier: MIT
//! Users and groups are resolved in the image.

use hyperbox_testkit::environment::TestEnvironment;

#[test]
fn privileged_users_by_name_and_number() {
    let environment = TestEnvironment::with_starter();
    let script = "echo $(id -u):$(id -g):$(id -G | tr ' ' ,) $HOME";
    for (user, expected) in [
        ("alice", "1000:1000:1000,29,100 /home/alice"),
        ("1000", "1000:1000:1000,29,100 /home/alice"),
        ("alice:audio", "1000:29:29 /home/alice"),
        ("4242", "4242:0:0 /"),
        ("4242:4343", "4242:4343:4343 /"),
        ("root", "0:0:0 /root"),
    ] {
        assert_eq!(environment.shell(&["--user", user], script), expected, "--user {user}");
    }
    let groups = environment.shell(
        &["--user", "alice", "--group-add", "www", "--group-add", "777"],
        "id -G",
    );
    for group in ["33", "777"] {
        assert!(groups.split(' ').any(|found| found == group), "{groups}");
    }
    environment.finish();
}

#[test]
fn privileged_an_unknown_group_is_named() {
    let environment = TestEnvironment::with_starter();
    let starter = hyperbox_testkit::environment::STARTER;
    let output = environment.hb(["run", "--rm", "--user", "alice:nogroupatall", starter, "true"]);
    assert!(output.code == 125 || output.code == 126, "{output}");
    let _named = output.complains("nogroupatall");
    environment.finish();
}
