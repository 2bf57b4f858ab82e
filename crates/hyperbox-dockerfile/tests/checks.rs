// SPDX-License-Identifier: MIT
//! Build checks find what Docker's BuildKit finds: `checks/NAME.check` is a Dockerfile and what `docker build --check` says of it.
//!
//! A case is a text of sections, each headed by `==> NAME`: `Dockerfile`, `.dockerignore`, `options` of the command one a line, and
//! `expected`: a finding in each line as `RULE LINES: MESSAGE`, then `error LINES: MESSAGE` if something ends the check.

use std::collections::BTreeMap;
use std::path::Path;

use hyperbox_dockerfile::check::{BaseImage, CheckedStages, Surroundings, check};
use hyperbox_dockerfile::{Ignore, Lines};

/// The sections of a case by name.
fn sections(text: &str) -> BTreeMap<&str, &str> {
    let sections = text.split("==> ").skip(1);
    sections.filter_map(|section| section.split_once('\n')).collect()
}

fn arguments(options: &str) -> BTreeMap<String, String> {
    let mut lines = options.lines();
    let mut found = BTreeMap::new();
    while let Some(line) = lines.next() {
        if line == "--build-arg" {
            let (name, value) = lines
                .next()
                .and_then(|line| line.split_once('='))
                .expect("a line NAME=VALUE");
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

/// What the recording engine's machine is.
fn predefined() -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for prefix in ["BUILD", "TARGET"] {
        for (name, value) in [
            ("PLATFORM", "linux/amd64"),
            ("OS", "linux"),
            ("ARCH", "amd64"),
            ("OSVERSION", ""),
            ("VARIANT", ""),
        ] {
            values.insert(format!("{prefix}{name}"), value.to_owned());
        }
    }
    values.insert("TARGETSTAGE".to_owned(), "default".to_owned());
    values
}

fn shown(lines: Lines) -> String {
    let each: Vec<String> = (lines.first..=lines.last)
        .map(|line| format!("{line}-{line}"))
        .collect();
    each.join(",")
}

fn checked(case: &str) -> String {
    let sections = sections(case);
    let options = sections.get("options").copied().unwrap_or_default();
    let target = options.lines().find_map(|line| line.strip_prefix("--target="));
    let ignore = sections
        .get(".dockerignore")
        .map(|text| Ignore::parse(text).expect("patterns"));
    let (arguments, predefined) = (arguments(options), predefined());
    let checked = check(
        sections["Dockerfile"],
        &Surroundings {
            arguments: &arguments,
            predefined: &predefined,
            target,
            stages: CheckedStages::All,
            ignore: ignore.as_ref(),
            image: &|_| None,
        },
    );
    let mut told = String::new();
    for finding in checked.findings {
        let (rule, lines) = (finding.rule.name(), shown(finding.lines));
        told.push_str(&format!("{rule} {lines}: {}\n", finding.message));
    }
    if let Some(mistake) = checked.mistake {
        let lines: Vec<String> = mistake.lines.into_iter().map(shown).collect();
        let lines = lines.join(",");
        told.push_str(&format!("error {lines}: {}\n", mistake.message));
    }
    told
}

#[test]
fn recorded_checks_are_repeated() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks");
    let mut wrong = String::new();
    let mut number = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let case = std::fs::read_to_string(&path).unwrap();
        let expected = sections(&case)["expected"].to_owned();
        let found = checked(&case);
        number += 1;
        if found != expected {
            wrong.push_str(&format!("== {}\nexpected:\n{expected}found:\n{found}", path.display()));
        }
    }
    assert!(number > 90, "only {number} cases");
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_a_base_image_brings_is_known() {
    let (none, predefined) = (BTreeMap::new(), predefined());
    let around = |image: &'static dyn Fn(&str) -> Option<BaseImage>| -> Vec<String> {
        let around = Surroundings {
            arguments: &none,
            predefined: &predefined,
            target: None,
            stages: CheckedStages::Needed,
            ignore: None,
            image,
        };
        let text = "FROM image:1\nLABEL a=$THERE\nCMD x\n";
        check(text, &around).findings.iter().map(|one| one.short()).collect()
    };
    assert_eq!(
        around(&|_| None),
        [
            "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 3)"
        ]
    );
    assert!(
        around(&|_| Some(BaseImage::default()))[0].starts_with("UndefinedVar: Usage of undefined variable '$THERE'")
    );
    let brings: &'static dyn Fn(&str) -> Option<BaseImage> = &|name| {
        (name == "image:1").then(|| BaseImage {
            environment: vec!["THERE=1".to_owned()],
            has_shell: true,
        })
    };
    assert_eq!(around(brings), [""; 0]);
}
