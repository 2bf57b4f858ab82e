// SPDX-License-Identifier: MIT
//! Several builds at a time: compose projects, and bake files whose targets are linked or share a context.

use std::fs;

use hyperbox_testkit::environment::STARTER;

use crate::buildkit_clients::Client;

#[test]
fn docker_cli_privileged_compose_builds_a_project_and_again() {
    let client = Client::new();
    let services = ["one", "two", "three", "four"];
    let mut project = "name: built\nservices:\n".to_owned();
    for service in services {
        let dockerfile = format!("FROM {STARTER}\nCOPY text /text\nCMD [\"cat\",\"/text\"]\n");
        let text = format!("{service} first\n");
        client.lay_out(&format!("p/{service}"), &[("Dockerfile", &dockerfile), ("text", &text)]);
        project.push_str(&format!("  {service}: {{build: ./{service}}}\n"));
    }
    let root = client.lay_out("p", &[("compose.yaml", &project)]);
    let file = format!("{root}/compose.yaml");
    let compose = |words: &[&str]| {
        let words = [&["compose", "--progress", "plain", "-f", &file][..], words].concat();
        client.docker(&words)
    };
    compose(&["build"]).succeeds();
    let first = compose(&["up", "--build", "--no-color"]).succeeds();
    for service in services {
        assert!(first.contains(&format!("{service} first")), "{first}");
    }
    fs::write(format!("{root}/two/text"), "two second\n").unwrap();
    let second = compose(&["up", "--build", "--no-color"]).succeeds();
    assert!(
        second.contains("two second") && second.contains("one first"),
        "{second}"
    );
    compose(&["down", "--rmi", "all"]).succeeds();
    client.end(&[]);
}

#[test]
fn docker_cli_privileged_targets_of_bake_are_linked() {
    let client = Client::new();
    let file = format!(
        "group \"default\" {{ targets = [\"base\", \"app\", \"twin\"] }}\n\
         target \"base\" {{\n  context = \"base\"\n  output = [\"type=cacheonly\"]\n  labels = {{ l = \"one\" }}\n}}\n\
         target \"app\" {{\n  context = \"shared\"\n  contexts = {{ parent = \"target:base\" }}\n  tags = [\"app:1\"]\n}}\n\
         target \"twin\" {{\n  context = \"shared\"\n  dockerfile-inline = \"FROM {STARTER}\\nCOPY text /twin\\n\"\n  tags = [\"twin:1\"]\n}}\n"
    );
    let root = client.lay_out(
        "b",
        &[
            ("docker-bake.hcl", &file),
            ("base/Dockerfile", &format!("FROM {STARTER}\nENV FROM_BASE=b\nRUN echo base > /base\n")),
            ("shared/Dockerfile", "FROM parent\nRUN cat /base && echo $FROM_BASE > /app\nCOPY --from=parent /base /copy\nCOPY text /text\n"),
            ("shared/text", "shared\n"),
        ],
    );
    let mut command = client.environment.command("docker".as_ref());
    command.env("DOCKER_HOST", client.environment.host()).current_dir(&root);
    command.args(["buildx", "bake", "--progress", "plain"]);
    for _ in 0..2 {
        hyperbox_testkit::environment::Output::of(&mut command).succeeds();
    }
    let shown = ["run", "--rm", "app:1", "cat", "/app", "/copy", "/text"];
    assert_eq!(client.docker(&shown).succeeds(), "b\nbase\nshared");
    assert_eq!(
        client.docker(&["run", "--rm", "twin:1", "cat", "/twin"]).succeeds(),
        "shared"
    );
    let inspected = client.docker(&["inspect", "app:1"]).json();
    assert_eq!(inspected[0]["Config"]["Labels"]["l"], "one");
    client.end(&["app:1", "twin:1"]);
}
