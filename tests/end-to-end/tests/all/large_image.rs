// SPDX-License-Identifier: MIT
//! A 250 MB image, through a registry and back.

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::images::{LayoutOptions, large};
use hyperbox_testkit::registry::RegistryAccess;

#[test]
fn privileged_a_large_image_is_pulled_and_complete() {
    let environment = TestEnvironment::start();
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = registry.add("large:1", &large(LayoutOptions::default()));
    environment.hb(["pull", &image]).succeeds();
    let script =
        "ls /data | wc -l; du -sm /data | cut -f1; find /many -type f | wc -l; head -c 1000 /data/1-0.bin | wc -c";
    let text = environment.hb(["run", "--rm", &image, "sh", "-c", script]).succeeds();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2], lines[3]), ("21", "8000", "1000"), "{text}");
    environment.hb(["rmi", &image]).succeeds();
    hyperbox_testkit::wait_for("the space to be given back", || {
        let mut du = environment.command("du".as_ref());
        // Files may vanish while du looks at them.
        let output = hyperbox_testkit::environment::Output::of(du.args(["-sm"]).arg(environment.root())).stdout;
        let megabytes: u64 = output.split_whitespace().next().unwrap().parse().unwrap();
        if megabytes < 20 {
            Ok(())
        } else {
            Err(format!("{megabytes} MB are used"))
        }
    });
    environment.finish();
}
