// SPDX-License-Identifier: MIT
//! Which stages a target needs, and what each stage needs of others.
//!
//! A stage builds on earlier ones and takes files from earlier ones: a name that is no stage at all is an image. What leads in a circle
//! or ahead is refused, so that who waits for what a stage needs does not wait for ever.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::flag::with_suggestion;
use crate::instruction::{Dockerfile, Instruction};
use crate::{Lines, MountKind};

/// What a stage takes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The stage with this index.
    Stage(usize),
    /// An image, or a context that the client named so.
    Image(String),
}

/// The stages of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageGraph {
    /// The index of the stage that is built.
    pub target: usize,
    /// The indices of all stages that it needs, itself among them, in the order of the file.
    pub needed: Vec<usize>,
    /// For each stage of the file what it needs: its base first.
    pub dependencies: Vec<Vec<Dependency>>,
}

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The target is no stage.
    #[error("{}", with_suggestion(format!("target stage {name:?} could not be found"), name, &known.iter().map(String::as_str).collect::<Vec<_>>()))]
    NoTarget {
        /// What was asked for.
        name: String,
        /// What stages are called.
        known: Vec<String>,
    },
    /// A number that no stage has.
    #[error("invalid stage index {number}")]
    NoStage {
        /// What it refers to.
        number: i64,
    },
    /// A variable where a stage is named.
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    Variable,
    /// A stage that is copied from before it is there.
    #[error("cannot copy from stage {from:?}, it needs to be defined before current stage {stage:?}")]
    NotBefore {
        /// Where.
        lines: Lines,
        /// What it takes files from.
        from: String,
        /// What takes them.
        stage: String,
    },
    /// A stage that needs itself, at once or by way of others.
    #[error("circular dependency detected on stage: {stage}")]
    Circle {
        /// What it is called.
        stage: String,
        /// The instructions that lead around.
        lines: Vec<Lines>,
    },
}

impl GraphError {
    /// Returns where it is, if it is at certain places.
    pub fn lines(&self) -> &[Lines] {
        match self {
            Self::Circle { lines, .. } => lines,
            Self::NotBefore { lines, .. } => std::slice::from_ref(lines),
            Self::NoTarget { .. } | Self::NoStage { .. } | Self::Variable => &[],
        }
    }
}

impl StageGraph {
    /// Finds the stages of a target; without one the last stage is it. `evaluate` replaces variables of FROM lines.
    ///
    /// # Errors
    /// A target or number that is no stage; cycles, and later stages that a needed one takes files from.
    pub fn new(file: &Dockerfile, target: Option<&str>, evaluate: impl Fn(&str) -> String) -> Result<Self, GraphError> {
        let names = Names::of(file);
        let mut dependencies = Vec::new();
        let mut edges = Vec::new();
        for (index, stage) in file.stages.iter().enumerate() {
            let base = evaluate(&stage.base);
            // A base is a name: numbers are images there.
            let base = names
                .before(index, &base)
                .map_or(Dependency::Image(base), Dependency::Stage);
            let mut known = HashSet::from([base.clone()]);
            let mut found = vec![base];
            let mut places = Vec::new();
            for instruction in &stage.instructions {
                for reference in references(&instruction.value) {
                    let dependency = names.resolve(reference)?;
                    if let Dependency::Stage(other) = dependency {
                        places.push((other, instruction.lines));
                    }
                    if known.insert(dependency.clone()) {
                        found.push(dependency);
                    }
                }
            }
            if let Some(Dependency::Stage(base)) = found.first() {
                places.push((*base, stage.lines));
            }
            edges.push(places);
            dependencies.push(found);
        }
        refuse_circles(file, &edges)?;
        let last = file.stages.len().saturating_sub(1);
        let target = match target {
            None | Some("") => last,
            Some(name) => names.target(name).ok_or_else(|| GraphError::NoTarget {
                name: name.to_owned(),
                known: file.stages.iter().filter_map(|stage| stage.name.clone()).collect(),
            })?,
        };
        let mut needed = BTreeSet::new();
        let mut open = vec![target];
        while let Some(index) = open.pop() {
            if needed.insert(index) {
                let stages = dependencies[index].iter().filter_map(|dependency| match dependency {
                    Dependency::Stage(index) => Some(*index),
                    Dependency::Image(_) => None,
                });
                open.extend(stages);
            }
        }
        for index in &needed {
            if let Some((later, lines)) = edges[*index].iter().find(|(other, _)| other > index) {
                return Err(GraphError::NotBefore {
                    lines: *lines,
                    from: file.called(*later),
                    stage: file.called(*index),
                });
            }
        }
        Ok(Self {
            target,
            needed: needed.into_iter().collect(),
            dependencies,
        })
    }
}

