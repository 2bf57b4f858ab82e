// SPDX-License-Identifier: MIT
//! Steps that were done elsewhere are not done again: caches in a registry, in the image itself, in a directory.

use std::fs;
use std::os::unix::fs::symlink;

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment};
use hyperbox_testkit::registry::RegistryAccess;

/// Two stages, of which one only gives a file; what they make differs with each time that they are done.
fn context(environment: &TestEnvironment) -> String {
    let path = environment.path("context");
    fs::create_dir_all(&path).unwrap();
    let text = format!(
        "FROM {STARTER} AS tools\nRUN cat /proc/sys/kernel/random/uuid >/tool\nFROM {STARTER}\nWORKDIR /work\nCOPY file .\n\
         RUN cat /proc/sys/kernel/random/uuid >made\nCOPY --from=tools /tool .\n"
    );
    fs::write(path.join("Dockerfile"), text).unwrap();
    fs::write(path.join("file"), "content\n").unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a machine has that never built this: the base image, and nothing else.
fn forget(environment: &TestEnvironment, images: &[&str]) {
    for image in images {
        environment.hb(["rmi", "-f", image]).succeeds();
    }
    environment.hb(["builder", "prune", "-af"]).succeeds();
    let kept = environment.hb(["builder", "du"]).succeeds();
    assert!(!kept.contains("RUN"), "{kept}");
}

fn made(environment: &TestEnvironment, image: &str) -> String {
    environment
        .hb(["run", "--rm", image, "cat", "/work/made", "/work/tool"])
        .succeeds()
}

/// Builds, keeps the steps, forgets everything and builds with what was kept; tells what was said then.
#[track_caller]
fn shared(environment: &TestEnvironment, keep: &str, take: &str, same: bool) -> String {
    let context = context(environment);
    environment
        .hb(["build", "-q", "-t", "first:1", "--cache-to", keep, &context])
        .succeeds();
    let first = made(environment, "first:1");
    forget(environment, &["first:1"]);
    let words = [
        "build",
        "--progress",
        "plain",
        "-t",
        "again:1",
        "--cache-from",
        take,
        &context,
    ];
    let said = environment.hb(words);
    let text = said.stderr.clone();
    said.succeeds();
    assert_eq!(made(environment, "again:1") == first, same, "{text}");
    let names = environment
        .hb(["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .succeeds();
    let mut names: Vec<&str> = names.lines().collect();
    names.retain(|name| *name != STARTER);
    assert_eq!(names, ["again:1"]);
    forget(environment, &["again:1"]);
    text
}

#[test]
fn privileged_steps_are_shared_by_a_registry() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Anyone);
    let name = registry.image("cache:1");
    let keep = format!("type=registry,ref={name},mode=max");
    let said = shared(&environment, &keep, &name, true);
    assert_eq!(said.matches("CACHED").count(), 6, "{said}");
    // Without the other stage's steps its file is made anew.
    let keep = format!("type=registry,ref={name}");
    let said = shared(&environment, &keep, &format!("type=registry,ref={name}"), false);
    assert!(said.matches("CACHED").count() >= 4, "{said}");
    drop(registry);
    // What cannot be had is told, and the build goes on.
    let context = context(&environment);
    let words = [
        "build",
        "--progress",
        "plain",
        "-t",
        "alone:1",
        "--cache-from",
        &name,
        &context,
    ];
    let said = environment.hb(words);
    let text = said.stderr.clone();
    said.succeeds();
    assert!(
        text.contains(&format!("importing cache manifest from {name}")),
        "{text}"
    );
    assert!(text.contains("ERROR"), "{text}");
    forget(&environment, &["alone:1"]);
    environment.finish();
}

#[test]
fn privileged_an_image_brings_its_own_steps() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Anyone);
    let name = registry.image("app:1");
    let context = context(&environment);
    let words = [
        "build",
        "-q",
        "-t",
        &name,
        "--push",
        "--cache-to",
        "type=inline",
        &context,
    ];
    environment.hb(words).succeeds();
    forget(&environment, &[&name]);
    let words = [
        "build",
        "--progress",
        "plain",
        "-t",
        "again:1",
        "--cache-from",
        &name,
        &context,
    ];
    let said = environment.hb(words);
    let text = said.stderr.clone();
    said.succeeds();
    assert!(text.contains("RUN cat /proc/sys/kernel/random/uuid >made\n"), "{text}");
    assert!(text.matches("CACHED").count() >= 4, "{text}");
    drop(registry);
    forget(&environment, &["again:1"]);
    environment.finish();
}

#[test]
fn privileged_steps_are_shared_by_a_directory() {
    let environment = TestEnvironment::with_starter();
    let directory = environment.path("cache");
    let keep = format!("type=local,dest={},mode=max", directory.display());
    let take = format!("type=local,src={}", directory.display());
    let said = shared(&environment, &keep, &take, true);
    assert_eq!(said.matches("CACHED").count(), 6, "{said}");
    environment.finish();
}

#[test]
fn privileged_a_cache_that_somebody_prepared_harms_nobody() {
    let environment = TestEnvironment::with_starter();
    let context = context(&environment);
    let (directory, victim) = (environment.path("cache"), environment.path("victim"));
    fs::create_dir(&directory).unwrap();
    fs::write(&victim, "precious").unwrap();
    for name in [
        "layers.tar",
        "hyperbox-cache.json",
        "layers.tar.new",
        "hyperbox-cache.json.new",
    ] {
        symlink(&victim, directory.join(name)).unwrap();
    }
    let keep = format!("type=local,dest={}", directory.display());
    let take = format!("type=local,src={}", directory.display());
    let build = |words: &[&str]| {
        let all = ["build", "--progress", "plain", "-t", "first:1"].iter().chain(words);
        environment.hb(all.chain([&context.as_str()]))
    };
    build(&["--cache-to", &keep]).succeeds();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    let expected = [
        "hyperbox-cache.json",
        "hyperbox-cache.json.new",
        "layers.tar",
        "layers.tar.new",
    ];
    assert_eq!(names, expected);
    // Nobody writes into the pipe, and nobody waits for that.
    let index = directory.join("hyperbox-cache.json");
    fs::remove_file(&index).unwrap();
    Output::of(environment.command("mkfifo".as_ref()).arg(&index)).succeeds();
    let said = build(&["--cache-from", &take]).complains("is no plain file");
    said.succeeds();
    let nowhere = format!("type=local,src={}", environment.path("nowhere").display());
    let said = build(&["--cache-from", &nowhere]).complains("there is no cache in");
    said.succeeds();
    forget(&environment, &["first:1"]);
    environment.finish();
}
