// SPDX-License-Identifier: MIT
//! `hyperbox.toml`: what it says, what is wrong with it and where, and that its schema knows every key.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

use std::path::Path;

use hyperbox_project::detect::Language;
use hyperbox_project::model::WatchAction;
use hyperbox_project::settings::{Settings, TEMPLATE, apply, parse};
use serde_json::{Value, json};

const WHOLE: &str = r#"
name = "shop"
[app]
language = "node"
version = "22"
port = 3000
[commands]
install = "npm ci"
build = "npm run build"
start = "npm start"
[limits]
cpus = 1.5
memory = "2G"
pids = 500
io = { read = "50M", write = 1048576, read_operations = 1000, write_operations = 900, weight = 100 }
[ports]
web = ["8080:80", 9229]
[[watch]]
service = "web"
path = "src"
action = "sync+exec"
target = "/app/src"
ignore = ["*.log"]
include = ["*.js"]
initial_sync = true
exec = ["npm", "run", "x"]
"#;

fn read(text: &str) -> Result<Settings, String> {
    parse(text, Path::new("/p/hyperbox.toml")).map_err(|error| error.to_string())
}

#[test]
fn a_whole_file() {
    let settings = read(WHOLE).unwrap();
    assert_eq!(settings.name.as_deref(), Some("shop"));
    assert_eq!(settings.app.language, Some(Language::Node));
    assert_eq!(settings.commands.start.as_deref(), Some("npm start"));
    assert_eq!(settings.limits.memory, Some(2 << 30));
    assert_eq!(settings.limits.io.write, Some(1 << 20));
    assert_eq!(settings.ports[0].ports.len(), 2);
    assert_eq!(settings.watch[0].rule.action, WatchAction::SyncExec);
    assert_eq!(read(TEMPLATE).unwrap().limits, Settings::default().limits);
    let uncommented: String = TEMPLATE
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = ") || line.starts_with('['))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(read(&uncommented).unwrap().watch.len(), 1);
    assert_eq!(read("").unwrap().limits, Settings::default().limits);
}

#[test]
fn mistakes_name_their_place() {
    for (text, expected) in [
        (
            "name = \"Shop\"",
            "1:8: name: must consist of lower case letters, digits, - and _, and begin with a letter or a digit",
        ),
        (
            "[limits]\nmemory = \"much\"",
            "2:10: limits.memory: must be a number of bytes, such as 512M or 2G",
        ),
        (
            "[limits]\ncpus = 0.0",
            "2:8: limits.cpus: must be a number of processors, at least 0.01",
        ),
        (
            "[limits]\nio = { weight = 5 }",
            "2:17: limits.io.weight: must be 10 to 1000",
        ),
        ("[ports]\nweb = [\"a:b\"]", "2:8: ports.web: Invalid containerPort: b"),
        ("[commands]\nstart = \"a\\nb\"", "2:9: commands.start: must be one line"),
        (
            "[app]\nversion = \"a b\"",
            "2:11: app.version: must be a tag of an image, such as 22 or 3.12",
        ),
        ("[app]\nport = 0", "2:8: app.port: must be a port, 1 to 65535"),
        (
            "\n[[watch]]\npath = \"a\"\naction = \"sync\"",
            "2:1: watch.target: must be an absolute path of the container, since files are copied",
        ),
        (
            "[[watch]]\npath = \"a\"\naction = \"rebuild\"\nexec = [\"x\"]",
            "1:1: watch.exec: belongs to the action sync+exec, which needs it",
        ),
    ] {
        assert_eq!(
            read(text).unwrap_err(),
            format!("/p/hyperbox.toml:{expected}"),
            "{text}"
        );
    }
    for (text, place, part) in [
        ("a = 1\n", "1:1", "unknown field `a`"),
        ("\n[app]\nlanguage = \"cobol\"", "3:12", "unknown variant `cobol`"),
        (
            "[limits]\n\npids = \"x\"",
            "3:8",
            "limits.pids: invalid type: string \"x\", expected a whole number",
        ),
        ("[limits]\nio = { read = 1, zz = 2 }", "2:18", "unknown field `zz`"),
        (
            "[ports]\nweb = \"80\"",
            "2:7",
            "ports.web: invalid type: string \"80\", expected a list",
        ),
        ("name = ", "1:8", ""),
    ] {
        let message = read(text).unwrap_err();
        assert!(message.starts_with(&format!("/p/hyperbox.toml:{place}: ")), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn ports_and_rules_are_added_to_the_model() {
    let mut document = json!({ "services": {
        "web": { "ports": [
            { "target": 80, "protocol": "tcp", "published": "80", "mode": "ingress" },
            { "target": 443, "protocol": "tcp", "mode": "ingress" },
        ], "develop": { "watch": [{ "path": "/p", "action": "rebuild" }] } },
        "db": {},
    } });
    apply(&read(WHOLE).unwrap(), Path::new("/p"), &mut document).unwrap();
    let web = &document["services"]["web"];
    let ports: Vec<(u64, Option<&str>)> = web["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| (port["target"].as_u64().unwrap(), port["published"].as_str()))
        .collect();
    assert_eq!(ports, [(443, None), (80, Some("8080")), (9229, None)]);
    assert_eq!(
        web["develop"]["watch"],
        json!([
            {
                "path": "/p/src", "action": "sync+exec", "target": "/app/src", "ignore": ["*.log"], "include": ["*.js"],
                "initial_sync": true, "exec": { "command": ["npm", "run", "x"] }
            },
            { "path": "/p", "action": "rebuild" }
        ])
    );
    for (text, expected) in [
        (
            "[ports]\nnone = [80]",
            "/p/hyperbox.toml:2:1: ports: no service \"none\"; there are db, web",
        ),
        (
            "[[watch]]\npath = \"a\"\naction = \"rebuild\"",
            "/p/hyperbox.toml:1:1: watch: say which service is meant: db, web",
        ),
    ] {
        let error = apply(&read(text).unwrap(), Path::new("/p"), &mut document).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

/// The keys that a table takes, as the parser names them when it meets one that it does not know.
fn keys(table: &str) -> Vec<String> {
    let message = read(table).unwrap_err();
    let (_, expected) = message.split_once("expected").expect("the message lists the keys");
    let mut keys: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn the_schema_knows_every_key() {
    let schema: Value = serde_json::from_str(include_str!("../../../config/hyperbox.schema.json")).unwrap();
    for (pointer, table) in [
        ("", "zz = 1"),
        ("/properties/app", "[app]\nzz = 1"),
        ("/properties/commands", "[commands]\nzz = 1"),
        ("/properties/limits", "[limits]\nzz = 1"),
        ("/properties/limits/properties/io", "[limits.io]\nzz = 1"),
        ("/properties/watch/items", "[[watch]]\nzz = 1"),
    ] {
        let object = schema.pointer(pointer).unwrap();
        assert_eq!(object["additionalProperties"], json!(false), "{pointer}");
        let mut known: Vec<String> = object["properties"].as_object().unwrap().keys().cloned().collect();
        known.sort();
        assert_eq!(known, keys(table), "{pointer}");
        let described = object["properties"].as_object().unwrap().values();
        for value in described {
            assert!(
                value["description"].is_string() || pointer.is_empty(),
                "{pointer}: {value}"
            );
        }
    }
    let languages: Vec<Language> =
        serde_json::from_value(schema["properties"]["app"]["properties"]["language"]["enum"].clone()).unwrap();
    assert_eq!(languages, Language::ALL);
}
