// SPDX-License-Identifier: MIT
//! Carrying a plan out: stages at the same time, each step from the cache or done once, and nothing visible before all of it is there.
//!
//! A [`Solver`] is one build. Its stages are cells that are filled by whoever needs them first; a stage waits for those that it takes
//! files from, and since the plan has no cycles, nobody waits in a circle. Dropping the future of [`Solver::target`] stops
//! everything that no other build waits for. All layers that the build relies on are in its lease.

mod bases;
mod dockerfile;
mod flight;
mod history;
mod sources;
mod step;
mod vertices;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use hyperbox_core::image::{HistoryEntry, ImageLayer, LayerLease};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{Digest, Platform};
use tokio::sync::OnceCell;

pub(crate) use dockerfile::text_of;
pub(crate) use flight::Flights;
pub(crate) use history::{created, date};
pub(crate) use vertices::{Vertices, Watched};

use crate::builder::Shared;
use crate::cache::Record;
use crate::config::ImageState;
use crate::context::Tree;
use crate::key::Surroundings;
use crate::plan::{Base, Plan, Scope, StageWish, evaluate};
use crate::request::{ContextSource, NoCache, PullPolicy, RegistryAccess, Secrets, SshAgents};
use crate::step::LayerSink;
use crate::{BuildError, BuiltBase};

/// What a build asks for besides its plan.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) platform: Platform,
    pub(crate) no_cache: NoCache,
    pub(crate) pull: PullPolicy,
    pub(crate) around: Surroundings,
    pub(crate) allow_insecure: bool,
    pub(crate) allow_host_network: bool,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) ssh: Arc<dyn SshAgents>,
    pub(crate) registries: Arc<dyn RegistryAccess>,
    pub(crate) keeps_git_directory: bool,
}

/// A stage that is built.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Its layers, lowest first.
    pub(crate) layers: Vec<ImageLayer>,
    /// The image without its layers.
    pub(crate) image: ImageState,
    /// Variables for stages that build on it.
    pub(crate) scope: Scope,
    /// How it was made; only steps with layers have times.
    pub(crate) history: Vec<HistoryEntry>,
    /// What it runs on.
    pub(crate) platform: Platform,
    /// The vertex that ends it.
    pub(crate) vertex: Option<Digest>,
    /// Its files, opened when somebody needs them.
    tree: OnceCell<Arc<dyn Tree>>,
}

/// Where the files of a name of contexts come from.
#[derive(Debug)]
enum NamedContext {
    /// An image, built upon as such.
    Image(String),
    /// A tree.
    Tree(Arc<dyn Tree>),
    /// What another build has made.
    Built(BuiltBase),
}

/// The name of an image and the platform that is asked for.
type BaseName = (String, Option<String>);

type Cell<T> = OnceCell<Result<T, BuildError>>;

/// One build.
#[derive(Debug)]
pub(crate) struct Solver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plan: Plan,
    pub(crate) wishes: Wishes,
    pub(crate) vertices: Vertices,
    pub(crate) lease: LayerLease,
    pub(crate) layers: Arc<dyn LayerSink>,
    context: Option<Arc<dyn Tree>>,
    named: BTreeMap<String, NamedContext>,
    stages: Vec<Cell<Arc<Stage>>>,
    images: Mutex<HashMap<BaseName, Arc<Cell<Arc<Stage>>>>>,
    /// Files of the web that this build has looked at: their SHA-256 by address.
    remotes: Mutex<HashMap<String, [u8; 32]>>,
    /// The steps whose results this build has used, in the order in which they were done.
    used: Mutex<Vec<UsedStep>>,
}

/// A step whose result a build has used.
#[derive(Debug, Clone)]
pub(crate) struct UsedStep {
    /// Its stage.
    pub(crate) stage: usize,
    /// Its key.
    pub(crate) key: Digest,
    /// What came of it.
    pub(crate) record: Record,
}

/// What a build reads from its client.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    context: Option<Arc<dyn Tree>>,
    named: BTreeMap<String, NamedContext>,
}

impl Contexts {
    /// Takes the context.
    pub(crate) fn with(context: Option<Arc<dyn Tree>>) -> Self {
        Self {
            context,
            named: BTreeMap::new(),
        }
    }

    /// Adds a context by name, opening it unless it is an image.
    pub(crate) async fn add(
        &mut self,
        name: String,
        source: ContextSource,
        open: impl AsyncFnOnce(ContextSource) -> Result<Arc<dyn Tree>, BuildError>,
    ) -> Result<(), BuildError> {
        let named = match source {
            ContextSource::Image(image) => NamedContext::Image(image),
            ContextSource::Built(base) => NamedContext::Built(base),
            source => NamedContext::Tree(open(source).await?),
        };
        self.named.insert(name, named);
        Ok(())
    }
}

