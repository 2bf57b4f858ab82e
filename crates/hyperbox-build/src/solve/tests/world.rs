// SPDX-License-Identifier: MIT
//! Builders on fakes: layers are what steps say, and who carries them out writes a list.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::image::{ImageLayer, Images};
use hyperbox_core::seam::Snapshotter as _;
use hyperbox_core::time::Timestamp;
use hyperbox_testkit::wait_for_async;
use hyperbox_testkit::world::World;
use hyperbox_types::{ByteSize, DiffId};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::context::{Entry, EntryKind, FileReader, Tree, TreeError, TreePlace};
use crate::request::{ContextSource, DockerfileSource};
use crate::step::{CacheDirectory, FileStep, FileSteps, RunStep, RunSteps, StepContext};
use crate::{
    BuildError, BuildRequest, Builder, BuilderDependencies, Built, EventSender, PruneOptions, PrunedCache, Retention,
    StepError,
};

/// A builder and what it stands on.
pub(super) struct Fakes {
    world: World,
    images: Images,
    builder: Builder,
    steps: Arc<Steps>,
    content: Mutex<Vec<u8>>,
}

/// Carries everything out.
#[derive(Debug, Default)]
struct Steps {
    carried_out: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    stopped: AtomicUsize,
    go: CancellationToken,
}

/// A tree with one file, `f`.
#[derive(Debug)]
struct OneFile(Vec<u8>);

impl Fakes {
    pub(super) async fn new() -> Self {
        Self::on(World::new()).await
    }

    async fn on(world: World) -> Self {
        let images = world.engine().await.images;
        let steps = Arc::new(Steps::default());
        let builder = Builder::open(BuilderDependencies {
            images: images.clone(),
            records: Arc::new(world.records.clone()),
            files: Arc::clone(&steps) as Arc<dyn FileSteps>,
            runs: Arc::clone(&steps) as Arc<dyn RunSteps>,
            retention: retention(),
        })
        .unwrap();
        Self {
            world,
            images,
            builder,
            steps,
            content: Mutex::new(b"content".to_vec()),
        }
    }

    /// Starts another daemon on the same world. The engine's own start collects before a builder is there, so its cache is looked at
    /// by a service that is opened the same way as the first.
    pub(super) async fn restarted(self) -> Self {
        let images = self.images.clone();
        let steps = Arc::new(Steps::default());
        let builder = Builder::open(BuilderDependencies {
            images: images.clone(),
            records: Arc::new(self.world.records.clone()),
            files: Arc::clone(&steps) as Arc<dyn FileSteps>,
            runs: Arc::clone(&steps) as Arc<dyn RunSteps>,
            retention: retention(),
        })
        .unwrap();
        images.collect().await;
        Self { builder, steps, ..self }
    }

    pub(super) fn images(&self) -> Images {
        self.images.clone()
    }

    pub(super) async fn build(&self, text: &str) -> Result<Built, BuildError> {
        self.build_with(text, |_| {}).await
    }

    pub(super) async fn build_target(&self, text: &str, target: &str) -> Result<Built, BuildError> {
        self.build_with(text, |request| request.target = Some(target.to_owned()))
            .await
    }

    pub(super) async fn build_with(
        &self,
        text: &str,
        change: impl FnOnce(&mut BuildRequest),
    ) -> Result<Built, BuildError> {
        let dockerfile = DockerfileSource::Text {
            name: "Dockerfile".to_owned(),
            text: text.to_owned(),
        };
        let content = self.content.lock().unwrap().clone();
        let mut request = BuildRequest::new(dockerfile, ContextSource::Tree(Arc::new(OneFile(content))));
        change(&mut request);
        self.builder.build(request, EventSender::channel().0).await
    }

    /// Returns what was carried out since this was last asked.
    pub(super) fn carried_out(&self) -> Vec<String> {
        std::mem::take(&mut self.steps.carried_out.lock().unwrap())
    }

    pub(super) fn set_content(&self, content: &[u8]) {
        *self.content.lock().unwrap() = content.to_vec();
    }

    pub(super) fn has(&self, layer: &DiffId) -> bool {
        self.world.snapshotter.has_layer(layer)
    }

    pub(super) async fn lose(&self, layer: &DiffId) {
        self.world.snapshotter.remove_layer(layer).await.unwrap();
    }

    pub(super) async fn prune(&self, options: PruneOptions) -> PrunedCache {
        self.builder.prune(options).await.unwrap()
    }

    /// Waits until so many steps wait.
    pub(super) async fn waiting(&self, count: usize) {
        let ready = || async {
            (self.steps.waiting.load(Ordering::SeqCst) >= count)
                .then_some(())
                .ok_or_else(|| "not yet".to_owned())
        };
        wait_for_async("steps that wait", ready).await;
    }

    /// Waits until so many steps were stopped.
    pub(super) async fn stopped(&self, count: usize) {
        let ready = || async {
            (self.steps.stopped.load(Ordering::SeqCst) >= count)
                .then_some(())
                .ok_or_else(|| "not yet".to_owned())
        };
        wait_for_async("steps that were stopped", ready).await;
    }

