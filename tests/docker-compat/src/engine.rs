// SPDX-License-Identifier: MIT
//! Runs the steps of a case against an engine: Docker Engine when recording, hyperboxd in the tests.
//!
//! A step is given to `sh` with [the prelude](../prelude.sh), `DIR` (an empty directory of the case), `FIXTURES` (the directory
//! of that name), `PYTHON` and `DEVCONTAINER` (installed by `cargo xtask setup`) and `DOCKER_HOST`. Steps of a
//! case run one after another; nothing is kept between them but what the engine and the directory keep.

use std::path::{Path, PathBuf};
use std::process::Command;

use hyperbox_testkit::environment::Output;

use crate::normalise::Normaliser;
use crate::script::{Outcome, STATE, Step};
use crate::{images, state, tools, versions};

/// How long one step may take, in seconds.
const STEP_SECONDS: &str = "40";

const PRELUDE: &str = include_str!("prelude.sh");

/// An engine as a case sees it.
pub struct Engine {
    /// Its socket.
    pub socket: PathBuf,
    /// An empty directory for the case.
    pub directory: PathBuf,
    /// Makes a command that runs a program in the engine's network, with HOME, TMPDIR and nothing else of our environment.
    pub command: Box<dyn Fn(&str) -> Command>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs a shell script in the engine's network.
    ///
    /// # Panics
    /// When no shell can be started.
    pub fn shell(&self, script: &str) -> Output {
        Output::of(self.shell_command().args(["-c", &format!("{PRELUDE}\n{script}")]))
    }

    fn shell_command(&self) -> Command {
        let mut command = (self.command)("timeout");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories = tools::programs().to_vec();
        directories.extend(std::env::split_paths(&path));
        command
            .args(["--kill-after", "5", STEP_SECONDS, "sh"])
            .env(
                "PATH",
                std::env::join_paths(directories).expect("directories without colons"),
            )
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DIR", &self.directory)
            .env("FIXTURES", concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
            .env("PYTHON", tools::target().join("python-clients/bin/python"))
            .env(
                "DEVCONTAINER",
                tools::target().join("node-clients/node_modules/.bin/devcontainer"),
            )
            .env("LC_ALL", "C")
            .current_dir(&self.directory);
        command
    }

    /// Loads the image with a configuration.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn load(&self, image: &hyperbox_testkit::images::Image, name: &str) {
        let archive = self.directory.join(".image.tar");
        images::write_archive(image, name, &archive);
        self.shell("docker load --quiet --input .image.tar").succeeds();
        std::fs::remove_file(&archive).expect("the archive is there");
    }

    /// Runs all steps and returns what each did, comparable.
    ///
    /// # Panics
    /// When a step cannot be started or the engine is gone.
    pub fn run(&self, steps: &[Step]) -> Vec<Outcome> {
        if steps.iter().any(|step| step.command.contains(images::CONFIGURED)) {
            self.load(&images::configured(), images::CONFIGURED);
        }
        if steps.iter().any(|step| step.command.contains("shop/compose.yaml")) {
            self.load(&images::redis(), images::REDIS);
        }
        let mut normaliser = Normaliser::new(self.places());
        steps.iter().map(|step| self.step(step, &mut normaliser)).collect()
    }

    fn step(&self, step: &Step, normaliser: &mut Normaliser) -> Outcome {
        if step.command == STATE {
            let list = state::list(&self.socket).unwrap_or_else(|error| format!("no answer: {error}"));
            return normaliser.outcome(&list, "", 0, &step.rules);
        }
        if let Some(request) = step.command.strip_prefix(versions::PREFIX) {
            let shapes = versions::ask(&self.socket, &self.directory, request)
                .unwrap_or_else(|error| format!("no answer: {error}"));
            return normaliser.outcome(&shapes, "", 0, &step.rules);
        }
        let output = self.shell(&step.command);
        normaliser.outcome(&output.stdout, &output.stderr, output.code, &step.rules)
    }

    fn places(&self) -> Vec<(String, String)> {
        let root = self.shell("docker info --format '{{.DockerRootDir}}'").succeeds();
        let text = |path: &Path| path.display().to_string();
        vec![
            (text(&self.directory), "<dir>".to_owned()),
            (text(&self.socket), "<socket>".to_owned()),
            (root, "<root>".to_owned()),
        ]
    }
}
