// SPDX-License-Identifier: MIT
//! What a Dockerfile says. All texts are as written: variables, quotes and escapes stay until a build evaluates them.

use crate::{Directives, Heredoc, Lines, Mount};

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What the comments at its beginning direct.
    pub directives: Directives,
    /// ARG instructions before the first FROM: variables of FROM lines.
    pub arguments: Vec<Located<Argument>>,
    /// At least one.
    pub stages: Vec<Stage>,
}

/// One build stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What it is called, in lower case.
    pub name: Option<String>,
    /// What it builds on: an image, an earlier stage, or `scratch`.
    pub base: String,
    /// The platform of the image.
    pub platform: Option<String>,
    /// Its FROM line.
    pub lines: Lines,
    /// What is done, in order.
    pub instructions: Vec<Located<Instruction>>,
}

/// Something and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What it is.
    pub value: T,
    /// Where it is.
    pub lines: Lines,
    /// Its text with continuations joined, as the image's history shows it.
    pub text: String,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// ADD
    Add(Add),
    /// ARG; several at once
    Arg(Vec<Argument>),
    /// CMD
    Command(CommandLine),
    /// COPY
    Copy(Copy),
    /// ENTRYPOINT
    Entrypoint(CommandLine),
    /// ENV
    Environment(Vec<KeyValue>),
    /// EXPOSE
    Expose(Vec<String>),
    /// HEALTHCHECK
    Healthcheck(Healthcheck),
    /// LABEL
    Label(Vec<KeyValue>),
    /// MAINTAINER
    Maintainer(String),
    /// ONBUILD; an instruction as text, parsed again in the build that it is for
    OnBuild(String),
    /// RUN
    Run(Run),
    /// SHELL
    Shell(Vec<String>),
    /// STOPSIGNAL
    StopSignal(String),
    /// USER
    User(String),
    /// VOLUME
    Volume(Vec<String>),
    /// WORKDIR
    WorkingDirectory(String),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// The words themselves.
    Exec(Vec<String>),
    /// A text for the shell.
    Shell(String),
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Never empty.
    pub name: String,
    /// May be empty.
    pub value: String,
}

/// An argument of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Never empty.
    pub name: String,
    /// What it is unless told otherwise.
    pub default: Option<String>,
}

/// What COPY or ADD takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, a pattern, for ADD also an address.
    Path(String),
    /// A text of the Dockerfile itself.
    Heredoc(Heredoc),
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Stage, image or named context; `None` is the context.
    pub from: Option<String>,
    /// Owner and group.
    pub owner: Option<String>,
    /// Mode, as digits or symbols.
    pub mode: Option<String>,
    /// Whether the layer is independent of what is below it.
    pub link: bool,
    /// Whether directories above the sources are made too.
    pub parents: bool,
    /// What is left out.
    pub excludes: Vec<String>,
    /// At least one.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What it has in common with COPY; never `from` or `parents`.
    pub copy: Copy,
    /// The digest that what is fetched must have.
    pub checksum: Option<String>,
    /// Whether `.git` stays in what is cloned.
    pub keep_git_directory: bool,
    /// Whether archives are unpacked; `None` where it depends on the source.
    pub unpack: Option<bool>,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What runs.
    pub command: CommandLine,
    /// Texts that the command reads; a command that is nothing but one of them is the text itself.
    pub heredocs: Vec<Heredoc>,
    /// What it sees for its own time.
    pub mounts: Vec<Mount>,
    /// Which network it has.
    pub network: RunNetwork,
    /// How confined it is.
    pub security: RunSecurity,
}

/// The network of a RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunNetwork {
    /// The build's.
    #[default]
    Default,
    /// Nothing but a loopback.
    None,
    /// The machine's.
    Host,
}

/// The confinement of a RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunSecurity {
    /// As containers are.
    #[default]
    Sandbox,
    /// As privileged containers are.
    Insecure,
}

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// Whatever the base image checks is checked no more.
    None,
    /// A command; durations as written.
    Command {
        /// What runs.
        command: CommandLine,
        /// Time between two checks.
        interval: Option<String>,
        /// Time one may take.
        timeout: Option<String>,
        /// Time at the beginning in which failures do not count.
        start_period: Option<String>,
        /// Time between two checks in that time.
        start_interval: Option<String>,
        /// Failures in a row that make a container unhealthy.
        retries: Option<String>,
    },
}
