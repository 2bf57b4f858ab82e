// SPDX-License-Identifier: MIT
//! The one menu of development tasks: `cargo xtask TASK`.
//!
//! One file per task. A task says each command that it runs, stops at the first failure and can be repeated. Whatever CI does is
//! one of these tasks.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to the person who started it"
)]

mod bench;
mod check;
mod clients;
mod compat;
mod compose_cases;
mod deps;
mod fuzz;
mod machine;
mod network_remains;
mod process;
mod quickstart;
mod setup;
mod starter;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of HyperBox.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Installs the Debian packages that building, running and testing need.
    Setup(setup::Arguments),
    /// Formatting, lints, dependency rules, documentation, licences: everything but tests.
    Check,
    /// Compares the crates' dependencies with the table of the architecture.
    Deps,
    /// Runs Docker's own clients against hyperboxd, or records what Docker Engine answers them.
    Compat(compat::Arguments),
    /// Records what `docker compose config` makes of the Compose files of the tests.
    ComposeCases(compose_cases::Arguments),
    /// Installs what the tests need and runs everything there is.
    Test(test::Arguments),
    /// Runs the tests that need cgroup v2 in a throw-away virtual machine.
    VmTest(vm::Arguments),
    /// Runs each fuzz target for some seconds.
    Fuzz(fuzz::Arguments),
    /// Builds HyperBox, starts it and runs a first container.
    Quickstart(quickstart::Arguments),
    /// Measures HyperBox and whatever of docker, podman and crun can be reached.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Check => check::run(),
        Task::Deps => deps::run(),
        Task::Compat(arguments) => compat::run(&arguments),
        Task::ComposeCases(arguments) => compose_cases::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::VmTest(arguments) => vm::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Quickstart(arguments) => quickstart::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
