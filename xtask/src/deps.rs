// SPDX-License-Identifier: MIT
//! `cargo xtask deps`: the direction of dependencies, and how many packages there are.
//!
//! A crate may depend only on crates of lower lines of the architecture, in the pairs listed here (ARCHITECTURE.md draws them).
//! The testkit is a dev-dependency only; dev-dependencies may otherwise be what normal ones may, and a crate itself.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::process::{capture, cargo, root};

/// Each package and the workspace packages that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hyperbox-types", &[]),
    ("hyperbox-sys", &["hyperbox-types"]),
    ("hyperbox-runtime", &["hyperbox-types", "hyperbox-sys"]),
    ("hyperbox-bench", &[]),
    ("hyperbox-chunks", &[]),
    ("hyperbox-erofs", &[]),
    ("hyperbox-dockerfile", &[]),
    ("hyperbox-project", &["hyperbox-types", "hyperbox-dockerfile"]),
    (
        "hyperbox-core",
        &["hyperbox-types", "hyperbox-chunks", "hyperbox-dockerfile"],
    ),
    (
        "hyperbox-build",
        &["hyperbox-types", "hyperbox-sys", "hyperbox-core", "hyperbox-dockerfile"],
    ),
    ("hyperbox-store", &["hyperbox-types", "hyperbox-core", "hyperbox-sys"]),
    (
        "hyperbox-snapshot",
        &["hyperbox-types", "hyperbox-core", "hyperbox-sys", "hyperbox-erofs"],
    ),
    ("hyperbox-registry", &["hyperbox-types", "hyperbox-core"]),
    ("hyperbox-net", &["hyperbox-types", "hyperbox-core", "hyperbox-sys"]),
    ("hyperbox-dns", &["hyperbox-types", "hyperbox-core", "hyperbox-sys"]),
    ("hyperbox-cni", &["hyperbox-types", "hyperbox-core", "hyperbox-sys"]),
    (
        "hyperbox-task",
        &["hyperbox-types", "hyperbox-core", "hyperbox-runtime", "hyperbox-sys"],
    ),
    ("hyperbox-shim", &["hyperbox-types", "hyperbox-runtime", "hyperbox-sys"]),
    (
        "hyperbox-docker",
        &[
            "hyperbox-types",
            "hyperbox-dockerfile",
            "hyperbox-core",
            "hyperbox-build",
            "hyperbox-sys",
        ],
    ),
    (
        "hyperbox-api",
        &["hyperbox-types", "hyperbox-project", "hyperbox-core", "hyperbox-docker"],
    ),
    (
        "hyperbox-buildkit",
        &[
            "hyperbox-types",
            "hyperbox-dockerfile",
            "hyperbox-core",
            "hyperbox-build",
        ],
    ),
    ("hyperbox-client", &["hyperbox-types"]),
    (
        "hyperbox-cli",
        &[
            "hyperbox-types",
            "hyperbox-client",
            "hyperbox-dockerfile",
            "hyperbox-project",
            "hyperbox-bench",
        ],
    ),
    (
        "hyperbox-daemon",
        &[
            "hyperbox-types",
            "hyperbox-sys",
            "hyperbox-core",
            "hyperbox-store",
            "hyperbox-snapshot",
            "hyperbox-registry",
            "hyperbox-net",
            "hyperbox-dns",
            "hyperbox-cni",
            "hyperbox-task",
            "hyperbox-build",
            "hyperbox-buildkit",
            "hyperbox-docker",
            "hyperbox-api",
        ],
    ),
    ("hyperbox-testkit", &["hyperbox-types", "hyperbox-core"]),
    ("xtask", &["hyperbox-bench"]),
    // The images of real services that the compatibility tests are made with, too.
    ("end-to-end", &["hyperbox-types", "hyperbox-client", "docker-compat"]),
    ("docker-compat", &["hyperbox-core", "hyperbox-testkit"]),
];

/// Programs that are tested through the crate that drives them.
const TESTED_THROUGH: &[(&str, &str)] = &[("hyperbox-shim", "hyperbox-task")];

/// How many packages `Cargo.lock` may list: each new one is a decision.
const PACKAGE_BUDGET: usize = 320;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Runs the task.
pub(crate) fn run() -> Result<()> {
    let text = capture(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read cargo metadata")?;
    let offences = offences(&metadata);
    if !offences.is_empty() {
        bail!("dependencies against the architecture:\n  {}", offences.join("\n  "));
    }
    let lock = root().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    if packages > PACKAGE_BUDGET {
        bail!("Cargo.lock lists {packages} packages, {PACKAGE_BUDGET} are allowed");
    }
    println!("deps: directions hold; {packages} of {PACKAGE_BUDGET} packages");
    Ok(())
}

fn offences(metadata: &Metadata) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut offences = Vec::new();
    for package in &metadata.packages {
        let Some(allowed) = table.get(package.name.as_str()) else {
            offences.push(format!("{} is not in the table of xtask/src/deps.rs", package.name));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_some())
        {
            let development = dependency.kind.as_deref() == Some("dev");
            let fine = allowed.contains(&dependency.name.as_str())
                || (development && matches!(dependency.name.as_str(), "hyperbox-testkit" | "hyperbox-core"))
                || (development && TESTED_THROUGH.contains(&(package.name.as_str(), dependency.name.as_str())));
            if !fine {
                let kind = dependency.kind.as_deref().unwrap_or("normal");
                offences.push(format!("{} -> {} ({kind})", package.name, dependency.name));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences_of(json: &str) -> Vec<String> {
        offences(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn wrong_directions_are_named() {
        let edge = |from: &str, to: &str, kind: &str| {
            format!(
                r#"{{"packages": [{{"name": "{from}", "dependencies": [{{"name": "{to}", "kind": {kind}, "path": "/"}}]}}]}}"#
            )
        };
        for (from, to, kind, fine) in [
            ("hyperbox-core", "hyperbox-types", "null", true),
            ("hyperbox-core", "hyperbox-store", "null", false),
            ("hyperbox-core", "hyperbox-testkit", r#""dev""#, true),
            ("hyperbox-core", "hyperbox-testkit", "null", false),
            ("hyperbox-daemon", "hyperbox-runtime", "null", false),
            ("hyperbox-new", "hyperbox-types", "null", false),
        ] {
            assert_eq!(offences_of(&edge(from, to, kind)).is_empty(), fine, "{from} -> {to}");
        }
    }

    #[test]
    fn foreign_packages_are_not_judged() {
        let json = r#"{"packages": [{"name": "hyperbox-types", "dependencies": [{"name": "serde", "kind": null}]}]}"#;
        assert!(offences_of(json).is_empty());
    }
}
