// SPDX-License-Identifier: MIT
//! A registry on this machine with images that were made for measuring: the testkit's example `serve-images`, which starts Debian's
//! docker-registry with them and ends when its standard input does.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::process::{cargo, target};

/// The registry; ends with the value.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// What each image is, and its name.
    pub(super) images: Vec<(String, String)>,
    /// The blobs of each image's layers.
    pub(super) blobs: Vec<Vec<String>>,
}

impl Server {
    /// Builds the images that are asked for and serves them; see the example for the words.
    pub(super) fn start(wanted: &[String]) -> Result<Self> {
        let mut build = cargo(&[
            "build",
            "--release",
            "-p",
            "hyperbox-testkit",
            "--example",
            "serve-images",
        ]);
        crate::process::run(&mut build)?;
        let program = target().join("release/examples/serve-images");
        let mut child = Command::new(&program)
            .args(wanted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("the server's output is a pipe")?;
        let (mut images, mut blobs) = (Vec::new(), Vec::new());
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the image server says")?;
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, image, files] = words[..] else { break };
            images.push((kind.to_owned(), image.to_owned()));
            blobs.push(files.split(',').map(str::to_owned).collect());
        }
        Ok(Self { child, images, blobs })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.child.stdin.take());
        let _reaped = self.child.wait();
    }
}
