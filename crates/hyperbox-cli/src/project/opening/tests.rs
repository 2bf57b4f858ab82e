// SPDX-License-Identifier: MIT
//! Which files and which name a project has.

use std::io;

use super::*;

struct Tree(&'static [(&'static str, &'static str)]);

impl Files for Tree {
    fn read(&self, path: &Path) -> io::Result<String> {
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.iter().any(|(name, _)| Path::new(name) == path)
    }
}

const TREE: Tree = Tree(&[
    (
        "/w/shop/compose.yaml",
        "services: {web: {image: web}, db: {image: 'db:${TAG:-none}'}}",
    ),
    ("/w/shop/.env", "TAG=of-env\n"),
    (
        "/w/shop/hyperbox.toml",
        "name = 'market'\n[limits]\nmemory = '1G'\n[ports]\nweb = [80]",
    ),
    (
        "/w/other.yml",
        "name: named\nservices: {a: {image: a, profiles: [p]}, b: {image: b}}",
    ),
    ("/w/app/Dockerfile", "FROM scratch\nEXPOSE 80\n"),
    ("/w/e/.env", "COMPOSE_FILE=x.yml\n"),
    (
        "/w/e/x.yml",
        "services: {x: {image: x}}\nsecrets: {s: {environment: TOKEN}}",
    ),
    (
        "/w/mounted.yml",
        "name: m\nservices: {x: {image: x, secrets: [s]}}\nsecrets: {s: {environment: TOKEN}}",
    ),
    ("/w/node/package.json", "{}"),
]);

fn world(directory: &str, variables: &[(&str, &str)]) -> World {
    World {
        directory: directory.into(),
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn opened(directory: &str, options: &ProjectOptions, variables: &[(&str, &str)]) -> Opened {
    open(options, &world(directory, variables), &TREE).unwrap()
}

#[test]
fn files_and_names() {
    let plain = ProjectOptions::default();
    let shop = opened("/w/shop/src/deep", &plain, &[]);
    assert_eq!(
        (shop.name.as_str(), shop.directory.as_path()),
        ("market", Path::new("/w/shop"))
    );
    assert_eq!(shop.files, [Path::new("/w/shop/compose.yaml")]);
    assert_eq!(shop.model.services["db"].image.as_deref(), Some("db:of-env"));
    assert_eq!(shop.model.services["web"].ports[0].target, 80);
    assert_eq!(shop.limits.memory, Some(1 << 30));

    let named = opened("/w/shop", &plain, &[("COMPOSE_PROJECT_NAME", "env"), ("TAG", "outer")]);
    assert_eq!(named.name, "env");
    assert_eq!(named.model.services["db"].image.as_deref(), Some("db:outer"));

    let options = ProjectOptions {
        file: vec!["../other.yml".into()],
        profile: vec!["p".to_owned()],
        ..ProjectOptions::default()
    };
    let other = opened("/w/shop", &options, &[]);
    assert_eq!(
        (other.name.as_str(), other.directory.as_path()),
        ("named", Path::new("/w"))
    );
    assert_eq!(other.model.services.len(), 2);
    assert!(other.detection.is_none());

    let options = ProjectOptions {
        project_name: Some("mine".to_owned()),
        project_directory: Some("/w/shop".into()),
        ..ProjectOptions::default()
    };
    assert_eq!(opened("/", &options, &[]).name, "mine");
}

#[test]
fn a_proposal_runs_without_being_written() {
    let app = opened("/w/app", &ProjectOptions::default(), &[]);
    assert_eq!(app.name, "app");
    assert!(app.files.is_empty());
    assert_eq!(app.model.services["app"].build.as_ref().unwrap().context, "/w/app");
}

#[test]
fn variables_name_files_and_contents() {
    let x = opened("/w/e", &ProjectOptions::default(), &[("TOKEN", "t")]);
    assert_eq!(x.files, [Path::new("/w/e/x.yml")]);
    // A secret that no service mounts is dropped, as Compose does.
    assert!(x.contents.is_empty());
}

#[test]
fn variables_that_are_not_set_are_told_to_who_makes_containers() {
    let options = ProjectOptions {
        file: vec!["/w/mounted.yml".into()],
        ..ProjectOptions::default()
    };
    let set = opened("/w", &options, &[("TOKEN", "t")]);
    assert_eq!((set.contents["secrets.s"].as_str(), set.unset), ("t", None));
    // Whoever stops the project does not need them.
    let unset = opened("/w", &options, &[]);
    assert!(unset.contents.is_empty());
    let message = "secrets.s: the variable TOKEN of the environment is not set";
    assert_eq!(unset.unset.as_deref(), Some(message));
}

#[test]
fn what_cannot_be_opened() {
    for (directory, message) in [
        (
            "/w/none",
            "/w/none: no Compose file, Dockerfile, devcontainer.json or known language",
        ),
        (
            "/w/node",
            "/w/node: Node.js found by package.json, but nothing tells how it is started",
        ),
    ] {
        let error = open(&ProjectOptions::default(), &world(directory, &[]), &TREE).unwrap_err();
        let report = error.report(crate::dialect::Dialect::Own);
        assert!(report.starts_with(&format!("hb: {message}")), "{report}");
        assert!(report.contains("\nhint: "), "{report}");
    }
}

#[test]
fn a_name_needs_no_files() {
    let options = ProjectOptions {
        project_name: Some("mine".to_owned()),
        ..ProjectOptions::default()
    };
    assert_eq!(open_name(&options, &world("/w/none", &[]), &TREE).unwrap(), "mine");
    assert_eq!(
        open_name(&ProjectOptions::default(), &world("/w/shop", &[]), &TREE).unwrap(),
        "market"
    );
}
