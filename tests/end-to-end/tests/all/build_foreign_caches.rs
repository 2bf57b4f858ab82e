// SPDX-License-Identifier: MIT
//! Caches that are no use: images without steps, what another builder has kept, nothing at all. Each is told, and the build goes on.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::registry::RegistryAccess;

use crate::build_contexts::{clean_up, lay_out};

#[test]
fn privileged_a_cache_without_steps_is_a_warning() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Anyone);
    let name = registry.image("plain:1");
    let dockerfile = format!("FROM {STARTER}\nRUN echo made >/made\n");
    let context = lay_out(&environment, "context", &[("Dockerfile", &dockerfile)]);
    // Neither was made with --cache-to, like an image of BuildKit whose inline cache is in a form of its own.
    environment
        .hb(["build", "-q", "--push", "-t", &name, &context])
        .succeeds();
    environment.hb(["rmi", "-f", &name]).succeeds();
    environment.hb(["builder", "prune", "-af"]).succeeds();
    let (missing, directory) = (registry.image("nothing:1"), environment.path("nowhere"));
    let local = format!("type=local,src={}", directory.display());
    std::fs::create_dir(&directory).unwrap();
    for (cache, reason) in [
        (name.as_str(), "nothing is kept there"),
        (&missing, "manifest unknown"),
        (&local, "No such file or directory"),
    ] {
        let words = [
            "build",
            "--progress",
            "plain",
            "-t",
            "warned:1",
            "--cache-from",
            cache,
            &context,
        ];
        let built = environment.hb(words);
        let said = built.stderr.clone();
        built.succeeds();
        assert!(said.contains("no steps are taken over from"), "{cache}: {said}");
        assert!(said.contains(reason), "{cache}: {said}");
        let show = environment.hb(["run", "--rm", "warned:1", "cat", "/made"]);
        assert_eq!(show.succeeds(), "made");
    }
    drop(registry);
    clean_up(environment, &["warned:1"]);
}
