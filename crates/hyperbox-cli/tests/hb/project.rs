// SPDX-License-Identifier: MIT
//! Commands about projects: what is found, what is asked of the daemon, what is shown. What a daemon does of it is tested end to end.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::daemon::{Daemon, answer};
use super::program::{Finished, hb};

const SUMMARY: &str =
    r#"{"name":"shop","directory":"/w","files":[],"opened":true,"state":"empty","running":0,"containers":0}"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = scratch.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    scratch
}

fn in_folder(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = hb(arguments);
    command.current_dir(folder);
    command
}

fn run_in(folder: &Path, arguments: &[&str]) -> Finished {
    in_folder(folder, arguments).output().unwrap().into()
}

#[test]
fn a_folder_is_explained_and_its_proposal_written_once() {
    let node = folder(&[("package.json", r#"{"scripts":{"start":"node ."}}"#)]);
    let shown = run_in(node.path(), &["project", "open", "--explain"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(
        shown.stdout.contains("\nIt is: a Node.js project, by package.json\n"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("\nservices:\n  app:\n"), "{shown:?}");
    let written = run_in(node.path(), &["project", "open", "--write"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let text = fs::read_to_string(node.path().join("compose.yaml")).unwrap();
    assert!(shown.stdout.contains(text.trim_end()), "{text}");
    // Now it is a Compose project, beside whose files hyperbox.toml belongs.
    let compose = run_in(node.path(), &["up", "--explain"]);
    assert!(compose.stdout.contains("It is: a Compose project"), "{compose:?}");
    assert_eq!(run_in(node.path(), &["project", "open", "--write"]).code, Some(0));
    assert!(node.path().join("hyperbox.toml").is_file());
    let again = run_in(node.path(), &["project", "open", "--write"]);
    assert_eq!(again.code, Some(1));
    assert!(
        again
            .stderr
            .contains("hyperbox.toml is there already, and is not overwritten"),
        "{again:?}"
    );
}

#[test]
fn files_are_resolved_without_a_daemon() {
    let shop = folder(&[
        (
            "compose.yaml",
            "name: shop\nservices: {web: {image: 'web:${TAG}', build: .}, db: {image: db}}\nvolumes: {v: {}}",
        ),
        (".env", "TAG=3\n"),
    ]);
    for (arguments, expected) in [
        (&["--services"][..], "db\nweb\n"),
        (&["--images"], "db\nweb:3\n"),
        (&["--quiet"], ""),
        (&["--json", "--quiet"], ""),
    ] {
        let result = run_in(shop.path(), &[&["project", "config"], arguments].concat());
        assert_eq!(
            (result.code, result.stdout.as_str()),
            (Some(0), expected),
            "{arguments:?}: {result:?}"
        );
    }
    let yaml = run_in(shop.path(), &["project", "config"]).stdout;
    assert!(
        yaml.starts_with("name: shop\n") && yaml.contains("\n    image: web:3\n"),
        "{yaml}"
    );
    let broken = folder(&[("compose.yaml", "services:\n  web:\n    imag: x\n")]);
    let result = run_in(broken.path(), &["up"]);
    assert_eq!(result.code, Some(1));
    assert!(
        result
            .stderr
            .contains("compose.yaml:3:11: services.web.imag: unknown key \"imag\", did you mean \"image\"?"),
        "{result:?}"
    );
}

#[test]
fn up_tells_what_happens() {
    let shop = folder(&[("compose.yaml", "services: {web: {image: web}}")]);
    let events = concat!(
        r#"{"event":"planned","operations":[]}"#,
        "\n",
        r#"{"event":"operation","number":1,"text":"create shop-web-1","cause":"missing","phase":"started"}"#,
        "\n",
        r#"{"event":"operation","number":1,"text":"create shop-web-1","cause":"missing","phase":"done"}"#,
        "\n",
        r#"{"event":"done","summary":{"created":1,"started":0,"stopped":0,"removed":0,"milliseconds":20}}"#,
        "\n"
    );
    for (flags, stdout, stderr) in [
        (
            &["-d"][..],
            "",
            "create shop-web-1 (missing)\nshop: 1 created in 0.02 s\n",
        ),
        (&["-d", "--quiet"], "", ""),
        (&["--json"], events, ""),
    ] {
        let daemon = Daemon::start(vec![answer("200 OK", events)]);
        let arguments = [
            &["--host", daemon.address(), "up", "-p", "shop", "--scale", "web=2"],
            flags,
        ]
        .concat();
        let result = run_in(shop.path(), &arguments);
        assert_eq!(result.code, Some(0), "{result:?}");
        assert_eq!(
            (result.stdout.as_str(), result.stderr.as_str()),
            (stdout, stderr),
            "{flags:?}"
        );
        // What the project is comes with the wish.
        assert_eq!(daemon.request_lines(), ["POST /hyperbox/v1/projects/shop/up HTTP/1.1"]);
        assert!(
            daemon.request(0).contains(r#""scale":{"web":2}"#),
            "{}",
            daemon.request(0)
        );
        let directory = shop.path().display().to_string();
        assert!(daemon.request(0).contains(&directory), "{}", daemon.request(0));
    }
}

#[test]
fn failures_come_with_what_to_do() {
    let shop = folder(&[("compose.yaml", "services: {web: {image: web}}")]);
    let failed =
        r#"{"event":"failed","kind":"conflict","message":"port 80 belongs to project x","hint":"--remap takes 10080"}"#;
    let daemon = Daemon::start(vec![answer("200 OK", failed)]);
    let result = run_in(shop.path(), &["--host", daemon.address(), "up", "-d", "-p", "shop"]);
    assert_eq!(
        (result.code, result.stderr.as_str()),
        (Some(1), "hb: port 80 belongs to project x\nhint: --remap takes 10080\n")
    );
    let daemon = Daemon::start(vec![answer("200 OK", "")]);
    let result = run_in(shop.path(), &["--host", daemon.address(), "up", "-d", "-p", "shop"]);
    assert_eq!(result.code, Some(1));
    assert!(
        result
            .stderr
            .starts_with("hb: lost the connection to the daemon in the middle of it\nhint: "),
        "{result:?}"
    );
    let unknown = || answer("404 Not Found", r#"{"message":"page not found"}"#);
    let daemon = Daemon::start(vec![unknown(), unknown()]);
    let result = run_in(shop.path(), &["--host", daemon.address(), "up", "-d"]);
    assert!(
        result
            .stderr
            .contains("the daemon is another engine, which has no projects"),
        "{result:?}"
    );
}

#[test]
fn a_name_whose_folder_is_gone_is_taken_over() {
    let shop = folder(&[("compose.yaml", "services: {web: {image: web}}")]);
    let conflict = || {
        answer(
            "409 Conflict",
            r#"{"message":"shop is the project of /no/such","hint":"-p NAME"}"#,
        )
    };
    // By TCP the machine is told, and only its own folders can be looked for.
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let status = |directory: &str| {
        let text = format!(
            r#"{{"name":"shop","directory":"{directory}","machine":"{}","opened":true,"state":"empty","running":0,"containers":0,
               "services":[],"networks":[],"volumes":[]}}"#,
            machine.trim()
        );
        answer("200 OK", text.leak())
    };
    let done = r#"{"event":"done","summary":{}}"#;
    let daemon = Daemon::start(vec![
        conflict(),
        conflict(),
        status("/no/such/folder"),
        answer("200 OK", SUMMARY),
        answer("200 OK", done),
    ]);
    let result = run_in(shop.path(), &["--host", daemon.address(), "up", "-d", "-p", "shop"]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert!(
        result
            .stderr
            .starts_with("shop: its folder was /no/such/folder, which is gone"),
        "{result:?}"
    );
    assert_eq!(
        daemon.request_lines()[3],
        "PUT /hyperbox/v1/projects/shop?moved=1 HTTP/1.1"
    );

    let daemon = Daemon::start(vec![conflict(), conflict(), status("/")]);
    let result = run_in(shop.path(), &["--host", daemon.address(), "up", "-d", "-p", "shop"]);
    assert_eq!(result.code, Some(1));
    assert!(
        result
            .stderr
            .ends_with("shop is the project of /no/such\nhint: -p NAME\n"),
        "{result:?}"
    );
}

#[test]
fn plans_are_shown_and_nothing_is_done() {
    let shop = folder(&[("compose.yaml", "services: {web: {build: .}, db: {image: db}}")]);
    let plan = r#"{"text":"1 create shop-db-1 (missing)\n","operations":[],"missing_images":["db"],"builds":["web"]}"#;
    let daemon = Daemon::start(vec![answer("200 OK", SUMMARY), answer("200 OK", plan)]);
    let result = run_in(
        shop.path(),
        &["--host", daemon.address(), "up", "--dry-run", "-p", "shop"],
    );
    assert_eq!(
        (result.code, result.stdout.as_str()),
        (
            Some(0),
            "build the image of web\npull db\n1 create shop-db-1 (missing)\n"
        ),
        "{result:?}"
    );
}

#[test]
fn projects_are_named_from_anywhere() {
    let empty = folder(&[]);
    let done = r#"{"event":"done","summary":{"removed":2,"milliseconds":1500}}"#;
    for (arguments, line) in [
        (
            &["down", "-p", "shop", "-v"][..],
            "POST /hyperbox/v1/projects/shop/down HTTP/1.1",
        ),
        (
            &["project", "remove", "shop", "-v"],
            "DELETE /hyperbox/v1/projects/shop?volumes=1 HTTP/1.1",
        ),
        (
            &["project", "stop", "-p", "shop", "-t", "3"],
            "POST /hyperbox/v1/projects/shop/stop HTTP/1.1",
        ),
        (
            &["project", "restart", "-p", "shop"],
            "POST /hyperbox/v1/projects/shop/restart HTTP/1.1",
        ),
    ] {
        let daemon = Daemon::start(vec![answer("200 OK", done)]);
        let result = run_in(empty.path(), &[&["--host", daemon.address()], arguments].concat());
        assert_eq!(
            (result.code, result.stderr.as_str()),
            (Some(0), "shop: 2 removed in 1.50 s\n"),
            "{arguments:?}"
        );
        assert_eq!(daemon.request_lines(), [line]);
    }
    let result = run_in(empty.path(), &["status"]);
    assert_eq!(result.code, Some(1));
    assert!(
        result
            .stderr
            .contains("no Compose file, Dockerfile, devcontainer.json or known language"),
        "{result:?}"
    );
}

#[test]
fn wrong_words() {
    for (arguments, text) in [
        (&["up", "--build", "--no-build"][..], "cannot be used with"),
        (&["up", "--scale", "web"], "must be SERVICE=NUMBER"),
        (&["up", "--scale", "web=x"], "\"x\" is no number"),
        (&["up", "--pull", "sometimes"], "must be always, missing or never"),
        (&["down", "--rmi", "some"], "must be local or all"),
        (&["up", "-d", "--watch"], "cannot be used with"),
        (&["project", "exec", "web"], "requires at least 2 arguments"),
        (&["project", "config", "--format", "xml"], "--format"),
    ] {
        let result: Finished = hb(arguments).output().unwrap().into();
        assert_ne!(result.code, Some(0), "{arguments:?}");
        assert!(result.stderr.contains(text), "{arguments:?}: {}", result.stderr);
    }
}