    /// Lets steps that wait go on.
    pub(super) fn go(&self) {
        self.steps.go.cancel();
    }
}

fn retention() -> Retention {
    Retention {
        size: ByteSize(1 << 30),
        age: None,
    }
}

/// Returns the layers of an image.
pub(super) fn last_layers(images: &Images, id: &str) -> Vec<DiffId> {
    let image = images.get(id).unwrap();
    image.layers.iter().map(|layer| layer.diff_id.clone()).collect()
}

pub(super) fn build_args(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    pairs.collect()
}

impl Steps {
    fn note(&self, what: String) {
        self.carried_out.lock().unwrap().push(what);
    }
}

/// Makes a layer with one file of this name.
async fn layer(name: &str, content: &[u8], with: &StepContext) -> Result<ImageLayer, StepError> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, content).unwrap();
    let bytes = builder.into_inner().unwrap();
    with.layers.store_reader(Box::new(std::io::Cursor::new(bytes))).await
}

#[async_trait]
impl FileSteps for Steps {
    async fn open_context(&self, source: ContextSource, _with: &StepContext) -> Result<Arc<dyn Tree>, StepError> {
        match source {
            ContextSource::Tree(tree) => Ok(tree),
            other => Err(StepError::invalid(format!("{other:?}"))),
        }
    }

    async fn open_layers(&self, layers: &[DiffId]) -> Result<Arc<dyn Tree>, StepError> {
        let names: Vec<String> = layers.iter().map(ToString::to_string).collect();
        Ok(Arc::new(OneFile(names.join(" ").into_bytes())))
    }

    async fn look_up(&self, _address: &str, _with: &StepContext) -> Result<Option<[u8; 32]>, StepError> {
        Ok(None)
    }

    async fn digest(&self, step: &FileStep, _with: &StepContext) -> Result<[u8; 32], StepError> {
        let FileStep::Copy(copy) = step else { return Ok([0; 32]) };
        let mut hasher = Sha256::new();
        for source in &copy.sources {
            if let crate::step::CopySource::Tree { tree, .. } = source {
                let mut bytes = Vec::new();
                tree.open(Path::new("f")).unwrap().read_to_end(&mut bytes).unwrap();
                hasher.update(bytes);
            }
        }
        Ok(hasher.finalize().into())
    }

    async fn digest_path(&self, tree: &Arc<dyn Tree>, _path: &str, _with: &StepContext) -> Result<[u8; 32], StepError> {
        let entry = tree.entry(Path::new("f")).unwrap().unwrap();
        Ok(tree.digest(&entry).unwrap())
    }

    async fn run(&self, step: &FileStep, _root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        let destination = match step {
            FileStep::Copy(copy) => copy.destination.clone(),
            FileStep::MakeDirectory(directory) => directory.path.clone(),
        };
        self.note(format!("COPY {destination}"));
        let content = self.digest(step, with).await?;
        layer("copied", &content, with).await
    }
}

#[async_trait]
impl RunSteps for Steps {
    async fn run(&self, step: &RunStep, _root: &[DiffId], with: &StepContext) -> Result<ImageLayer, StepError> {
        let command = step.arguments.last().cloned().unwrap_or_default();
        self.note(format!("RUN {command}"));
        if command == "fail" {
            return Err(StepError::Exit {
                command,
                code: 1,
                tail: Vec::new(),
            });
        }
        if command == "wait" {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            tokio::select! {
                () = self.go.cancelled() => {}
                () = with.cancel.cancelled() => {
                    self.stopped.fetch_add(1, Ordering::SeqCst);
                    return Err(StepError::Cancelled);
                }
            }
        }
        let word = command.rsplit(' ').next().unwrap_or_default();
        layer("ran", word.as_bytes(), with).await
    }

    async fn caches(&self) -> Result<Vec<CacheDirectory>, StepError> {
        Ok(Vec::new())
    }

    async fn remove_cache(&self, _id: &str) -> Result<bool, StepError> {
        Ok(false)
    }
}

impl Tree for OneFile {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        let size = self.0.len() as u64;
        Ok((path == Path::new("f")).then(|| Entry {
            path: path.to_owned(),
            kind: EntryKind::File { size, identity: None },
            mode: 0o644,
            uid: 0,
            gid: 0,
            modified_at: Timestamp(0),
            attributes: BTreeMap::new(),
            digest: None,
        }))
    }

    fn walk(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError> {
        Ok(Box::new(self.entry(path)?.into_iter().map(Ok)))
    }

    fn open(&self, _path: &Path) -> Result<FileReader, TreeError> {
        Ok(Box::new(std::io::Cursor::new(self.0.clone())))
    }

    fn digest(&self, _entry: &Entry) -> Result<[u8; 32], TreeError> {
        Ok(Sha256::digest(&self.0).into())
    }

    fn place(&self) -> Result<TreePlace, TreeError> {
        Ok(TreePlace::Layers(Vec::new()))
    }
}