impl Dockerfile {
    /// Returns what a stage is called: its name, or one made of its number.
    pub fn called(&self, index: usize) -> String {
        let name = self.stages.get(index).and_then(|stage| stage.name.clone());
        name.unwrap_or_else(|| format!("stage-{index}"))
    }

    /// Tells what a reference means: a stage by name or number, the last of several with this name, else an image.
    ///
    /// # Errors
    /// A number that no stage has; a variable.
    pub fn resolve(&self, reference: &str) -> Result<Dependency, GraphError> {
        Names::of(self).resolve(reference)
    }
}

/// The stages of a file by name, in their order.
struct Names<'a> {
    stages: HashMap<&'a str, Vec<usize>>,
    count: usize,
}

impl<'a> Names<'a> {
    fn of(file: &'a Dockerfile) -> Self {
        let mut stages: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, stage) in file.stages.iter().enumerate() {
            if let Some(name) = &stage.name {
                stages.entry(name).or_default().push(index);
            }
        }
        let count = file.stages.len();
        Self { stages, count }
    }

    /// Returns the last stage of this name before `index`.
    fn before(&self, index: usize, name: &str) -> Option<usize> {
        let stages = self.stages.get(name.to_lowercase().as_str())?;
        let earlier = stages.partition_point(|stage| *stage < index);
        stages[..earlier].last().copied()
    }

    /// A target is a name: numbers are for `--from`.
    fn target(&self, name: &str) -> Option<usize> {
        self.before(self.count, name)
    }

    fn resolve(&self, reference: &str) -> Result<Dependency, GraphError> {
        if reference.contains('$') {
            return Err(GraphError::Variable);
        }
        if let Some(stage) = self.before(self.count, reference) {
            return Ok(Dependency::Stage(stage));
        }
        let Ok(number) = reference.parse::<i64>() else {
            return Ok(Dependency::Image(reference.to_owned()));
        };
        match usize::try_from(number) {
            Ok(index) if index < self.count => Ok(Dependency::Stage(index)),
            _ => Err(GraphError::NoStage { number }),
        }
    }
}

/// For a stage which others it needs, and where that is said.
type Edges = Vec<(usize, Lines)>;

/// How far the look at a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    OnTheWay,
    Done,
}

fn refuse_circles(file: &Dockerfile, edges: &[Edges]) -> Result<(), GraphError> {
    let mut seen = vec![Seen::Never; edges.len()];
    for index in 0..edges.len() {
        let mut way = Vec::new();
        if let Some(lines) = circle(index, edges, &mut seen, &mut way) {
            let stage = file.called(index);
            return Err(GraphError::Circle { stage, lines });
        }
    }
    Ok(())
}

/// Looks for a way from a stage back to one that it was reached from; without recursion, a file may have any number of stages.
fn circle(start: usize, edges: &[Edges], seen: &mut [Seen], way: &mut Vec<(usize, usize)>) -> Option<Vec<Lines>> {
    if seen[start] == Seen::Done {
        return None;
    }
    seen[start] = Seen::OnTheWay;
    way.push((start, 0));
    while let Some((stage, next)) = way.last_mut() {
        let Some((other, _)) = edges[*stage].get(*next) else {
            seen[*stage] = Seen::Done;
            way.pop();
            continue;
        };
        *next += 1;
        match seen[*other] {
            Seen::OnTheWay => return Some(way.iter().map(|(stage, next)| edges[*stage][next - 1].1).collect()),
            Seen::Never => {
                seen[*other] = Seen::OnTheWay;
                way.push((*other, 0));
            }
            Seen::Done => {}
        }
    }
    None
}

