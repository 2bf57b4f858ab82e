// SPDX-License-Identifier: MIT
//! Projects beside each other: two copies of one, the same fixed port twice, two hundred.

use std::collections::BTreeSet;

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use serde_json::{Value, json};

use crate::project_folder::{Folder, PROJECTS, fetch, nothing_is_left, shop_of};

#[test]
fn privileged_projects_two_copies_of_one_know_nothing_of_each_other() {
    let environment = TestEnvironment::with_starter();
    let copies = ["one", "two"].map(|name| Folder::new(&environment, name, &shop_of(name)));
    std::thread::scope(|scope| {
        for copy in &copies {
            scope.spawn(|| copy.hb(&environment, &["up", "-d"]).succeeds());
        }
    });
    let mut ports = BTreeSet::new();
    for copy in &copies {
        copy.is_up(&environment, 2);
        assert_eq!(copy.page(&environment), format!("page of {}", copy.name));
        ports.insert(copy.host_port(&environment, "web"));
        // Its own volume, and its own database under the name that both use.
        let visits = environment.hb([
            "exec",
            &format!("{}-worker-1", copy.name),
            "wget",
            "-qO-",
            "http://db:5432/visits",
        ]);
        assert_eq!(visits.succeeds(), "visited");
    }
    assert_eq!(ports.len(), 2);
    let [one, two] = &copies;
    let other = two.containers(&environment, "db")[0].clone();
    let (name, address) = (other["name"].as_str().unwrap(), other["addresses"][0].as_str().unwrap());
    for target in [name, address] {
        let url = format!("http://{target}:5432/visits");
        let reached = environment.hb(["exec", "one-worker-1", "wget", "-T", "2", "-qO-", &url]);
        assert_ne!(reached.code, 0, "{reached}");
    }
    let subnets = |copy: &Folder| -> Vec<Value> {
        let networks = copy.status(&environment)["networks"].as_array().unwrap().clone();
        networks
            .into_iter()
            .map(|network| network["subnets"][0].clone())
            .collect()
    };
    let all: BTreeSet<String> = [subnets(one), subnets(two)]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(all.len(), 4, "{all:?}");
    // 10.89 unless another daemon of this machine has just reserved it for itself.
    assert!(all.iter().all(|subnet| subnet.starts_with("\"10.")), "{all:?}");
    for copy in &copies {
        copy.hb(&environment, &["down", "-v"]).succeeds();
        environment.hb(["project", "remove", &copy.name]).succeeds();
    }
    nothing_is_left(&environment);
    environment.finish();
}

const FIXED: &str = r#"
services:
  web:
    image: starter:latest
    command: [sh, -c, "mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www"]
    stop_signal: KILL
    ports: ["8080:80"]
"#;

#[test]
fn privileged_projects_a_fixed_port_is_the_first_one_s() {
    let environment = TestEnvironment::with_starter();
    let [first, second] = ["first", "second"].map(|name| Folder::new(&environment, name, FIXED));
    first.hb(&environment, &["up", "-d"]).succeeds();
    assert_eq!(first.host_port(&environment, "web"), 8080);
    let refused = second.hb(&environment, &["up", "-d"]);
    assert_ne!(refused.code, 0, "{refused}");
    let range = second.status(&environment)["ports"]["first"].as_u64().unwrap();
    for words in ["8080", "project first", "first-web-1", "--remap", &range.to_string()] {
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    second.hb(&environment, &["up", "-d", "--remap"]).succeeds();
    let port = second.host_port(&environment, "web");
    assert_eq!(u64::from(port), range);
    hyperbox_testkit::wait_for("the page", || fetch(&environment, port));
    // Remapped once, it needs no leave the next time; and unchanged it stays.
    let before = second.ids(&environment, "web");
    second.hb(&environment, &["up", "-d"]).succeeds();
    assert_eq!(second.ids(&environment, "web"), before);
    // The fixed one is free again: what is made anew has it.
    first.hb(&environment, &["down"]).succeeds();
    second.hb(&environment, &["up", "-d", "--force-recreate"]).succeeds();
    assert_eq!(second.host_port(&environment, "web"), 8080);
    for name in ["first", "second"] {
        environment.hb(["project", "remove", name]).succeeds();
    }
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_projects_a_process_that_has_the_port_is_named() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", FIXED);
    let listener = environment
        .network()
        .enter(|| std::net::TcpListener::bind("0.0.0.0:8080"));
    let refused = shop.hb(&environment, &["up", "-d"]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(
        refused.stderr.contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    drop(listener.unwrap());
    shop.hb(&environment, &["up", "-d"]).succeeds();
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

/// What a client sends to open a project of one service that sleeps.
fn specification(name: &str) -> String {
    json!({
        "name": name,
        "directory": format!("/projects/{name}"),
        "model": {
            "name": name,
            "services": { "web": {
                "image": "starter:latest",
                "command": ["sleep", "6000"],
                "entrypoint": null,
                "stop_signal": "KILL",
                "networks": { "default": null },
                "ports": [{ "mode": "ingress", "target": 80, "protocol": "tcp" }],
            }},
            "networks": { "default": { "name": format!("{name}_default"), "ipam": {} } },
        },
    })
    .to_string()
}

#[track_caller]
fn ask(environment: &TestEnvironment, method: &str, path: &str, body: &str) -> String {
    let (code, answer) = environment.api(method, &format!("{PROJECTS}{path}"), body).unwrap();
    assert!((200..300).contains(&code), "{method} {path}: {code} {answer}");
    assert!(!answer.contains(r#""event":"failed""#), "{method} {path}: {answer}");
    answer
}

fn ranges(environment: &TestEnvironment) -> BTreeSet<(u64, u64)> {
    let list: Value = serde_json::from_str(&ask(environment, "GET", "", "")).unwrap();
    let ports = list.as_array().unwrap().iter().map(|one| &one["ports"]);
    ports
        .map(|ports| (ports["first"].as_u64().unwrap(), ports["last"].as_u64().unwrap()))
        .collect()
}

/// Docker runs out of networks at 31.
const RUNNING: usize = 35;

#[test]
fn privileged_projects_two_hundred_at_once() {
    let mut environment = TestEnvironment::with_starter();
    let names: Vec<String> = (0..200).map(|index| format!("project{index}")).collect();
    for name in &names {
        ask(&environment, "PUT", &format!("/{name}"), &specification(name));
    }
    let given = ranges(&environment);
    assert_eq!(given.len(), 200);
    let ordered: Vec<(u64, u64)> = given.iter().copied().collect();
    assert!(ordered.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ordered:?}");
    for name in &names[..RUNNING] {
        ask(&environment, "POST", &format!("/{name}/up"), "{}");
    }
    let published: BTreeSet<String> = environment
        .hb(["ps", "--format", "{{.Ports}}"])
        .succeeds()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(published.len(), RUNNING, "{published:?}");
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(ranges(&environment), given);
    for name in &names {
        ask(&environment, "DELETE", &format!("/{name}"), "");
    }
    nothing_is_left(&environment);
    // What was given back is given again.
    ask(&environment, "PUT", "/again", &specification("again"));
    assert_eq!(ranges(&environment).first(), Some(&(10_000, 10_999)));
    ask(&environment, "DELETE", "/again", "");
    environment.finish();
}
