// SPDX-License-Identifier: MIT
//! What a client asks a build for. Doors parse their wire forms into this; nothing here is text that is parsed again, except what a
//! Dockerfile may refer to.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_core::seam::{AttachIo, Credentials, FileStream};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, ImageReference, Platform, Ulimit};
use tokio::io::AsyncWrite;

use crate::StepError;
use crate::context::Tree;

/// A build.
#[derive(Debug)]
pub struct BuildRequest {
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// What COPY and ADD read when nothing else is said.
    pub context: ContextSource,
    /// Contexts by name: what `--from=NAME` and `FROM NAME` mean before stages and images are asked.
    pub named_contexts: BTreeMap<String, ContextSource>,
    /// The stage to build, by name or number; `None` is the last.
    pub target: Option<String>,
    /// Values of ARG instructions.
    pub build_args: BTreeMap<String, String>,
    /// Labels that the image gets besides those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Its names. Given only when everything is there.
    pub tags: Vec<ImageReference>,
    /// What is done although the cache has it.
    pub no_cache: NoCache,
    /// Whether images that are here are asked for again.
    pub pull: PullPolicy,
    /// What the image shall run on; `None` is this machine.
    pub platform: Option<Platform>,
    /// Asked for secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Asked for SSH agents.
    pub ssh: Arc<dyn SshAgents>,
    /// Asked for credentials of registries.
    pub registries: Arc<dyn RegistryAccess>,
    /// The network of RUN instructions that ask for none.
    pub network: BuildNetwork,
    /// Lines of `/etc/hosts` in RUN instructions: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Size of `/dev/shm` in RUN instructions.
    pub shm_size: Option<ByteSize>,
    /// Limits of the processes of RUN instructions.
    pub ulimits: Vec<Ulimit>,
    /// The control group that RUN instructions live under.
    pub cgroup_parent: Option<String>,
    /// Where steps that were done elsewhere are found.
    pub cache_from: Vec<CacheSource>,
    /// Where the steps of this build are kept for others.
    pub cache_to: Vec<CacheTarget>,
    /// What comes out; empty keeps nothing but the cache.
    pub outputs: Vec<Output>,
    /// `SOURCE_DATE_EPOCH`: the moment that images are dated with, and that no file in their new layers is younger than.
    pub source_date_epoch: Option<Timestamp>,
    /// Whether `RUN --security=insecure` is allowed.
    pub allow_insecure: bool,
    /// Whether `RUN --network=host` is allowed.
    pub allow_host_network: bool,
    /// Gets the text of the Dockerfile as soon as it was read, for excerpts.
    pub dockerfile_text: Arc<OnceLock<String>>,
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// The text itself.
    Text {
        /// What it is called in messages.
        name: String,
        /// The file.
        text: String,
    },
    /// In the context, at this path from its root; `/` separates. Links are followed inside the context.
    Context(String),
}

impl DockerfileSource {
    /// Returns what it is called: a name, or a path from the context's root.
    pub fn name(&self) -> &str {
        match self {
            Self::Text { name, .. } | Self::Context(name) => name,
        }
    }
}

/// Where files come from.
pub enum ContextSource {
    /// Nowhere: there are no files.
    Empty,
    /// An archive, plain or compressed, that the client sends. Hostile.
    Archive(FileStream),
    /// An address: git (`https://…/x.git#ref:directory`, `git@…`) or HTTP (an archive; a text is a Dockerfile).
    Remote(String),
    /// A directory of this machine. Never from a remote client.
    Directory {
        /// Where it is.
        path: PathBuf,
        /// What of it is left out.
        rules: IgnoreRules,
    },
    /// An image: `docker-image://…` of `--build-context`.
    Image(String),
    /// Files that a door brings itself.
    Tree(Arc<dyn Tree>),
    /// What another build has made.
    Built(crate::BuiltBase),
}

impl fmt::Debug for ContextSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Archive(_) => formatter.write_str("Archive"),
            Self::Remote(address) => formatter.debug_tuple("Remote").field(address).finish(),
            Self::Directory { path, .. } => formatter.debug_tuple("Directory").field(path).finish(),
            Self::Image(name) => formatter.debug_tuple("Image").field(name).finish(),
            Self::Built(base) => formatter.debug_tuple("Built").field(base).finish(),
            Self::Tree(tree) => formatter.debug_tuple("Tree").field(tree).finish(),
        }
    }
}

/// Where it is said what of a directory is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IgnoreRules {
    /// Nowhere: nothing is.
    Nothing,
    /// In `.dockerignore` in its root.
    #[default]
    Own,
    /// In `NAME.dockerignore` beside the Dockerfile at this path of the directory; where that is missing, as for [`Self::Own`].
    OfDockerfile(String),
    /// Here.
    Text(String),
}

/// What is done although the cache has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    Everything,
    /// The steps of these stages.
    Stages(Vec<String>),
}

/// Whether images that are here are asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Only what is missing is fetched.
    #[default]
    Missing,
    /// The registry is always asked what a name means now.
    Always,
}

/// The network of RUN instructions that ask for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BuildNetwork {
    /// The default network of containers.
    #[default]
    Default,
    /// Nothing but a loopback.
    None,
    /// The machine's.
    Host,
    /// A network by name or id.
    Named(String),
    /// That of a running container.
    Container(String),
}

/// Where steps that were done elsewhere are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// An image or cache manifest in a registry, or an image that is here.
    Registry(ImageReference),
    /// A directory of this machine with an OCI layout.
    Local(PathBuf),
}

