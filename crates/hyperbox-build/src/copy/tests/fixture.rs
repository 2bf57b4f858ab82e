// SPDX-License-Identifier: MIT
//! Files that steps of tests read: the context and the stage `b` of `oracle.txt`, and a builder without an engine.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::FileStream;
use hyperbox_testkit::fake::{FakeRegistry, FakeSnapshotter};
use tar::{EntryType, Header};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::Files;
use crate::context::{EntryKind, Scratch, SpooledTree};
use crate::request::Nothing;
use crate::step::{LayerSink, StepContext};
use crate::{StepError, StepReporter};

/// The stage `b`: everything that `ADD base.tar /` makes.
pub(super) const BASE: &str = "\
l abslnk -> /realdir
l dang -> nowhere
l dangabs -> /deep/er
l esc -> ../../../../realdir
d755 0:0 etc/
f644 0:0 etc/passwd = root:x:0:0::/:/x\\nweb:x:33:34::/:/x\\n
f644 0:0 etc/group = root:x:0:\\nstaff:x:50:\\n
f644 0:0 file = old\\n
l flnk -> file
l lnk -> realdir
d1777 0:0 out/
d2750 7:8 own/
x f644 9:9 own/f = s\\n
h own/hard -> own/f
d755 0:0 realdir/
d755 0:0 sub/
l sub/sub -> /realdir
";

const CONTEXT: &str = "\
f644 0:0 a.txt = a\\n
f600 0:0 b.txt = b\\n
d755 0:0 arch/
l arch/tarlink -> over.tar
d700 0:0 d/
l d/dangling -> missing
d755 0:0 d/empty/
p644 0:0 d/pipe
d700 0:0 d/sub/
f644 0:0 d/sub/s.txt = s\\n
l d/up -> ../a.txt
f755 0:0 d/x = x\\n
l dlink -> d
f644 0:0 empty =\x20
h hard -> a.txt
l link -> a.txt
";

const OVER: &str = "\
d755 0:0 file/
f644 0:0 file/q = q\\n
d755 0:0 lnk/
f644 0:0 lnk/q = q\\n
d701 0:0 own/
f644 0:0 own/f = f2\\n
d701 0:0 newp/
f644 0:0 newp/z = z\\n
";

/// Adds members to an archive, as lines like those above say.
pub(super) fn archive(lines: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for line in lines.lines() {
        add(&mut archive, line);
    }
    archive.into_inner().expect("an archive")
}

fn add(archive: &mut tar::Builder<Vec<u8>>, line: &str) {
    let (attribute, line) = match line.strip_prefix("x ") {
        Some(line) => (true, line),
        None => (false, line),
    };
    let mut header = Header::new_ustar();
    header.set_mtime(1_000_000_000);
    let (kind, rest) = line.split_at(1);
    if kind == "l" || kind == "h" {
        let (path, target) = rest.trim().split_once(" -> ").expect("a target");
        header.set_entry_type(if kind == "l" {
            EntryType::Symlink
        } else {
            EntryType::Link
        });
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        archive.append_link(&mut header, path, target).expect("append");
        return;
    }
    let mut words = rest.splitn(3, ' ');
    let mode = u32::from_str_radix(words.next().expect("a mode"), 8).expect("digits");
    let (uid, gid) = words.next().and_then(|owner| owner.split_once(':')).expect("an owner");
    let rest = words.next().expect("a path");
    let (path, content) = rest.split_once(" = ").unwrap_or((rest, ""));
    let content = content.replace("\\n", "\n");
    header.set_entry_type(match kind {
        "d" => EntryType::Directory,
        "p" => EntryType::Fifo,
        _ => EntryType::Regular,
    });
    header.set_mode(mode);
    header.set_uid(uid.parse().expect("a number"));
    header.set_gid(gid.parse().expect("a number"));
    header.set_size(content.len() as u64);
    if attribute {
        let records = [("SCHILY.xattr.user.k", b"v".as_slice())];
        archive.append_pax_extensions(records).expect("append");
    }
    archive
        .append_data(&mut header, path, content.as_bytes())
        .expect("append");
}

fn add_file(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, name, content).expect("append");
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast());
    encoder.read_to_end(&mut packed).expect("packed");
    packed
}

/// Pads an archive as GNU tar does, so that its length is that of the oracle's.
fn in_records(mut archive: Vec<u8>) -> Vec<u8> {
    archive.resize(archive.len().next_multiple_of(10240), 0);
    archive
}

