// SPDX-License-Identifier: MIT
//! The engines that are compared: HyperBox by its own client, whatever else can be reached, and Docker's client on HyperBox.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::contender::Contender;
use super::daemon::Daemon;
use crate::process::{installed, target};
use crate::starter;

/// Returns the engines that might be reachable; a warm-up decides.
pub(super) fn engines(daemon: &Daemon) -> Vec<Contender> {
    let host = daemon.host();
    let mut engines = vec![daemon.client()];
    if installed("docker") {
        // DOCKER_HOST, if set, is inherited.
        engines.push(Contender::new("docker", &["docker"]));
        engines.push(Contender::new("docker > hb", &["docker", "--host", &host]));
    }
    engines.extend(peer("podman"));
    engines
}

/// Returns another engine or runtime, where this machine has it or a variable says how it is called: `PODMAN='nsenter … podman'`
/// stands for one in a tree of its own. The variable is the name in capitals, its value words between spaces.
pub(super) fn peer(name: &str) -> Option<Contender> {
    let words = env::var(name.to_uppercase()).unwrap_or_else(|_| name.to_owned());
    let words: Vec<&str> = words.split_whitespace().collect();
    let program = words.first()?;
    (Path::new(program).is_absolute() || installed(program)).then(|| Contender::new(name, &words))
}

/// Loads an archive of images; `false`, and said, when the engine cannot.
pub(super) fn load(engine: &Contender, archive: &Path) -> bool {
    let archive = archive.to_string_lossy().into_owned();
    match engine.call(&["load".to_owned(), "-i".to_owned(), archive]) {
        Ok(_) => true,
        Err(error) => {
            println!("left out {}: {error:#}", engine.name);
            false
        }
    }
}

/// The engines that have the starter image, for as long as the value lives.
#[derive(Debug)]
pub(super) struct Prepared {
    /// HyperBox first.
    pub(super) engines: Vec<Contender>,
    /// The archive with the image.
    pub(super) archive: PathBuf,
}

impl Prepared {
    /// Loads the starter image into all that can be reached.
    pub(super) fn with_starter(daemon: &Daemon) -> Result<Self> {
        let archive = starter::make(&target().join("bench/starter"))?;
        let engines = engines(daemon)
            .into_iter()
            .filter(|engine| load(engine, &archive))
            .collect();
        Ok(Self { engines, archive })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for engine in &self.engines {
            // Two clients of one daemon share the image: the second finds it gone.
            let _gone = engine.call(&["rmi".to_owned(), starter::NAME.to_owned()]);
        }
    }
}

/// Returns containers of one engine that go with the value, whatever happens.
pub(super) fn containers(engine: &Contender) -> hyperbox_bench::Containers<'_> {
    hyperbox_bench::Containers::of(engine, starter::NAME)
}