/// Where the steps of a build are kept for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTarget {
    /// In the image itself.
    Inline,
    /// Under a name in a registry.
    Registry {
        /// The name.
        reference: ImageReference,
        /// Which steps.
        mode: CacheMode,
    },
    /// In a directory of this machine.
    Local {
        /// Which.
        directory: PathBuf,
        /// Which steps.
        mode: CacheMode,
    },
}

/// Which steps are kept for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Those that the image is made of.
    #[default]
    Min,
    /// All of them.
    Max,
}

/// What comes out.
pub enum Output {
    /// An image in the store, with the request's tags.
    Image {
        /// Whether it is pushed under its tags.
        push: bool,
    },
    /// The files of the root filesystem as a tar; also what a client unpacks into a directory.
    Files(OutputSink),
    /// The files of the root filesystem, one by one.
    Tree(Box<dyn TreeSink>),
    /// An OCI layout as a tar.
    Oci(OutputSink),
    /// What `docker load` takes.
    Docker(OutputSink),
    /// One of the others with names of its own instead of the request's tags.
    Named(Vec<ImageReference>, Box<Output>),
}

/// Where an output's bytes go.
pub type OutputSink = Box<dyn AsyncWrite + Send + Unpin>;

/// Takes the files of a build.
#[async_trait]
pub trait TreeSink: Send {
    /// Takes all files of a tree. Cancelled by dropping the future; what was taken so far is not the whole then.
    ///
    /// # Errors
    /// Those of the tree and of the client.
    async fn take(self: Box<Self>, tree: Arc<dyn Tree>) -> Result<(), StepError>;
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Image { push: true } => "Image, pushed",
            Self::Image { push: false } => "Image",
            Self::Files(_) => "Files",
            Self::Tree(_) => "Tree",
            Self::Oci(_) => "Oci",
            Self::Docker(_) => "Docker",
            Self::Named(_, output) => return output.fmt(formatter),
        })
    }
}

/// Knows secrets. Asked only when a step that is done needs one; what it answers is never kept, logged or part of a key.
#[async_trait]
pub trait Secrets: Send + Sync + fmt::Debug {
    /// Returns a secret; `None` when the client has none of this id.
    ///
    /// # Errors
    /// When the client cannot be asked.
    async fn secret(&self, id: &str) -> Result<Option<Bytes>, StepError>;
}

/// Connects to SSH agents of the client.
#[async_trait]
pub trait SshAgents: Send + Sync + fmt::Debug {
    /// Tells whether the client has an agent of this id (`default` unless said otherwise).
    ///
    /// # Errors
    /// When the client cannot be asked.
    async fn has(&self, id: &str) -> Result<bool, StepError>;

    /// Opens a connection to it.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn connect(&self, id: &str) -> Result<Box<dyn AttachIo>, StepError>;
}

/// Knows the client's credentials of registries.
#[async_trait]
pub trait RegistryAccess: Send + Sync + fmt::Debug {
    /// Returns the credentials for the registry of an image; `None` asks without.
    ///
    /// # Errors
    /// When the client cannot be asked.
    async fn credentials(&self, image: &ImageReference) -> Result<Option<Credentials>, StepError>;
}

/// A client that has nothing to tell: no secret, no agent, no credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

#[async_trait]
impl Secrets for Nothing {
    async fn secret(&self, _id: &str) -> Result<Option<Bytes>, StepError> {
        Ok(None)
    }
}

#[async_trait]
impl SshAgents for Nothing {
    async fn has(&self, _id: &str) -> Result<bool, StepError> {
        Ok(false)
    }

    async fn connect(&self, id: &str) -> Result<Box<dyn AttachIo>, StepError> {
        Err(StepError::not_found(format!(
            "no SSH key {id:?} forwarded from the client"
        )))
    }
}

#[async_trait]
impl RegistryAccess for Nothing {
    async fn credentials(&self, _image: &ImageReference) -> Result<Option<Credentials>, StepError> {
        Ok(None)
    }
}

/// Reads `SOURCE_DATE_EPOCH` of a build's arguments, in seconds.
pub fn source_date_epoch(arguments: &BTreeMap<String, String>) -> Option<Timestamp> {
    let seconds: i64 = arguments.get("SOURCE_DATE_EPOCH")?.parse().ok()?;
    seconds.checked_mul(1_000_000_000).map(Timestamp)
}

impl BuildRequest {
    /// Returns the variables that each FROM line of its Dockerfile sees, whatever the file says.
    pub fn predefined(&self) -> BTreeMap<String, String> {
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        crate::plan::predefined(&self.build_args, &platform, self.target.as_deref())
    }

    /// Asks for an image of a Dockerfile and a context, and everything else as it is unless told otherwise.
    pub fn new(dockerfile: DockerfileSource, context: ContextSource) -> Self {
        Self {
            dockerfile,
            context,
            named_contexts: BTreeMap::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            no_cache: NoCache::default(),
            pull: PullPolicy::default(),
            platform: None,
            secrets: Arc::new(Nothing),
            ssh: Arc::new(Nothing),
            registries: Arc::new(Nothing),
            network: BuildNetwork::default(),
            extra_hosts: Vec::new(),
            shm_size: None,
            ulimits: Vec::new(),
            cgroup_parent: None,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            outputs: vec![Output::Image { push: false }],
            source_date_epoch: None,
            allow_insecure: false,
            allow_host_network: false,
            dockerfile_text: Arc::default(),
        }
    }
}
