// SPDX-License-Identifier: MIT
//! From a Dockerfile to steps: which stages there are, what they build on, and what each instruction means. Pure.
//!
//! What a stage's instructions mean depends on the configuration of its base ([`stage::evaluate`] is called when that is known), but never
//! on files. Rules are BuildKit's (`frontend/dockerfile/dockerfile2llb/convert.go`).

mod files;
mod mounts;
mod process;
mod scope;
mod stage;
mod step;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use hyperbox_dockerfile::word::expand;
use hyperbox_dockerfile::{Dependency, Dockerfile, Lines, StageGraph};
use hyperbox_types::Platform;

pub(crate) use scope::{Globals, Scope, predefined};
pub(crate) use stage::{StageWish, evaluate, from_name};
pub(crate) use step::{
    Action, PlannedCopy, PlannedMount, PlannedMountKind, PlannedRun, PlannedSource, PlannedStep, Reference,
};

use crate::BuildError;

/// What a stage builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// A context that the client named so.
    Named(String),
    /// An image.
    Image {
        /// Its name.
        name: String,
        /// What it shall run on, as written.
        platform: Option<String>,
    },
}

/// A stage that is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedStage {
    /// What it builds on.
    pub(crate) base: Base,
    /// Whether a context takes the place of all of it.
    pub(crate) replaced: bool,
    /// What it is called in names of steps; `None` where there is only one.
    pub(crate) label: Option<String>,
}

/// All that is known before any base is.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The file.
    pub(crate) file: Dockerfile,
    /// The stage that is asked for.
    pub(crate) target: usize,
    /// The stages that it needs, itself among them, in the order of the file.
    pub(crate) needed: Vec<usize>,
    /// All stages of the file.
    pub(crate) stages: Vec<PlannedStage>,
    /// Variables of FROM lines, and what ARG without a default finds.
    pub(crate) globals: Globals,
    /// Names of contexts.
    named: BTreeSet<String>,
}

impl Plan {
    /// Plans a build.
    ///
    /// # Errors
    /// Malformed files and FROM lines; a target that is no stage.
    pub(crate) fn new(
        text: &str,
        target: Option<&str>,
        arguments: &std::collections::BTreeMap<String, String>,
        platform: &Platform,
        named: BTreeSet<String>,
    ) -> Result<Self, BuildError> {
        let file = Dockerfile::parse(text)?;
        check_syntax(&file)?;
        let globals = Globals::new(&file, arguments, platform, target)?;
        let escape = file.directives.escape;
        let lookup = |name: &str| globals.get(name);
        let mut bases = Vec::new();
        for stage in &file.stages {
            let base = expand(&stage.base, escape, &lookup).map_err(|error| refused(&error, stage.lines))?;
            if base.is_empty() {
                return Err(BuildError::Dockerfile {
                    message: format!("base name ({}) should not be blank", stage.base),
                    lines: Some(stage.lines),
                });
            }
            let platform = stage.platform.as_ref().map(|text| expand(text, escape, &lookup));
            let platform = platform.transpose().map_err(|error| refused(&error, stage.lines))?;
            bases.push((base, platform.filter(|text| !text.is_empty())));
        }
        // The bases are evaluated; only their texts are asked for here.
        let graph = StageGraph::new(&file, target, |text| expand(text, escape, &lookup).unwrap_or_default())?;
        let several = file.stages.len() > 1;
        let mut stages = Vec::new();
        for (index, (base, platform)) in bases.into_iter().enumerate() {
            let stage = &file.stages[index];
            let replaced = stage.name.as_ref().filter(|name| named.contains(*name)).cloned();
            let own = || stage.name.clone().unwrap_or_else(|| format!("stage-{index}"));
            let label = several.then(own);
            stages.push(PlannedStage {
                replaced: replaced.is_some(),
                base: match (replaced, graph.dependencies[index].first()) {
                    (Some(name), _) => Base::Named(name),
                    (None, _) if named.contains(&base.to_lowercase()) => Base::Named(base.to_lowercase()),
                    (None, Some(Dependency::Stage(earlier))) => Base::Stage(*earlier),
                    (None, _) if base == "scratch" => Base::Scratch,
                    (None, _) => Base::Image { name: base, platform },
                },
                label,
            });
        }
        Ok(Self {
            target: graph.target,
            needed: graph.needed,
            stages,
            globals,
            named,
            file,
        })
    }

    /// Tells what `from` means.
    ///
    /// # Errors
    /// A number that is no stage.
    pub(crate) fn reference(&self, from: &str) -> Result<Reference, BuildError> {
        let name = from.to_lowercase();
        if self.named.contains(&name) {
            return Ok(Reference::Named(name));
        }
        Ok(match self.file.resolve(from)? {
            Dependency::Stage(index) => Reference::Stage(index),
            Dependency::Image(name) => Reference::Image(name),
        })
    }
}

/// The known frontends are built in; another one would have to be run.
fn check_syntax(file: &Dockerfile) -> Result<(), BuildError> {
    let Some(syntax) = &file.directives.syntax else {
        return Ok(());
    };
    let name = syntax.strip_prefix("docker.io/").unwrap_or(syntax);
    let known = ["docker/dockerfile", "docker/dockerfile-upstream"];
    let repository = name.split(['@', ':']).next().unwrap_or_default();
    if known.contains(&repository) {
        return Ok(());
    }
    Err(BuildError::Dockerfile {
        message: format!("frontend {syntax:?} is not supported: only docker/dockerfile is built in"),
        lines: Some(Lines::one(1)),
    })
}

pub(super) fn refused(error: &dyn std::fmt::Display, lines: Lines) -> BuildError {
    BuildError::Dockerfile {
        message: error.to_string(),
        lines: Some(lines),
    }
}
