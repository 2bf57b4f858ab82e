// SPDX-License-Identifier: MIT
//! `bench pull`: a full pull from a registry on this machine, until the image can be run, and until its first command has run; beside
//! it what decompression alone takes, of the layers' blobs in the page cache, spread over the processors: no pull can be faster by much.

use anyhow::Result;

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::engines;
use super::image_server::Server;
use super::{Scenario, measure};

/// What `--matrix` measures, as layers and files.
pub(super) const MATRIX: [&str; 6] = ["1x10", "8x10", "30x10", "1x100000", "8x100000", "30x100000"];

/// Measures the pulls; fewer rounds than asked for, because each takes seconds.
pub(super) fn run(rounds: usize, images: &[String]) -> Result<()> {
    let server = Server::start(images)?;
    let daemon = Daemon::start()?;
    let engines = engines(&daemon);
    let mut scenarios = Vec::new();
    // All of them go before each pull: with the same files they are one image under several names.
    let mut clean = vec!["rmi", "-f"];
    clean.extend(server.images.iter().map(|(_, image)| image.as_str()));
    for ((kind, image), blobs) in server.images.iter().zip(&server.blobs) {
        let contenders = |words: fn(&str, &str) -> Vec<String>| -> Vec<Contender> {
            let one = |engine: &Contender| {
                let words = words(&engine.name, image);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                engine.with(&words).before(&clean)
            };
            engines.iter().map(one).collect()
        };
        let mut pulls = contenders(|engine, image| words(engine, &["pull"], &[image]));
        pulls.push(decompression(kind, blobs));
        scenarios.push(Scenario {
            name: format!("pull of {kind}, registry on this machine"),
            contenders: pulls,
        });
        scenarios.push(Scenario {
            name: format!("pull of {kind} and its first command, registry on this machine"),
            contenders: contenders(|engine, image| words(engine, &["run", "--rm"], &[image, "true"])),
        });
    }
    measure("pull", scenarios, rounds.min(10))?;
    // The next run's registry has another port: what stays under this one's names would spare that run its work.
    for engine in &engines {
        let words: Vec<String> = clean.iter().map(|word| (*word).to_owned()).collect();
        drop(engine.call(&words));
    }
    Ok(())
}

/// Decompresses blobs into nothing, as many at once as there are processors.
fn decompression(kind: &str, blobs: &[String]) -> Contender {
    let program = if kind.starts_with("zstd") { "zstd" } else { "gzip" };
    let each = format!("exec {program} -dc < \"$1\" > /dev/null");
    let script = format!("printf '%s\\0' \"$@\" | xargs -0 -n 1 -P \"$(nproc)\" sh -c '{each}' {program}");
    let mut arguments = vec!["-c", script.as_str(), program];
    arguments.extend(blobs.iter().map(String::as_str));
    Contender::new(&format!("{program} -dc"), &["sh"]).with(&arguments)
}

/// Puts a command line together; Podman has to be told that the registry speaks no TLS.
pub(super) fn words(engine: &str, command: &[&str], rest: &[&str]) -> Vec<String> {
    let insecure: &[&str] = if engine == "podman" {
        &["--tls-verify=false"]
    } else {
        &[]
    };
    let all = command.iter().chain(insecure).chain(rest);
    all.map(|word| (*word).to_owned()).collect()
}
