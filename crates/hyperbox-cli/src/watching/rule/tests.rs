// SPDX-License-Identifier: MIT
//! Rules, the files that fall under them, and what is done.

use serde_json::json;

use super::*;

fn rules(document: serde_json::Value, dockerignore: &'static str) -> Rules {
    let model = Model::from_document(&document).unwrap();
    let read = |path: &Path| (path == Path::new("/p/.dockerignore")).then(|| dockerignore.to_owned());
    Rules::of_model(&model, &[], &read).unwrap()
}

fn shop() -> Rules {
    rules(
        json!({ "services": {
            "web": {
                "build": { "context": "/p" },
                "develop": { "watch": [
                    { "path": "/p/package.json", "action": "rebuild" },
                    { "path": "/p/src", "action": "sync", "target": "/app/src", "ignore": ["node_modules/", "*.log"] },
                    { "path": "/p/conf", "action": "sync+restart", "target": "/etc/conf/", "include": ["*.ini"] },
                    { "path": "/p", "action": "restart" },
                ] },
            },
            "api": { "develop": { "watch": [
                { "path": "/p/src", "action": "sync+exec", "target": "/s", "exec": { "command": ["reload"] } },
            ] } },
        } }),
        "dist\n",
    )
}

#[test]
fn the_first_rule_that_covers_a_file_counts() {
    use WatchAction::{Rebuild, Restart, Sync, SyncExec, SyncRestart};
    let rules = shop();
    for (paths, expected) in [
        (&["/p/src/a.js"][..], vec![("api", SyncExec, 1), ("web", Sync, 1)]),
        (
            &["/p/src/a.js", "/p/src/b.js"],
            vec![("api", SyncExec, 2), ("web", Sync, 2)],
        ),
        // What a rule ignores may fall under a later one.
        (&["/p/src/x.log"], vec![("api", SyncExec, 1), ("web", Restart, 1)]),
        (&["/p/conf/a.ini"], vec![("web", SyncRestart, 1)]),
        (&["/p/conf/a.txt"], vec![("web", Restart, 1)]),
        (&["/p/package.json", "/p/README"], vec![("web", Rebuild, 1)]),
        (
            &["/p/README", "/p/src/a.js"],
            vec![("api", SyncExec, 1), ("web", Sync, 1), ("web", Restart, 1)],
        ),
        (
            &["/p/dist/x", "/p/.git/index", "/p/a.txt~", "/p/.x.swp", "/elsewhere"],
            vec![],
        ),
    ] {
        let paths: BTreeSet<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let works = works(&rules, &paths);
        let works: Vec<_> = works
            .iter()
            .map(|work| (work.service.as_str(), work.action, work.paths.len()))
            .collect();
        assert_eq!(works, expected, "{paths:?}");
    }
}

#[test]
fn destinations() {
    let rules = shop();
    let destination = |service: &str, action, path: &str| {
        let mut own = rules
            .list
            .iter()
            .filter(|rule| rule.service == service && rule.action == action);
        own.next().unwrap().destination(Path::new(path))
    };
    assert_eq!(
        destination("web", WatchAction::Sync, "/p/src/a/b").as_deref(),
        Some("/app/src/a/b")
    );
    assert_eq!(
        destination("web", WatchAction::SyncRestart, "/p/conf/a").as_deref(),
        Some("/etc/conf/a")
    );
    assert_eq!(
        destination("web", WatchAction::SyncRestart, "/p/conf").as_deref(),
        Some("/etc/conf")
    );
    assert_eq!(destination("web", WatchAction::Sync, "/q"), None);
}

#[test]
fn directories_that_are_worth_watching() {
    let sync = rules(
        json!({ "services": { "web": {
            "build": { "context": "/p" },
            "develop": { "watch": [{ "path": "/p/src", "action": "sync", "target": "/s", "ignore": ["node_modules", "!node_modules/own"] }] },
        } } }),
        "src/dist\n",
    );
    for (directory, worth) in [
        ("/p", true),
        ("/p/src", true),
        ("/p/src/a/b", true),
        ("/p/src/dist", false),
        ("/p/src/.git", false),
        ("/p/src/node_modules", true),
        ("/p/other", false),
    ] {
        assert_eq!(sync.enter(Path::new(directory)), worth, "{directory}");
    }
}

#[test]
fn patterns_that_are_none() {
    let document = json!({ "services": { "web": { "develop": { "watch": [
        { "path": "/p", "action": "restart", "ignore": ["["] },
    ] } } } });
    let model = Model::from_document(&document).unwrap();
    let error = Rules::of_model(&model, &[], &|_| None).unwrap_err();
    assert!(error.to_string().starts_with("web: "), "{error}");
}

#[test]
fn files_that_are_mounted_are_not_copied() {
    let mounted = rules(
        json!({ "services": { "web": {
            "volumes": [{ "type": "bind", "source": "/p", "target": "/app" }],
            "develop": { "watch": [
                { "path": "/p/src", "action": "sync", "target": "/app/src/" },
                { "path": "/p/conf", "action": "sync+restart", "target": "/app/conf" },
                { "path": "/p/data", "action": "sync", "target": "/elsewhere" },
            ] },
        } } }),
        "",
    );
    let list: Vec<_> = mounted.list.iter().map(|rule| (rule.action, rule.mounted)).collect();
    assert_eq!(list, [(WatchAction::SyncRestart, true), (WatchAction::Sync, false)]);
}
