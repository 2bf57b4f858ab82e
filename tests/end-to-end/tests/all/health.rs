// SPDX-License-Identifier: MIT
//! Healthchecks.

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::wait_for;

#[test]
fn privileged_health_follows_the_check() {
    let environment = TestEnvironment::with_starter();
    let options = [
        "--health-cmd",
        "test -f /healthy",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        "--name",
        "checked",
    ];
    environment.detached(&options, &["sleep", "600"]);
    let becomes = |status: &str| {
        wait_for("the health", || {
            let health = environment.inspect("checked")["State"]["Health"].clone();
            if health["Status"] == status {
                Ok(health)
            } else {
                Err(health.to_string())
            }
        })
    };
    let sick = becomes("unhealthy");
    assert!(sick["FailingStreak"].as_u64().unwrap() >= 2, "{sick}");
    environment.hb(["exec", "checked", "touch", "/healthy"]).succeeds();
    let well = becomes("healthy");
    assert_eq!(well["FailingStreak"], 0);
    let listed = environment
        .hb(["ps", "--filter", "health=healthy", "--format", "{{.Status}}"])
        .succeeds();
    assert!(listed.contains("(healthy)"), "{listed}");
    environment.finish();
}
