// SPDX-License-Identifier: MIT
//! What one stage can be given, with the variables that its instructions see.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::comments::Comments;
use super::variables::Variables;
use super::{Need, OfferedArgument, Outline};
use crate::check::{Mistake, Surroundings};
use crate::instruction::{Argument, Instruction, Run, Stage};
use crate::{Dockerfile, Globals, Lines, MountKind, word};

/// What processes look for programs in, where an image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// All values that come of a file have no more bytes together.
const MOST: usize = 16 << 20;

/// Returns the variables that an image brings along; few when it is not known.
pub(super) fn of_image(image: &str, around: &Surroundings<'_>) -> Variables {
    let mut variables = Variables::default();
    variables.set("PATH", Rc::from(PATH));
    for line in (around.image)(image).unwrap_or_default().environment {
        let (name, value) = line.split_once('=').unwrap_or((&line, ""));
        variables.set(name, Rc::from(value));
    }
    variables.share();
    variables
}

/// An argument, and the arguments that its default uses.
#[derive(Debug)]
struct Known {
    description: String,
    value: Rc<str>,
    lines: Lines,
    uses: Vec<String>,
}

/// What all stages see.
pub(super) struct Whole<'a> {
    globals: Globals,
    arguments: HashMap<String, Known>,
    given: HashMap<&'a str, Rc<str>>,
    comments: &'a Comments,
    escape: char,
    /// So many bytes all values have until now.
    made: Cell<usize>,
}

impl<'a> Whole<'a> {
    /// Evaluates the arguments before the first FROM.
    ///
    /// # Errors
    /// Defaults that cannot be evaluated.
    pub(super) fn of(file: &Dockerfile, comments: &'a Comments, around: &'a Surroundings<'a>) -> Result<Self, Mistake> {
        let globals = Globals::new(file, around.arguments, around.predefined.clone())?;
        let known = globals.arguments().iter().map(|argument| {
            let known = Known {
                description: comments.describe(argument.lines, &argument.name),
                value: Rc::from(argument.value.as_deref().unwrap_or_default()),
                lines: argument.lines,
                uses: argument.uses.clone(),
            };
            (argument.name.clone(), known)
        });
        let given = around.arguments.iter();
        Ok(Self {
            arguments: known.collect(),
            given: given
                .map(|(name, value)| (name.as_str(), Rc::from(value.as_str())))
                .collect(),
            comments,
            escape: file.directives.escape,
            made: Cell::new(0),
            globals,
        })
    }

    /// Evaluates what a FROM line says; what cannot be evaluated is nothing.
    pub(super) fn expand(&self, text: &str) -> String {
        self.globals.expand(text).result.unwrap_or_default()
    }

    fn evaluate(&self, text: &str, variables: &Variables, lines: Lines) -> Result<Rc<str>, Mistake> {
        let value = word::expand(text, self.escape, &|name| variables.get(name).map(ToString::to_string));
        let value = value.and_then(|value| {
            self.made.set(self.made.get() + value.len());
            match self.made.get() > MOST {
                true => Err(word::too_much(text, MOST)),
                false => Ok(value),
            }
        });
        value.map(Rc::from).map_err(|error| Mistake {
            lines: vec![lines],
            message: error.to_string(),
        })
    }
}

/// A stage that was looked into.
#[derive(Debug)]
pub(super) struct Outlined {
    variables: Variables,
    arguments: HashMap<String, Known>,
    used: BTreeSet<String>,
    secrets: Vec<Need>,
    agents: Vec<Need>,
}

impl Outlined {
    /// Looks into a stage that begins with these variables.
    ///
    /// # Errors
    /// Words that cannot be evaluated.
    pub(super) fn of(stage: &Stage, begins: Variables, whole: &Whole<'_>) -> Result<Self, Mistake> {
        let mut outlined = Self {
            variables: begins,
            arguments: HashMap::new(),
            used: BTreeSet::new(),
            secrets: Vec::new(),
            agents: Vec::new(),
        };
        for text in [Some(&stage.base), stage.platform.as_ref()].into_iter().flatten() {
            let expanded = whole.globals.expand(text);
            if let Err(error) = expanded.result {
                return Err(Mistake {
                    lines: vec![stage.lines],
                    message: error.to_string(),
                });
            }
            outlined.used.extend(expanded.uses);
        }
        for one in &stage.instructions {
            match &one.value {
                Instruction::Arg(arguments) => {
                    for argument in arguments {
                        outlined.declare(argument, one.lines, whole)?;
                    }
                }
                Instruction::Environment(pairs) => {
                    // All of one instruction see what was before it.
                    let plain = |text: &str| whole.evaluate(text, &outlined.variables, one.lines);
                    let pairs = pairs.iter().map(|pair| Ok((plain(&pair.name)?, plain(&pair.value)?)));
                    for (name, value) in pairs.collect::<Result<Vec<_>, Mistake>>()? {
                        outlined.variables.set(&name, value);
                    }
                }
                Instruction::Run(run) => outlined.run(run, one.lines, whole)?,
                _ => {}
            }
        }
        outlined.variables.share();
        Ok(outlined)
    }

