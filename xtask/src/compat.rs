// SPDX-License-Identifier: MIT
//! `cargo xtask compat`: Docker's own clients against hyperboxd; `--record` asks Docker Engine for the expectations.

use anyhow::{Result, bail};

use crate::process::{cargo, run as execute};
use crate::{clients, test};

/// Arguments of `compat`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Writes what the engine of DOCKER_HOST does into the cases. It must be nobody else's: everything in it is removed.
    #[arg(long)]
    record: bool,
    /// Writes docs/docker-compatibility.md.
    #[arg(long, conflicts_with = "record")]
    docs: bool,
    /// The beginning of the names of the cases, such as `run` or `run/mistakes`.
    cases: Vec<String>,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    clients::install()?;
    let recorder = [
        "run",
        "--quiet",
        "--package",
        "docker-compat",
        "--bin",
        "compat-record",
        "--",
    ];
    if arguments.docs {
        return execute(cargo(&recorder).arg("--docs"));
    }
    if arguments.record {
        return execute(cargo(&recorder).args(&arguments.cases));
    }
    execute(&mut cargo(&[
        "build",
        "--workspace",
        "--bins",
        "--features",
        test::FEATURES,
    ]))?;
    let mut tests = cargo(&["nextest", "run", "--package", "docker-compat"]);
    match arguments.cases.as_slice() {
        [] => execute(&mut tests),
        [case] => execute(
            tests
                .args(["cases::", "--no-fail-fast"])
                .env("HYPERBOX_COMPAT_CASE", case),
        ),
        _ => bail!("one case or all of them; several only with --record"),
    }
}
