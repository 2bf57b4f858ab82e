// SPDX-License-Identifier: MIT
//! `oracle.txt`: instructions and what Docker Engine 28.5 (BuildKit) made of them: lines of the root filesystem that came (`+`) and
//! went (`-`), or its error (`!`), without its own paths. Sizes of compressed archives differ by compressor and are not compared.

use std::io::Read as _;
use std::sync::Arc;

use hyperbox_dockerfile::{Add, Copy, Dockerfile, Instruction, Source};

use super::fixture::{World, listed};
use crate::context::{SpooledTree, Tree};
use crate::step::{AddFile, CopySource, CopyStep, FileOwner, Unpacking};

/// The root filesystem as one archive: that of the stage and the layers upon it.
struct Root {
    archive: Vec<u8>,
    tree: Arc<SpooledTree>,
}

fn step(world: &World, base: &Arc<SpooledTree>, copy: &Copy, add: Option<&Add>) -> CopyStep {
    let tree: Arc<dyn Tree> = match &copy.from {
        Some(_) => Arc::clone(base) as Arc<dyn Tree>,
        None => Arc::clone(&world.context) as Arc<dyn Tree>,
    };
    let sources = copy.sources.iter().map(|source| match source {
        Source::Path(path) => CopySource::Tree {
            tree: Arc::clone(&tree),
            path: path.clone(),
        },
        Source::Heredoc(text) => CopySource::Text {
            name: text.name.clone(),
            content: text.content.clone(),
        },
    });
    CopyStep {
        sources: sources.collect(),
        destination: copy.destination.clone(),
        owner: copy.owner.clone().map(FileOwner),
        mode: copy.mode.clone(),
        link: copy.link,
        parents: copy.parents,
        excludes: copy.excludes.clone(),
        add: add.map(|add| AddFile {
            checksum: add.checksum.clone(),
            keep_git_directory: add.keep_git_directory,
            unpacking: match add.unpack {
                None => Unpacking::Local,
                Some(true) => Unpacking::Always,
                Some(false) => Unpacking::Never,
            },
        }),
    }
}

/// Carries instructions out, one layer each.
async fn carried_out(world: &World, text: &str) -> Result<Root, String> {
    let dockerfile = Dockerfile::parse(text).expect("a Dockerfile");
    let stage = &dockerfile.stages[0];
    let base = world.tree(&world.base);
    let archive = if stage.base == "scratch" {
        Vec::new()
    } else {
        world.base.clone()
    };
    let mut root = Root {
        tree: world.tree(&archive),
        archive,
    };
    let is_scratch = stage.base == "scratch";
    for (number, instruction) in stage.instructions.iter().enumerate() {
        let step = match &instruction.value {
            Instruction::Copy(copy) => step(world, &base, copy, None),
            Instruction::Add(add) => step(world, &base, &add.copy, Some(add)),
            other => panic!("{other:?} is no copying"),
        };
        let below = (number > 0 || !is_scratch).then(|| Arc::clone(&root.tree) as Arc<dyn Tree>);
        let layer = world.files.copy_onto(below, &step, &world.with()).await;
        let mut layer = layer.map_err(|error| error.to_string())?;
        // A later member replaces an earlier one, as a layer does.
        root.archive.truncate(root.archive.len().saturating_sub(1024));
        layer
            .read_to_end(&mut root.archive)
            .map_err(|error| error.to_string())?;
        root.tree = world.tree(&root.archive);
    }
    Ok(root)
}

/// The lines that are compared.
fn comparable(line: &str) -> bool {
    !(line.ends_with(".gz") || line.is_empty())
}

#[tokio::test]
async fn everything_is_as_the_oracle_has_it() {
    let world = World::new();
    let base = listed(&world.tree(&world.base));
    let mut wrong = Vec::new();
    for case in include_str!("oracle.txt").split("## ").filter(|case| !case.is_empty()) {
        let (head, expected) = case.split_once("\n---\n").expect("an expectation");
        let (name, dockerfile) = head.split_once('\n').expect("a Dockerfile");
        let found = match carried_out(&world, dockerfile).await {
            Err(error) => vec![format!("! {error}")],
            Ok(root) => {
                let now = listed(&root.tree);
                let is_scratch = dockerfile.starts_with("FROM scratch");
                let base: &[String] = if is_scratch { &[] } else { &base };
                let gone = base
                    .iter()
                    .filter(|line| !now.contains(line))
                    .map(|line| format!("- {line}"));
                let come = now
                    .iter()
                    .filter(|line| !base.contains(line))
                    .map(|line| format!("+ {line}"));
                gone.chain(come).collect()
            }
        };
        let mut found: Vec<String> = found.into_iter().filter(|line| comparable(line)).collect();
        let mut expected: Vec<String> = expected
            .lines()
            .filter(|line| comparable(line))
            .map(str::to_owned)
            .collect();
        found.sort();
        expected.sort();
        if found != expected {
            let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
            let extra: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
            wrong.push(format!("{name}: missing {missing:#?}, too much {extra:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
