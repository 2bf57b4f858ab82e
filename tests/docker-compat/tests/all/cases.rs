// SPDX-License-Identifier: MIT
//! The cases: one test for each area, one environment for each case.
//!
//! `HYPERBOX_COMPAT_CASE=AREA/CASE` runs those whose names begin so; `HYPERBOX_COMPAT_STRICT=1` shows known differences too.

use docker_compat::engine::Engine;
use docker_compat::known::KnownDifferences;
use docker_compat::script::{Case, Script};
use docker_compat::{cases, docs, tools};
use hyperbox_testkit::environment::TestEnvironment;

macro_rules! areas {
    ($($test:ident $area:literal,)*) => {
        const AREAS: &[&str] = &[$($area),*];
        $(
            #[test]
            fn $test() {
                check_area($area);
            }
        )*
    };
}

areas! {
    privileged_compat_archive "archive",
    privileged_compat_compose "compose",
    privileged_compat_devcontainer "devcontainer",
    privileged_compat_events "events",
    privileged_compat_exec "exec",
    privileged_compat_image_archives "image-archives",
    privileged_compat_images "images",
    privileged_compat_inspect "inspect",
    privileged_compat_lifecycle "lifecycle",
    privileged_compat_list "list",
    privileged_compat_logs "logs",
    privileged_compat_missing "missing",
    privileged_compat_networks "networks",
    privileged_compat_python "python",
    privileged_compat_registry "registry",
    privileged_compat_run "run",
    privileged_compat_skopeo "skopeo",
    privileged_compat_system "system",
    privileged_compat_versions_containers "versions-containers",
    privileged_compat_versions_images "versions-images",
    privileged_compat_volumes "volumes",
}

#[test]
fn each_area_has_its_test() {
    let mut files: Vec<String> = std::fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut areas = AREAS.to_vec();
    areas.sort_unstable();
    assert_eq!(files, areas);
    let known = KnownDifferences::load();
    for entry in &known.difference {
        let (area, name) = entry.case.split_once('/').unwrap();
        let case = script(area).cases.into_iter().find(|case| case.name == name);
        let case = case.unwrap_or_else(|| panic!("known-differences.toml: no case {}", entry.case));
        let step = entry.step.as_ref();
        assert!(
            step.is_none_or(|step| case.steps.iter().any(|known| known.command == *step)),
            "known-differences.toml: {} has no step {step:?}",
            entry.case
        );
    }
}

#[test]
fn the_document_is_current() {
    let written = std::fs::read_to_string(docs::path()).unwrap_or_default();
    assert!(
        written == docs::generate().unwrap(),
        "docs/docker-compatibility.md is not current: cargo xtask compat --docs"
    );
}

#[test]
fn the_specification_is_listed_whole() {
    let read =
        |path: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let routes = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut routes: Vec<String> = lines
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect();
        routes.sort();
        routes
    };
    assert_eq!(
        routes(read("routes-1.51.txt")),
        routes(read("../../crates/hyperbox-docker/tests/data/operations-v1.51.txt"))
    );
    assert!(!docs::generate().unwrap().contains("| missing: "), "a route is missing");
}

fn script(area: &str) -> Script {
    let path = cases().join(format!("{area}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check_area(area: &str) {
    let wanted = std::env::var("HYPERBOX_COMPAT_CASE").unwrap_or_default();
    let known = match std::env::var("HYPERBOX_COMPAT_STRICT").as_deref() {
        Ok("1") => KnownDifferences::default(),
        _ => KnownDifferences::load(),
    };
    let mut complaints = Vec::new();
    for case in script(area).cases {
        let name = format!("{area}/{}", case.name);
        if name.starts_with(&wanted) {
            complaints.extend(check(&name, &case, &known));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Runs a case and returns a complaint for each unexpected difference and each expected one that is none.
fn check(name: &str, case: &Case, known: &KnownDifferences) -> Vec<String> {
    let environment = TestEnvironment::with_starter();
    let outcomes = engine(&environment).run(&case.steps);
    let mut differing = Vec::new();
    let mut complaints = Vec::new();
    for (step, outcome) in case.steps.iter().zip(outcomes) {
        if step.expected == outcome {
            continue;
        }
        differing.push(step.command.as_str());
        if !known.allows(name, &step.command) {
            complaints.push(format!(
                "=== {name}\n$ {}\nDocker Engine:\n{}hyperboxd:\n{outcome}",
                step.command, step.expected
            ));
        }
    }
    complaints.extend(known.untrue(name, &differing));
    environment.finish();
    complaints
}

/// Makes the daemon of an environment an engine for steps.
pub(crate) fn engine(environment: &TestEnvironment) -> Engine {
    tools::configure(&environment.path("home"));
    let directory = environment.path("case");
    std::fs::create_dir(&directory).unwrap();
    let wrapper = environment.network().wrapper();
    let variables: Vec<_> = environment
        .command("true".as_ref())
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    Engine {
        socket: environment.socket(),
        directory,
        command: Box::new(move |program| {
            let mut command = std::process::Command::new(&wrapper[0]);
            command
                .env_clear()
                .envs(variables.iter().map(|(name, value)| (name, value)));
            command
                .args(&wrapper[1..])
                .arg(program)
                .stdin(std::process::Stdio::null());
            command
        }),
    }
}