/// Returns the archive of the context.
fn context() -> Vec<u8> {
    let mut context = tar::Builder::new(Vec::new());
    for line in CONTEXT.lines() {
        add(&mut context, line);
    }
    let base = in_records(archive(BASE));
    let mut base = base;
    base.resize(30720, 0);
    add_file(&mut context, "base.tar", &base);
    add_file(&mut context, "base.tar.gz", &gzip(&base));
    // Cut in the middle of its header.
    add_file(&mut context, "cut.gz", &gzip(&base)[..40]);
    let mut not_one = gzip(b"a\n");
    not_one.resize(28, 0);
    add_file(&mut context, "notar.gz", &not_one);
    add_file(&mut context, "zeros", &[0; 1024]);
    add_file(&mut context, "arch/over.tar", &in_records(archive(OVER)));
    add_file(
        &mut context,
        "arch/noparent.tar",
        &in_records(archive("f644 0:0 newp/z = z\\n")),
    );
    let mut outside = archive("f644 0:0 xx/newp/z = z\\n");
    outside[..2].copy_from_slice(b"..");
    let mut header = Header::from_byte_slice(&outside[..512]).clone();
    header.set_cksum();
    outside[..512].copy_from_slice(header.as_bytes());
    add_file(&mut context, "arch/dotdot.tar", &in_records(outside));
    context.into_inner().expect("an archive")
}

/// Stores nothing.
#[derive(Debug)]
struct Sink;

#[async_trait]
impl LayerSink for Sink {
    async fn store_reader(&self, _tar: Box<dyn Read + Send>) -> Result<ImageLayer, StepError> {
        Err(StepError::invalid("this test stores nothing"))
    }

    async fn store_stream(&self, _tar: FileStream) -> Result<ImageLayer, StepError> {
        Err(StepError::invalid("this test stores nothing"))
    }
}

/// A builder without an engine.
pub(super) struct World {
    pub(super) files: Files,
    pub(super) scratch: Scratch,
    pub(super) context: Arc<SpooledTree>,
    pub(super) base: Vec<u8>,
    _directory: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let snapshotter = Arc::new(FakeSnapshotter::new());
        let files = Files::open(directory.path(), snapshotter, Arc::new(FakeRegistry::new()));
        let scratch = Scratch::open(&directory.path().join("scratch")).expect("scratch");
        let context = SpooledTree::read(context().as_slice(), &scratch).expect("a context");
        Self {
            files: files.expect("files"),
            scratch,
            context: Arc::new(context),
            base: archive(BASE),
            _directory: directory,
        }
    }

    pub(super) fn with(&self) -> StepContext {
        StepContext {
            reporter: StepReporter::default(),
            cancel: CancellationToken::new(),
            layers: Arc::new(Sink),
            source_date_epoch: None,
            secrets: Arc::new(Nothing),
            ssh: Arc::new(Nothing),
            registries: Arc::new(Nothing),
            keeps_git_directory: false,
        }
    }

    pub(super) fn tree(&self, archive: &[u8]) -> Arc<SpooledTree> {
        Arc::new(SpooledTree::read(archive, &self.scratch).expect("a tree"))
    }
}

/// Lists a tree as `oracle.txt` does.
pub(super) fn listed(tree: &SpooledTree) -> Vec<String> {
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let entries = tree
        .nodes()
        .map(|node| &node.entry)
        .filter(|entry| !entry.path.as_os_str().is_empty());
    entries
        .map(|entry| {
            let path = entry.path.display().to_string();
            let (mode, owner) = (entry.mode, format!("{}:{}", entry.uid, entry.gid));
            match &entry.kind {
                EntryKind::Directory => format!("d{mode:o} {owner} {path}/"),
                EntryKind::Symlink { target } => format!("l {owner} {path} -> {}", target.display()),
                EntryKind::Pipe => format!("p{mode:o} {owner} {path}"),
                EntryKind::File { size, identity } => {
                    if let Some(first) = identity.and_then(|identity| names.get(&identity)) {
                        return format!("h {path} = {first}");
                    }
                    if let Some(identity) = identity {
                        names.insert(*identity, path.clone());
                    }
                    let attributes: String = entry
                        .attributes
                        .keys()
                        .map(|key| format!(" +{}", key.display()))
                        .collect();
                    format!("f{mode:o} {owner} {size} {path}{attributes}")
                }
                other => format!("{other:?} {path}"),
            }
        })
        .collect()
}
