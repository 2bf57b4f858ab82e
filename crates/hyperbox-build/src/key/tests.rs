// SPDX-License-Identifier: MIT
//! A table of changes: which make another key and which must not.

use std::collections::{BTreeMap, BTreeSet};

use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, DiffId, Digest, Platform, Ulimit};

use super::Surroundings;
use crate::config::ImageState;
use crate::plan::{Action, Plan, PlannedStep, Scope, StageWish, evaluate};
use crate::request::BuildNetwork;

/// All that a key is made of, as a build has it.
#[derive(Clone)]
struct Build {
    text: String,
    arguments: Vec<(&'static str, &'static str)>,
    environment: Vec<String>,
    parents: Vec<DiffId>,
    read: [u8; 32],
    around: Surroundings,
}

fn layer(number: u8) -> DiffId {
    DiffId(Digest::from_sha256([number; 32]))
}

fn build(text: &str) -> Build {
    Build {
        text: text.to_owned(),
        arguments: Vec::new(),
        environment: vec!["PATH=/bin".to_owned()],
        parents: vec![layer(1), layer(2)],
        read: [7; 32],
        around: Surroundings {
            network: BuildNetwork::Default,
            extra_hosts: Vec::new(),
            shm_size: None,
            ulimits: Vec::new(),
            cgroup_parent: None,
            source_date_epoch: None,
        },
    }
}

impl Build {
    /// Returns the key of the last step.
    fn key(&self) -> Digest {
        let arguments: BTreeMap<String, String> = self
            .arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let platform = Platform::parse("linux/amd64").unwrap();
        let plan = Plan::new(&self.text, None, &arguments, &platform, BTreeSet::new()).unwrap();
        let mut image = ImageState::default();
        image.config.env.clone_from(&self.environment);
        let stage = evaluate(StageWish {
            plan: &plan,
            index: plan.target,
            scope: Scope::new(&image.config.env),
            image,
        })
        .unwrap();
        self.key_of(stage.steps.last().unwrap())
    }

    fn key_of(&self, step: &PlannedStep) -> Digest {
        let epoch = self.around.source_date_epoch;
        match &step.action {
            Action::Copy(copy) => super::copy(&self.parents, copy, &self.read, epoch),
            Action::Directory(directory) => super::directory(&self.parents, directory, epoch),
            Action::Run(run) => super::run(&self.parents, run, &[self.read], &self.around),
        }
    }
}

/// Says whether a change makes another key.
fn changes(before: &str, after: &str) -> bool {
    build(before).key() != build(after).key()
}

#[test]
fn texts_that_matter_and_texts_that_do_not() {
    for (before, after, rebuilds) in [
        // What is written but means the same.
        ("FROM a\nRUN x", "FROM a AS name\nRUN x", false),
        ("FROM a\nRUN x", "# a comment\nFROM a\nRUN  \\\n x", false),
        ("FROM a\nENV A=1\nCOPY f $A", "FROM a\nENV A=1\nCOPY f 1", false),
        ("FROM a\nCOPY f /w/x", "FROM a\nWORKDIR /w\nCOPY f x", false),
        // Configuration that a process does not see.
        (
            "FROM a\nRUN x",
            "FROM a\nLABEL l=1\nEXPOSE 80\nCMD y\nHEALTHCHECK CMD z\nRUN x",
            false,
        ),
        ("FROM a\nCOPY f g", "FROM a\nENV A=1\nARG B=2\nUSER 5\nCOPY f g", false),
        // What it sees.
        ("FROM a\nRUN x", "FROM a\nRUN y", true),
        ("FROM a\nRUN x", "FROM a\nRUN [\"x\"]", true),
        ("FROM a\nRUN x", "FROM a\nENV A=1\nRUN x", true),
        ("FROM a\nENV A=1\nRUN x", "FROM a\nENV A=2\nRUN x", true),
        ("FROM a\nRUN x", "FROM a\nUSER 5\nRUN x", true),
        ("FROM a\nRUN x", "FROM a\nSHELL [\"/bin/bash\",\"-c\"]\nRUN x", true),
        ("FROM a\nRUN x", "FROM a\nRUN --network=none x", true),
        ("FROM a\nRUN x", "FROM a\nRUN --security=insecure x", true),
        ("FROM a\nRUN <<E\nx\nE", "FROM a\nRUN <<E\ny\nE", true),
        // An argument counts where it is declared, used or not.
        ("FROM a\nRUN x", "FROM a\nARG V=1\nRUN x", true),
        ("FROM a\nARG V=1\nRUN x", "FROM a\nARG V=2\nRUN x", true),
        ("ARG V=1\nFROM a\nRUN x", "ARG V=2\nFROM a\nRUN x", false),
        // Where files go, and how.
        ("FROM a\nCOPY f g", "FROM a\nCOPY f h", true),
        ("FROM a\nCOPY f g", "FROM a\nCOPY f g/", true),
        ("FROM a\nCOPY f g", "FROM a\nCOPY --chown=1 f g", true),
        ("FROM a\nCOPY f g", "FROM a\nCOPY --chmod=600 f g", true),
        ("FROM a\nCOPY f g", "FROM a\nCOPY --exclude=x f g", true),
        ("FROM a\nCOPY f g", "FROM a\nCOPY --parents f g", true),
        ("FROM a\nCOPY f g", "FROM a\nADD f g", true),
        ("FROM a\nADD f g", "FROM a\nADD --unpack=false f g", true),
        ("FROM a\nCOPY <<E g\nx\nE", "FROM a\nCOPY <<E g\ny\nE", true),
        (
            "FROM a\nARG V=1\nCOPY <<E g\n$V\nE",
            "FROM a\nARG V=2\nCOPY <<E g\n$V\nE",
            true,
        ),
        ("FROM a\nWORKDIR /x", "FROM a\nWORKDIR /y", true),
        ("FROM a\nWORKDIR /x", "FROM a\nUSER 5\nWORKDIR /x", true),
        // Mounts: what they show and where, not what names a cache.
        (
            "FROM a\nRUN --mount=type=cache,target=/c x",
            "FROM a\nRUN --mount=type=cache,id=other,target=/c x",
            false,
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/c x",
            "FROM a\nRUN --mount=type=cache,target=/c,sharing=locked x",
            false,
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/c x",
            "FROM a\nRUN --mount=type=cache,target=/d x",
            true,
        ),
        (
            "FROM a\nRUN --mount=type=secret,id=s x",
            "FROM a\nRUN --mount=type=secret,id=t x",
            true,
        ),
        (
            "FROM a\nRUN --mount=target=/c x",
            "FROM a\nRUN --mount=target=/c,rw x",
            true,
        ),
        (
            "FROM a\nRUN --mount=type=tmpfs,target=/c x",
            "FROM a\nRUN --mount=type=tmpfs,target=/c,size=1m x",
            true,
        ),
    ] {
        assert_eq!(changes(before, after), rebuilds, "{before:?} -> {after:?}");
    }
}

