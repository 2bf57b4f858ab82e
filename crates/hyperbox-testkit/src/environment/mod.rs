// SPDX-License-Identifier: MIT
//! A HyperBox of its own for one test: daemon, command line, registries, in a directory and a network namespace of their own.
//!
//! Tests with an environment run in parallel and never see each other: bridges and nftables rules are per network namespace, the
//! cgroups hang below a parent of the environment's name, everything else is below its directory. Processes carry a marker in
//! their environment and are found by it. [`TestEnvironment::finish`] proves that nothing was left; dropping cleans up whatever a
//! failed test has left and shows the end of the daemon's log.

mod api;
mod binaries;
mod cleanup;
mod containers;
mod daemon;
mod network;
mod output;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub use binaries::binary;
pub use containers::TICKER;
pub use daemon::DaemonOptions;
pub use network::{PrivateNetwork, enter_network_of};
pub use output::Output;

use crate::census::{Census, Scope};
use crate::images::{Image, Layout, LayoutOptions, starter};
use crate::registry::{FaultyRegistry, LocalRegistry, RegistryAccess};
use daemon::Daemon;

/// The name under which [`TestEnvironment::load_starter`] loads the starter image.
pub const STARTER: &str = "starter:latest";

const MARKER: &str = "HYPERBOX_TEST_ENVIRONMENT";

/// Everything that one end-to-end test needs.
#[derive(Debug)]
pub struct TestEnvironment {
    name: String,
    daemon: Option<Daemon>,
    network: PrivateNetwork,
    before: Census,
    directory: TempDir,
}

impl TestEnvironment {
    /// Makes an environment without a running daemon.
    ///
    /// # Panics
    /// When this is not root, or something that the tests need is not installed.
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: sudo cargo xtask test"
        );
        let name = crate::unique_name("hyperbox-test");
        // A short name: the path of a socket has at most 108 bytes (unix(7)).
        let directory = tempfile::Builder::new()
            .prefix("hb-")
            .tempdir()
            .expect("temporary directory");
        for part in ["home", "tmp"] {
            fs::create_dir(directory.path().join(part)).expect("directories of the environment");
        }
        let network = PrivateNetwork::new();
        let mut environment = Self {
            before: Census::default(),
            name,
            daemon: None,
            network,
            directory,
        };
        environment.before = environment.census();
        environment
    }

    /// Makes an environment with a running daemon.
    ///
    /// # Panics
    /// When the daemon does not start.
    pub fn start() -> Self {
        Self::start_with(&DaemonOptions::default())
    }

    /// Makes an environment with a running daemon.
    ///
    /// # Panics
    /// When the daemon does not start.
    pub fn start_with(options: &DaemonOptions) -> Self {
        let mut environment = Self::new();
        environment.start_daemon(options);
        environment
    }

    /// Makes an environment with a running daemon that has the starter image ([`STARTER`]).
    ///
    /// # Panics
    /// When the daemon does not start or cannot load it.
    pub fn with_starter() -> Self {
        let environment = Self::start();
        environment.load_starter();
        environment
    }

    /// Loads the starter image.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn load_starter(&self) {
        self.load(&starter(), STARTER);
    }

    /// Loads an image under this name, as `hb load` does.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn load(&self, image: &Image, name: &str) {
        let layout = self.layout(image, LayoutOptions::default());
        let archive = self.path(&crate::unique_name("archive"));
        let write = layout.write_archive(
            &archive,
            crate::images::ArchiveKind::Docker,
            &[name],
            hyperbox_core::seam::Compression::None,
        );
        write.expect("the image archive");
        self.hb(["load", "-i", &archive.to_string_lossy()]).succeeds();
        fs::remove_file(&archive).expect("the archive is there");
        fs::remove_dir_all(&layout.directory).expect("the layout is there");
    }

    /// Writes an image as a layout below the environment's directory.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn layout(&self, image: &Image, options: LayoutOptions) -> Layout {
        let directory = self.path(&crate::unique_name("layout"));
        image
            .write_layout(&directory, "image", options)
            .expect("the image layout")
    }

    /// Returns the environment's unique name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a path in the environment's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the daemon's root directory.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Returns the daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("hyperbox.sock")
    }

    /// Returns what `--host` takes.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Returns the network namespace.
    pub fn network(&self) -> &PrivateNetwork {
        &self.network
    }

    /// Makes an `hb` command: own HOME, no other environment.
    pub fn hb_command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.command(&binary("hb"));
        command.env("HYPERBOX_HOST", self.host()).args(arguments);
        command
    }

    /// Runs `hb` to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn hb<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        Output::of(&mut self.hb_command(arguments))
    }

    /// Runs `hb` to its end with this standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn hb_with_input<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Output {
        Output::with_input(&mut self.hb_command(arguments), input)
    }

    /// Runs the docker command line against the daemon.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn docker<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        let mut command = self.command(Path::new("docker"));
        Output::of(command.env("DOCKER_HOST", self.host()).args(arguments))
    }

    /// Makes a command with the environment's variables.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env(MARKER, &self.name)
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts Debian's registry in the environment's network namespace.
    ///
    /// # Panics
    /// When it does not start.
    pub fn registry(&self, access: RegistryAccess) -> LocalRegistry {
        LocalRegistry::start_with(access, &self.network.wrapper())
    }

    /// Starts a misbehaving registry in the environment's network namespace.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn faulty_registry(&self) -> FaultyRegistry {
        let listener = self.network.enter(|| std::net::TcpListener::bind("127.0.0.1:0"));
        FaultyRegistry::serve(listener.expect("a free loopback port"))
    }

    /// Counts what belongs to this environment; files are not counted.
    pub fn census(&self) -> Census {
        Census::take(&self.scope())
    }

    fn scope(&self) -> Scope {
        Scope {
            roots: vec![self.directory.path().to_owned()],
            cgroups: vec![self.name.clone()],
            network_of: Some(self.network.holder()),
            marker: Some(format!("{MARKER}={}", self.name)),
            files: false,
        }
    }
}

impl Default for TestEnvironment {
    fn default() -> Self {
        Self::new()
    }
}
