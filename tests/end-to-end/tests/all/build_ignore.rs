// SPDX-License-Identifier: MIT
//! What is left out of contexts: `.dockerignore`, and the list of a Dockerfile of its own. The selections are those that Docker's BuildKit
//! makes of the same directory.

use std::fs;

use hyperbox_testkit::environment::TestEnvironment;

use crate::build_contexts::{clean_up, lay_out};

/// Lays out a context in which each list leaves out another file.
fn lists(environment: &TestEnvironment) {
    let dockerfile = "FROM scratch\nCOPY . /\n";
    let files = [
        ("context/Dockerfile", dockerfile),
        ("context/Dockerfile.x", dockerfile),
        ("context/sub/Dockerfile", dockerfile),
        ("context/sub/D", dockerfile),
        ("outside/O", dockerfile),
        ("context/a", "a"),
        ("context/b", "b"),
        ("context/c", "c"),
        ("context/d", "d"),
        ("context/.dockerignore", "/a\n"),
        ("context/Dockerfile.x.dockerignore", "b\n"),
        ("context/sub/Dockerfile.dockerignore", "c\n"),
        ("context/sub/D.dockerignore", "d\n"),
        ("outside/O.dockerignore", "[ab]\n"),
        ("hidden/Dockerfile", dockerfile),
        ("hidden/a", "a"),
        ("hidden/b", "b"),
        ("hidden/.dockerignore", "*\n!a\n"),
    ];
    lay_out(environment, "", &files);
}

/// Which of the letters come out of a build of these words, given this on standard input.
#[track_caller]
fn letters(environment: &TestEnvironment, words: &[&str], input: &[u8]) -> String {
    let out = environment.path("out");
    let destination = format!("type=local,dest={}", out.display());
    let words = [["build", "-o", &destination].as_slice(), words].concat();
    environment.hb_with_input(&words, input).succeeds();
    let letters = ["a", "b", "c", "d"].iter().filter(|name| out.join(name).exists());
    let letters = letters.copied().collect();
    fs::remove_dir_all(&out).unwrap();
    letters
}

#[test]
fn privileged_each_dockerfile_can_have_a_list_of_its_own() {
    let environment = TestEnvironment::start();
    lists(&environment);
    let shown = |name: &str| environment.path(name).to_str().unwrap().to_owned();
    let (context, outside) = (shown("context"), shown("outside/O"));
    let text = fs::read(environment.path("context/Dockerfile")).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", &context).unwrap();
    let archive = archive.into_inner().unwrap();
    for (words, input, expected) in [
        (vec![context.as_str()], None, "bcd"),
        (vec!["-f", "Dockerfile.x", &context], None, "acd"),
        (vec!["-f", "sub/Dockerfile", &context], None, "abd"),
        (vec!["-f", "sub/D", &context], None, "abc"),
        (vec!["-f", &outside, &context], None, "cd"),
        (vec!["-f", "-", &context], Some(&text), "bcd"),
        // Whoever makes an archive leaves out what shall be left out.
        (vec!["-"], Some(&archive), "abcd"),
        (vec!["-f", "Dockerfile.x", "-"], Some(&archive), "abcd"),
    ] {
        let input = input.map_or(&[][..], Vec::as_slice);
        assert_eq!(letters(&environment, &words, input), expected, "{words:?}");
    }
    // A Dockerfile that is left out is read all the same.
    assert_eq!(letters(&environment, &[&shown("hidden")], &[]), "a");
    clean_up(environment, &[]);
}