impl Solver {
    /// Makes a build that has done nothing yet.
    pub(crate) fn new(
        shared: Arc<Shared>,
        plan: Plan,
        wishes: Wishes,
        contexts: Contexts,
        vertices: Vertices,
        (lease, layers): (LayerLease, Arc<dyn LayerSink>),
    ) -> Self {
        let stages = plan.stages.iter().map(|_| OnceCell::new()).collect();
        Self {
            shared,
            plan,
            wishes,
            vertices,
            lease,
            layers,
            context: contexts.context,
            named: contexts.named,
            stages,
            images: Mutex::default(),
            remotes: Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Builds the target and all that it needs.
    ///
    /// # Errors
    /// The first failure; what else was going on is stopped then.
    pub(crate) async fn target(&self) -> Result<Arc<Stage>, BuildError> {
        let all = self.plan.needed.iter().map(|index| self.stage(*index));
        futures_util::future::try_join_all(all).await?;
        self.stage(self.plan.target).await
    }

    /// Returns the steps whose results were used.
    pub(crate) fn used(&self) -> Vec<UsedStep> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Builds a stage, or waits for it.
    fn stage(&self, index: usize) -> BoxFuture<'_, Result<Arc<Stage>, BuildError>> {
        Box::pin(async move {
            let built = self.stages[index].get_or_init(|| async { self.build(index).await.map(Arc::new) });
            built.await.clone()
        })
    }

    async fn build(&self, index: usize) -> Result<Stage, BuildError> {
        let base = self.base(index).await?;
        if self.plan.stages[index].replaced {
            return Ok(base.again());
        }
        let evaluated = evaluate(StageWish {
            plan: &self.plan,
            index,
            image: base.image.clone(),
            scope: base.scope.clone(),
        })?;
        self.vertices.plan_steps(index, &evaluated.steps);
        let mut layers = base.layers.clone();
        let mut vertex = base.vertex.clone();
        let mut times = Vec::new();
        for (position, step) in evaluated.steps.iter().enumerate() {
            let done = self.step(index, position, step, &layers, vertex.as_ref()).await?;
            times.push(done.record.created_at);
            layers.push(done.record.layer);
            vertex = Some(done.vertex);
        }
        let mut history = base.history.clone();
        let epoch = self.wishes.around.source_date_epoch;
        history.extend(evaluated.history.into_iter().map(|(created_by, step)| HistoryEntry {
            created_at: epoch.or_else(|| step.and_then(|step| times.get(step).copied())),
            created_by,
            author: String::new(),
            comment: history::COMMENT.to_owned(),
            empty_layer: step.is_none(),
        }));
        Ok(Stage {
            layers,
            image: evaluated.image,
            scope: evaluated.scope,
            history,
            platform: base.platform.clone(),
            vertex,
            tree: OnceCell::new(),
        })
    }

    /// Returns what a stage builds on.
    async fn base(&self, index: usize) -> Result<Arc<Stage>, BuildError> {
        match &self.plan.stages[index].base {
            Base::Scratch => Ok(Arc::new(Stage::scratch(self.wishes.platform.clone()))),
            Base::Stage(earlier) => self.stage(*earlier).await,
            Base::Named(name) => self.named_base(index, name).await,
            Base::Image { name, platform } => self.image(Some(index), name, platform.as_deref()).await,
        }
    }
}

impl Stage {
    fn scratch(platform: Platform) -> Self {
        let image = ImageState::scratch();
        Self {
            layers: Vec::new(),
            scope: Scope::new(&image.config.env),
            image,
            history: Vec::new(),
            platform,
            vertex: None,
            tree: OnceCell::new(),
        }
    }

    /// Returns the same with more labels, for whoever builds upon it.
    pub(crate) fn labelled(&self, labels: &BTreeMap<String, String>) -> Self {
        let mut stage = self.again();
        stage.image.config.labels.extend(labels.clone());
        stage.scope = Scope::new(&stage.image.config.env);
        stage
    }

    /// Returns the same under another roof.
    pub(super) fn again(&self) -> Self {
        Self {
            layers: self.layers.clone(),
            image: self.image.clone(),
            scope: self.scope.clone(),
            history: self.history.clone(),
            platform: self.platform.clone(),
            vertex: self.vertex.clone(),
            tree: OnceCell::new(),
        }
    }

    /// Returns the history with all times, and when the image was made.
    pub(crate) fn dated(&self, epoch: Option<Timestamp>) -> (Vec<HistoryEntry>, Timestamp) {
        let mut history = self.history.clone();
        date(&mut history);
        let created = created(&history, epoch);
        (history, created)
    }
}
