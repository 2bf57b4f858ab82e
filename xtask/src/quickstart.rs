// SPDX-License-Identifier: MIT
//! `cargo xtask quickstart`: from a checkout to a first container, and back.
//!
//! Each step looks whether it is done already, so the task can be repeated. What it has made is noted below `target/quickstart`,
//! and `--stop` undoes exactly that: a daemon that ran before, and data that was there before, are left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::network_remains::NetworkRemains;
use crate::process::{capture, cargo, command, run as execute, target};
use crate::{setup, starter};

/// Arguments of `quickstart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Undoes what quickstart has done.
    #[arg(long)]
    stop: bool,
}

/// An image to pull where a registry can be reached.
const PULLED: &str = "busybox:latest";

/// How long a registry may take to be found unreachable.
const PULL_PATIENCE: Duration = Duration::from_secs(20);

/// Where the daemon keeps its data unless it is told otherwise.
const STATE: &str = "/var/lib/hyperbox";

/// Notes below `target/quickstart`, each an empty file.
const STARTED: &str = "started-the-daemon";
const MADE_STATE: &str = "made-the-state-directory";

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if capture(&mut command(&["id", "-u"]))? != "0" {
        bail!("containers need root: sudo cargo xtask quickstart");
    }
    if arguments.stop { stop() } else { start() }
}

fn start() -> Result<()> {
    setup::install(setup::Purpose::Run)?;
    let packages = ["-p", "hyperbox-daemon", "-p", "hyperbox-shim", "-p", "hyperbox-cli"];
    execute(cargo(&["build", "--release"]).args(packages))?;
    let notes = notes();
    fs::create_dir_all(&notes).with_context(|| format!("cannot create {}", notes.display()))?;
    if runs() {
        println!("quickstart: hyperboxd is running");
    } else {
        if !Path::new(STATE).exists() {
            note(MADE_STATE)?;
        }
        execute(hb().args(["system", "start"]))?;
        note(STARTED)?;
    }
    let image = image(&notes)?;
    execute(hb().args(["run", "--rm", image, "echo", "Hello from a HyperBox container"]))?;
    let program = hb_path();
    let program = program.display();
    println!(
        "\nHyperBox runs. Try:\n  \
         {program} run -it --rm {image} sh\n  \
         {program} run -d --name clock {image} sh -c 'while date; do sleep 1; done'\n  \
         {program} ps\n  \
         {program} logs -f clock\n  \
         {program} exec -it clock sh\n  \
         {program} rm -f clock\n  \
         docker --host unix:///run/hyperbox/hyperbox.sock ps\n\
         and, to undo all of it: cargo xtask quickstart --stop"
    );
    Ok(())
}

/// Returns the name of an image that is there now.
fn image(notes: &Path) -> Result<&'static str> {
    for name in [PULLED, starter::NAME] {
        if quietly(hb().args(["image", "inspect", name])) {
            return Ok(name);
        }
    }
    println!("quickstart: pulling {PULLED}");
    match pull() {
        Ok(()) => return Ok(PULLED),
        Err(error) => println!("quickstart: {error:#}; making a starter image of busybox-static instead"),
    }
    let archive = starter::make(&notes.join("image"))?;
    execute(hb().args(["image", "load", "--input"]).arg(archive))?;
    Ok(starter::NAME)
}

fn pull() -> Result<()> {
    let mut child = hb()
        .args(["image", "pull", "--quiet", PULLED])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run hb")?;
    let start = Instant::now();
    loop {
        match child.try_wait().context("cannot wait for hb")? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => bail!("no registry has {PULLED} for us"),
            None if start.elapsed() > PULL_PATIENCE => {
                child.kill().context("cannot end the pull")?;
                child.wait().context("cannot wait for hb")?;
                bail!("no registry answers");
            }
            None => std::thread::park_timeout(Duration::from_millis(50)),
        }
    }
}

fn stop() -> Result<()> {
    if !hb_path().exists() {
        println!("quickstart: nothing was built, there is nothing to stop");
        return Ok(());
    }
    if runs() {
        let containers = capture(hb().args(["ps", "--all", "--quiet", "--filter", "ancestor=hyperbox/starter"]))?;
        let containers: Vec<&str> = containers.lines().collect();
        if !containers.is_empty() {
            execute(
                hb().args(["container", "remove", "--force", "--volumes"])
                    .args(containers),
            )?;
        }
        if quietly(hb().args(["image", "inspect", starter::NAME])) {
            execute(hb().args(["image", "remove", starter::NAME]))?;
        }
        if noted(STARTED) {
            if noted(MADE_STATE) {
                remove_all_containers()?;
            }
            execute(hb().args(["system", "stop"]))?;
        }
    }
    if noted(MADE_STATE) && !runs() {
        println!("quickstart: removing {STATE}");
        remove(Path::new(STATE))?;
        NetworkRemains::look().of_default_daemon().remove();
    }
    remove(&notes())?;
    println!(
        "quickstart: undone; the built programs stay in {}",
        target().join("release").display()
    );
    Ok(())
}

/// The state directory is about to go: no container may outlive it.
fn remove_all_containers() -> Result<()> {
    let all = capture(hb().args(["ps", "--all", "--quiet"]))?;
    let all: Vec<&str> = all.lines().collect();
    if all.is_empty() {
        return Ok(());
    }
    execute(hb().args(["container", "remove", "--force", "--volumes"]).args(all))
}

fn remove(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

fn notes() -> PathBuf {
    target().join("quickstart")
}

fn note(name: &str) -> Result<()> {
    let path = notes().join(name);
    fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
}

fn noted(name: &str) -> bool {
    notes().join(name).exists()
}

fn hb_path() -> PathBuf {
    target().join("release/hb")
}

/// `hb` for the default daemon, whatever the environment says.
fn hb() -> Command {
    let mut command = Command::new(hb_path());
    command
        .env_remove("HYPERBOX_HOST")
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null());
    command
}

fn runs() -> bool {
    quietly(hb().args(["system", "version"]))
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