    /// Returns what a stage that builds on it begins with.
    pub(super) fn variables(&self) -> Variables {
        self.variables.clone()
    }

    fn declare(&mut self, argument: &Argument, lines: Lines, whole: &Whole<'_>) -> Result<(), Mistake> {
        let name = argument.name.as_str();
        let inherited = whole.globals.get(name);
        let (value, is_inherited) = match (whole.given.get(name), &argument.default, inherited) {
            (Some(given), ..) => (Some(Rc::clone(given)), false),
            (None, Some(default), _) => (Some(whole.evaluate(default, &self.variables, lines)?), false),
            (None, None, Some(inherited)) => {
                let known = whole.arguments.get(name).map(|known| Rc::clone(&known.value));
                (Some(known.unwrap_or_else(|| Rc::from(inherited))), true)
            }
            (None, None, None) => (None, false),
        };
        if !is_inherited {
            let known = Known {
                description: whole.comments.describe(lines, name),
                value: value.clone().unwrap_or_default(),
                lines,
                uses: Vec::new(),
            };
            self.arguments.insert(name.to_owned(), known);
        }
        self.used.insert(name.to_owned());
        if let Some(value) = value {
            self.variables.set(name, value);
        }
        Ok(())
    }

    fn run(&mut self, run: &Run, lines: Lines, whole: &Whole<'_>) -> Result<(), Mistake> {
        for mount in &run.mounts {
            let (needs, id, is_required) = match &mount.kind {
                MountKind::Secret { id, required, .. } => {
                    let last = mount.target.as_ref().and_then(|target| target.rsplit('/').next());
                    let id = id.as_deref().or(last).unwrap_or_default();
                    (&mut self.secrets, id, *required)
                }
                MountKind::Ssh { id, required, .. } => {
                    (&mut self.agents, id.as_deref().unwrap_or("default"), *required)
                }
                _ => continue,
            };
            needs.push(Need {
                name: whole.evaluate(id, &self.variables, lines)?.to_string(),
                is_required,
                lines,
            });
        }
        Ok(())
    }
}

/// What is known of a target so far. Who is asked first decides.
pub(super) struct Collected<'a> {
    pub(super) outline: Outline,
    whole: &'a Whole<'a>,
    arguments: HashSet<String>,
    secrets: HashSet<String>,
    agents: HashSet<String>,
}

impl<'a> Collected<'a> {
    /// Begins with nothing.
    pub(super) fn new(outline: Outline, whole: &'a Whole<'a>) -> Self {
        Self {
            outline,
            whole,
            arguments: HashSet::new(),
            secrets: HashSet::new(),
            agents: HashSet::new(),
        }
    }

    /// Adds what a stage can be given.
    pub(super) fn add(&mut self, stage: Outlined) {
        let Outlined {
            arguments, mut used, ..
        } = stage;
        let known = |name: &str| arguments.get(name).or_else(|| self.whole.arguments.get(name));
        let mut open: Vec<String> = used.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for one in known(&name).into_iter().flat_map(|known| &known.uses) {
                if used.insert(one.clone()) {
                    open.push(one.clone());
                }
            }
        }
        for name in used {
            let Some(found) = known(&name) else { continue };
            if self.arguments.insert(name.clone()) {
                self.outline.arguments.push(OfferedArgument {
                    name,
                    description: found.description.clone(),
                    value: found.value.to_string(),
                    lines: found.lines,
                });
            }
        }
        // The first who needs something says how much.
        let secrets = stage.secrets.into_iter();
        let secrets = secrets.filter(|need| self.secrets.insert(need.name.clone()));
        self.outline.secrets.extend(secrets);
        let agents = stage.agents.into_iter();
        let agents = agents.filter(|need| self.agents.insert(need.name.clone()));
        self.outline.agents.extend(agents);
    }
}
