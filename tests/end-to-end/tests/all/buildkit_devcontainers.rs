// SPDX-License-Identifier: MIT
//! The devcontainer command line builds: a Dockerfile with a feature on top, by itself and as a service of a Compose file.

use std::process::Command;

use hyperbox_testkit::environment::{Output, STARTER, binary};

use crate::buildkit_clients::Client;

/// What every feature has: what it is, and a script that is run while the image is built.
const FEATURE: &str = r#"{"id":"hello","version":"1.0.0","name":"Hello","options":{"greeting":{"type":"string","default":"hey"}},"containerEnv":{"HELLO":"yes"}}"#;
const INSTALL: &str = "#!/bin/sh\nset -e\nprintf '#!/bin/sh\\necho \"%s $(cat /made)\"\\n' \"$GREETING\" > /usr/bin/hello\nchmod +x /usr/bin/hello\n";

fn devcontainer(client: &Client, words: &[&str]) -> Output {
    let target = binary("hb").ancestors().nth(2).unwrap().to_owned();
    let program = target.join("node-clients/node_modules/.bin/devcontainer");
    assert!(program.exists(), "run cargo xtask setup");
    let mut command: Command = client.environment.command(&program);
    Output::of(command.env("DOCKER_HOST", client.environment.host()).args(words))
}

/// Brings a folder up twice and runs the feature's program in it.
fn comes_up(client: &Client, folder: &str, greeting: &str) {
    for _ in 0..2 {
        let result = devcontainer(client, &["up", "--workspace-folder", folder]);
        let result: serde_json::Value = serde_json::from_str(result.succeeds().lines().last().unwrap()).unwrap();
        assert_eq!(result["outcome"], "success");
    }
    let said = devcontainer(client, &["exec", "--workspace-folder", folder, "hello"]);
    assert_eq!(said.succeeds(), greeting);
    let variable = ["exec", "--workspace-folder", folder, "sh", "-c", "echo $HELLO; exit 4"];
    let _said = devcontainer(client, &variable).exits_with(4).says("yes");
}

fn forget_all(client: Client) {
    client.environment.remove_containers();
    client.environment.hb(["rmi", "-f", STARTER]).succeeds();
    for volume in client.docker(&["volume", "ls", "-q"]).succeeds().lines() {
        client.docker(&["volume", "rm", volume]).succeeds();
    }
    client.environment.hb(["image", "prune", "-af"]).succeeds();
    client.end(&[]);
}

#[test]
fn docker_cli_privileged_devcontainers_have_a_dockerfile_and_a_feature() {
    let client = Client::new();
    let settings = r#"{"build":{"dockerfile":"Dockerfile","context":"..","args":{"TAG":"latest"}},"features":{"./hello":{"greeting":"hola"}},"overrideCommand":true,"updateRemoteUserUID":false,"workspaceMount":"source=workspace,target=/workspace,type=volume","workspaceFolder":"/workspace"}"#;
    let folder = client.lay_out(
        "dev",
        &[
            ("text", "from the context"),
            (
                ".devcontainer/Dockerfile",
                "ARG TAG=none\nFROM starter:${TAG}\nCOPY text /made\n",
            ),
            (".devcontainer/devcontainer.json", settings),
            (".devcontainer/hello/devcontainer-feature.json", FEATURE),
            (".devcontainer/hello/install.sh", INSTALL),
        ],
    );
    comes_up(&client, &folder, "hola from the context");
    let built = devcontainer(
        &client,
        &["build", "--workspace-folder", &folder, "--image-name", "built:1"],
    );
    built.succeeds();
    let said = client.docker(&["run", "--rm", "built:1", "hello"]).succeeds();
    assert_eq!(said, "hola from the context");
    let label = "{{index .Config.Labels \"devcontainer.metadata\"}}";
    let described = client.docker(&["inspect", "-f", label, "built:1"]).succeeds();
    assert!(described.contains("./hello"), "{described}");
    forget_all(client);
}

#[test]
fn docker_cli_privileged_devcontainers_are_services_of_compose_files() {
    let client = Client::new();
    let project = format!(
        "name: devproject\nservices:\n  app: {{build: ., command: sleep 1000, init: true}}\n  \
         other: {{image: \"{STARTER}\", command: sleep 1000, init: true}}\n"
    );
    let settings = r#"{"dockerComposeFile":"../compose.yaml","service":"app","workspaceFolder":"/","features":{"./hello":{}},"remoteUser":"alice"}"#;
    let folder = client.lay_out(
        "dev",
        &[
            ("compose.yaml", &project),
            (
                "Dockerfile",
                &format!("FROM {STARTER}\nRUN echo from a service > /made\n"),
            ),
            (".devcontainer/devcontainer.json", settings),
            (".devcontainer/hello/devcontainer-feature.json", FEATURE),
            (".devcontainer/hello/install.sh", INSTALL),
        ],
    );
    comes_up(&client, &folder, "hey from a service");
    let who = devcontainer(&client, &["exec", "--workspace-folder", &folder, "id", "-un"]);
    assert_eq!(who.succeeds(), "alice");
    client
        .docker(&["compose", "-p", "devproject", "down", "-t", "0"])
        .succeeds();
    forget_all(client);
}
