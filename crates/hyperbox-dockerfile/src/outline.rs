// SPDX-License-Identifier: MIT
//! What a Dockerfile offers: its targets, and what a target can be given — arguments, secrets, agents.
//!
//! As BuildKit's frontend answers the requests `frontend.targets` and `frontend.outline`
//! (`frontend/dockerfile/dockerfile2llb/outline.go`). A comment before a definition that begins with its name describes it. Pure: what
//! base images bring along is asked of the caller.

mod comments;
mod stage;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::comments::Comments;
use self::stage::{Collected, Outlined, Whole};
use self::variables::Variables;
use crate::check::{Mistake, Surroundings};
use crate::{Dependency, Dockerfile, Lines, StageGraph};

/// A stage as something to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is called, in lower case.
    pub name: Option<String>,
    /// What the comment before it says.
    pub description: String,
    /// What it builds on, as written.
    pub base: String,
    /// The platform of that, as written.
    pub platform: Option<String>,
    /// Whether it is what is built unless told otherwise.
    pub is_default: bool,
    /// Its FROM line.
    pub lines: Lines,
}

/// What a target can be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// What the target is called, in lower case.
    pub name: Option<String>,
    /// What the comment before it says.
    pub description: String,
    /// In the order of the file.
    pub arguments: Vec<OfferedArgument>,
    /// Secrets, in the order of the file.
    pub secrets: Vec<Need>,
    /// SSH agents, in the order of the file.
    pub agents: Vec<Need>,
}

/// An argument that a target uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedArgument {
    /// Its name.
    pub name: String,
    /// What the comment before it says.
    pub description: String,
    /// What it is in this build; empty also when it is nothing.
    pub value: String,
    /// The ARG instruction.
    pub lines: Lines,
}

/// Something that the client is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What names it.
    pub name: String,
    /// Whether a build without it fails.
    pub is_required: bool,
    /// The RUN instruction.
    pub lines: Lines,
}

/// Lists the targets of a Dockerfile, in the order of the file.
///
/// # Errors
/// A malformed file.
pub fn targets(text: &str) -> Result<Vec<Target>, Mistake> {
    let file = Dockerfile::parse(text)?;
    let comments = Comments::of(text, &file)?;
    let last = file.stages.len().saturating_sub(1);
    let targets = file.stages.iter().enumerate().map(|(index, stage)| Target {
        name: stage.name.clone(),
        description: comments.describe(stage.lines, stage.name.as_deref().unwrap_or_default()),
        base: stage.base.clone(),
        platform: stage.platform.clone(),
        is_default: index == last,
        lines: stage.lines,
    });
    Ok(targets.collect())
}

/// Tells what the target of a build can be given.
///
/// # Errors
/// What ends a build before its first step: malformed files and words, a target that is no stage.
pub fn outline(text: &str, around: &Surroundings<'_>) -> Result<Outline, Mistake> {
    let file = Dockerfile::parse(text)?;
    let comments = Comments::of(text, &file)?;
    let whole = Whole::of(&file, &comments, around)?;
    let graph = StageGraph::new(&file, around.target, |base| whole.expand(base)).map_err(|error| Mistake {
        lines: error.lines().to_vec(),
        message: error.to_string(),
    })?;
    let mut stages: BTreeMap<usize, Outlined> = BTreeMap::new();
    let mut images: HashMap<&str, Variables> = HashMap::new();
    for index in &graph.needed {
        let base = graph.dependencies[*index].first();
        let begins = match base {
            // What a stage builds on stands before it.
            Some(Dependency::Stage(earlier)) => stages.get(earlier).map(Outlined::variables).unwrap_or_default(),
            Some(Dependency::Image(image)) => images
                .entry(image)
                .or_insert_with(|| stage::of_image(image, around))
                .clone(),
            None => Variables::default(),
        };
        let stage = &file.stages[*index];
        stages.insert(*index, Outlined::of(stage, begins, &whole)?);
    }
    let stage = &file.stages[graph.target];
    let outline = Outline {
        name: stage.name.clone(),
        description: comments.describe(stage.lines, stage.name.as_deref().unwrap_or_default()),
        ..Outline::default()
    };
    let mut collected = Collected::new(outline, &whole);
    for index in nearest_first(&graph) {
        if let Some(stage) = stages.remove(&index) {
            collected.add(stage);
        }
    }
    let mut outline = collected.outline;
    outline.arguments.sort_by_key(|argument| argument.lines);
    outline.secrets.sort_by_key(|secret| secret.lines);
    outline.agents.sort_by_key(|agent| agent.lines);
    Ok(outline)
}

/// Returns the stages in the order in which they are asked: a stage, what it builds on, what it takes files from. Who is asked first
/// decides what a name means.
fn nearest_first(graph: &StageGraph) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![graph.target];
    while let Some(index) = open.pop() {
        if !seen.insert(index) {
            continue;
        }
        order.push(index);
        let stages = graph.dependencies[index].iter().rev();
        open.extend(stages.filter_map(|dependency| match dependency {
            Dependency::Stage(other) => Some(*other),
            Dependency::Image(_) => None,
        }));
    }
    order
}
