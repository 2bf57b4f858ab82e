// SPDX-License-Identifier: MIT
//! `bench project`: ten services brought up, found unchanged, and brought down, by `hb` and by `docker compose`.
//!
//! Compose is its own program (`cargo xtask setup` installs it), on the Docker Engine of DOCKER_HOST and on HyperBox; so its numbers hold no
//! start of `docker` before it. The services are alike, have a network of their own and a published port each, and end at once when they are
//! told to: what is measured is the engines' and the clients' work, not how long a program likes to live.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::Prepared;
use super::{Scenario, measure};
use crate::process::target;
use crate::starter;

/// The scenarios' names.
pub(super) const UP: &str = "up of 10 services";
/// See [`UP`].
pub(super) const UNCHANGED: &str = "up of 10 services, unchanged";
/// See [`UP`].
pub(super) const DOWN: &str = "down of 10 services";

const SERVICES: usize = 10;
const NAME: &str = "hyperbox-bench-project";

/// Who does it: a program, and the words that it wants behind each verb.
struct Player {
    contender: Contender,
    behind: Vec<String>,
}

impl Player {
    fn words(&self, verb: &[&str]) -> Vec<String> {
        let verb = verb.iter().map(|word| (*word).to_owned());
        verb.chain(self.behind.iter().cloned()).collect()
    }
}

/// Measures the scenarios; fewer rounds than asked for, because Docker takes seconds for each.
pub(super) fn run(rounds: usize) -> Result<()> {
    let daemon = Daemon::start()?;
    let _prepared = Prepared::with_starter(&daemon)?;
    let file = compose_file(&target().join("bench/project"))?;
    let cleared = Cleared {
        players: players(&daemon, &file),
    };
    measure("project", scenarios(&cleared.players), rounds.min(15))
}

fn scenarios(players: &[Player]) -> Vec<Scenario> {
    let (up, down) = (["up", "-d"].as_slice(), ["down"].as_slice());
    let scenario = |name: &str, measured: &[&str], before: &[&str]| Scenario {
        name: name.to_owned(),
        contenders: players
            .iter()
            .map(|player| Contender {
                arguments: player.words(measured),
                before: Some(player.words(before)),
                ..player.contender.clone()
            })
            .collect(),
    };
    vec![
        scenario(UP, up, down),
        scenario(UNCHANGED, up, up),
        scenario(DOWN, down, up),
    ]
}

/// `hb`, and Compose on both engines.
fn players(daemon: &Daemon, file: &Path) -> Vec<Player> {
    let file = file.to_string_lossy().into_owned();
    let project = ["--file", file.as_str(), "--project-name", NAME];
    let mut players = vec![Player {
        contender: daemon.client(),
        behind: project.map(str::to_owned).to_vec(),
    }];
    let compose = target().join("suite-tools/cli-plugins/docker-compose");
    if !compose.exists() {
        println!("left out docker: {} is missing (cargo xtask setup)", compose.display());
        return players;
    }
    let compose = compose.to_string_lossy().into_owned();
    let host = format!("DOCKER_HOST={}", daemon.host());
    // Compose wants its options before the verb.
    let own = [&[compose.as_str()][..], &project].concat();
    for (name, program) in [
        ("docker", own.clone()),
        ("docker > hb", [&["env", &host][..], &own].concat()),
    ] {
        players.push(Player {
            contender: Contender::new(name, &program),
            behind: Vec::new(),
        });
    }
    players
}

/// Ten services that sleep.
fn compose_file(directory: &Path) -> Result<PathBuf> {
    let mut text = format!("name: {NAME}\nservices:\n");
    for index in 1..=SERVICES {
        let _infallible = writeln!(
            text,
            "  service{index}: {{image: \"{}\", command: [sleep, \"6000\"], stop_signal: KILL, ports: [\"80\"]}}",
            starter::NAME
        );
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let file = directory.join("compose.yaml");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Brings the project down everywhere in the end, whatever happens.
struct Cleared {
    players: Vec<Player>,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        for player in &self.players {
            // Who cannot be reached has nothing to bring down.
            let _down = player.contender.call(&player.words(&["down"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_has_what_it_needs_before() {
        let player = Player {
            contender: Contender::new("one", &["program"]),
            behind: vec!["--file".to_owned()],
        };
        let shown = scenarios(&[player])
            .into_iter()
            .flat_map(|scenario| scenario.contenders);
        let shown: Vec<(String, String)> = shown
            .map(|one| (one.before.unwrap().join(" "), one.arguments.join(" ")))
            .collect();
        let (up, down) = ("up -d --file", "down --file");
        let expected = [(down, up), (up, up), (up, down)].map(|(before, verb)| (before.to_owned(), verb.to_owned()));
        assert_eq!(shown, expected);
    }
}