/// Returns what an instruction takes files from.
fn references(instruction: &Instruction) -> Vec<&str> {
    match instruction {
        Instruction::Copy(copy) => copy.from.as_deref().into_iter().collect(),
        Instruction::Run(run) => {
            let mounts = run.mounts.iter();
            mounts
                .filter_map(|mount| match &mount.kind {
                    MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => from.as_deref(),
                    _ => None,
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "FROM base AS a\nFROM a AS b\nRUN --mount=from=tools,target=/t x\nFROM scratch AS unused\n\
        FROM other AS c\nCOPY --from=B x y\nCOPY --from=0 x y\nCOPY --from=image:1 x y\nFROM scratch\nCOPY --from=c / /\n";

    fn graph(text: &str, target: Option<&str>) -> Result<StageGraph, GraphError> {
        StageGraph::new(&Dockerfile::parse(text).unwrap(), target, str::to_owned)
    }

    #[test]
    fn only_what_the_target_needs() {
        assert_eq!(graph(FILE, None).unwrap().needed, [0, 1, 3, 4]);
        assert_eq!(graph(FILE, Some("b")).unwrap().needed, [0, 1]);
        assert_eq!(graph(FILE, Some("UNUSED")).unwrap().needed, [2]);
        // As with Docker: a target is a name.
        assert!(graph(FILE, Some("0")).is_err());
        let image = |name: &str| Dependency::Image(name.to_owned());
        assert_eq!(
            graph(FILE, None).unwrap().dependencies[3],
            [
                image("other"),
                Dependency::Stage(1),
                Dependency::Stage(0),
                image("image:1")
            ]
        );
        assert_eq!(
            graph(FILE, None).unwrap().dependencies[1],
            [Dependency::Stage(0), image("tools")]
        );
    }

    #[test]
    fn mistakes() {
        assert_eq!(
            graph(FILE, Some("unsued")).unwrap_err().to_string(),
            "target stage \"unsued\" could not be found (did you mean unused?)"
        );
        for (text, message) in [
            (
                "FROM a\nCOPY --from=0 x y\n",
                "circular dependency detected on stage: stage-0",
            ),
            (
                "FROM a AS a\nCOPY --from=b x y\nFROM a AS b\n",
                "circular dependency detected on stage: a",
            ),
            ("FROM a\nCOPY --from=1 x y\n", "invalid stage index 1"),
            ("FROM a\nCOPY --from=-1 x y\n", "invalid stage index -1"),
            (
                "FROM a\nCOPY --from=$X x y\n",
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
            ),
        ] {
            assert_eq!(graph(text, None).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn nothing_is_taken_from_a_stage_that_is_not_there_yet() {
        let text = "FROM a AS a\nCOPY --from=b x y\nFROM c AS b\n";
        assert_eq!(
            graph(text, Some("a")).unwrap_err().to_string(),
            "cannot copy from stage \"b\", it needs to be defined before current stage \"a\""
        );
        // Nobody needs the stage that would take it.
        assert_eq!(graph(text, None).unwrap().needed, [1]);
    }

    #[test]
    fn files_with_many_stages_are_read_in_a_moment() {
        use std::fmt::Write as _;

        // Each takes from the next one: all are on the way to the last.
        let count = 50_000;
        let mut text = String::new();
        for index in 0..count {
            writeln!(text, "FROM scratch AS s{index}\nCOPY --from=s{} / /", index + 1).unwrap();
        }
        let file = format!("{text}FROM scratch AS s{count}\n");
        let begun = std::time::Instant::now();
        assert_eq!(graph(&file, None).unwrap().needed, [count]);
        let around = text + &format!("FROM scratch AS s{count}\nCOPY --from=s0 / /\n");
        let error = graph(&around, None).unwrap_err();
        assert!(matches!(&error, GraphError::Circle { lines, .. } if lines.len() == count + 1));
        // It takes minutes when each is compared with all others.
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }

    #[test]
    fn a_later_stage_is_an_image_to_those_before_it() {
        let found = graph("FROM b AS a\nFROM x AS b\n", Some("a")).unwrap();
        assert_eq!(found.dependencies[0], [Dependency::Image("b".to_owned())]);
        let variables = Dockerfile::parse("FROM x AS b\nFROM $BASE\n").unwrap();
        let found = StageGraph::new(&variables, None, |text| text.replace("$BASE", "b")).unwrap();
        assert_eq!(found.needed, [0, 1]);
    }
}