/// A name, a change, and whether it makes another key of COPY and of RUN.
type Change = (&'static str, fn(&mut Build), bool, bool);

#[test]
fn surroundings_that_matter_and_those_that_do_not() {
    let changes: [Change; 12] = [
        ("nothing", |_| {}, false, false),
        ("content", |build| build.read = [8; 32], true, true),
        ("base", |build| build.parents[0] = layer(9), true, true),
        ("one layer more", |build| build.parents.push(layer(2)), true, true),
        (
            "environment of the base",
            |build| build.environment.push("X=1".to_owned()),
            false,
            true,
        ),
        (
            "argument that is declared",
            |build| build.arguments.push(("V", "2")),
            false,
            true,
        ),
        (
            "argument that is not",
            |build| build.arguments.push(("W", "2")),
            false,
            false,
        ),
        (
            "proxy",
            |build| build.arguments.push(("HTTPS_PROXY", "p")),
            false,
            false,
        ),
        (
            "network",
            |build| build.around.network = BuildNetwork::None,
            false,
            true,
        ),
        (
            "host",
            |build| build.around.extra_hosts.push(("h".to_owned(), "1.2.3.4".to_owned())),
            false,
            true,
        ),
        (
            "limits",
            |build| {
                build.around.shm_size = Some(ByteSize(1));
                build.around.ulimits.push(Ulimit::new("nofile", 1, 2).unwrap());
            },
            false,
            true,
        ),
        (
            "epoch",
            |build| build.around.source_date_epoch = Some(Timestamp(1)),
            true,
            true,
        ),
    ];
    for (name, change, copy, run) in changes {
        for (text, rebuilds) in [
            ("FROM a\nARG V=1\nCOPY f g", copy),
            ("FROM a\nARG V=1\nRUN --mount=target=/c x", run),
        ] {
            let before = build(text);
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(before.key() != after.key(), rebuilds, "{name}: {text}");
        }
    }
}

#[test]
fn a_linked_copy_is_the_same_on_every_base() {
    let before = build("FROM a\nCOPY --link f g");
    let mut after = before.clone();
    after.parents = vec![layer(5)];
    assert_eq!(before.key(), after.key());
    assert!(changes("FROM a\nCOPY f g", "FROM a\nCOPY --link f g"));
}

#[test]
fn fields_cannot_be_shifted_into_each_other() {
    assert!(changes("FROM a\nRUN [\"a\",\"b c\"]", "FROM a\nRUN [\"a b\",\"c\"]"));
    assert!(changes("FROM a\nCOPY a b c/", "FROM a\nCOPY [\"a b\",\"c/\"]"));
}
