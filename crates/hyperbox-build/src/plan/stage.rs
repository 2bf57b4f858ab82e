// SPDX-License-Identifier: MIT
//! The instructions of one stage, evaluated on what it builds on.

use hyperbox_core::image::change;
use hyperbox_dockerfile::word::{Lookup, expand, expand_shown, expand_words};
use hyperbox_dockerfile::{Argument, Dockerfile, GraphError, Instruction, KeyValue, Lines, Located};

use super::step::{Action, PlannedStep, Reference};
use super::{Plan, Scope, files, process, refused};
use crate::BuildError;
use crate::config::ImageState;
use crate::step::{FileOwner, MakeDirectory};

/// What is evaluated.
#[derive(Debug)]
pub(crate) struct StageWish<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// Which stage.
    pub(crate) index: usize,
    /// Its base.
    pub(crate) image: ImageState,
    /// Variables that come with the base.
    pub(crate) scope: Scope,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// The steps that make layers, in order.
    pub(crate) steps: Vec<PlannedStep>,
    /// What the history says: text, and the index of the step that makes the layer, if one does.
    pub(crate) history: Vec<(String, Option<usize>)>,
    /// The image without its layers.
    pub(crate) image: ImageState,
    /// Variables for stages that build on this one.
    pub(crate) scope: Scope,
}

/// Evaluates a stage: the triggers of its base first, then its own instructions.
///
/// # Errors
/// Words that cannot be evaluated, references that lead nowhere.
pub(crate) fn evaluate(wish: StageWish<'_>) -> Result<Evaluated, BuildError> {
    let stage = &wish.plan.file.stages[wish.index];
    let mut image = wish.image;
    image.command_given = false;
    let triggers = triggers(&image.config.on_build, stage.lines)?;
    image.config.on_build.clear();
    let instructions: Vec<&Located<Instruction>> = triggers.iter().chain(&stage.instructions).collect();
    let counts_base = counts_base(wish.plan, wish.index);
    let mut work = Work {
        plan: wish.plan,
        index: wish.index,
        number: usize::from(counts_base),
        total: usize::from(counts_base) + count(&instructions),
        evaluated: Evaluated {
            steps: Vec::new(),
            history: Vec::new(),
            image,
            scope: wish.scope,
        },
    };
    for one in instructions {
        work.instruction(one)?;
    }
    Ok(work.evaluated)
}

fn in_line(lines: Lines, error: &hyperbox_core::ServiceError) -> String {
    format!("dockerfile parse error on line {}: {error}", lines.first)
}

/// What the FROM line of a stage is called. As with BuildKit, triggers of what it names are not counted yet.
pub(crate) fn from_name(plan: &Plan, index: usize, base: &str) -> String {
    let instructions: Vec<&Located<Instruction>> = plan.file.stages[index].instructions.iter().collect();
    step_name(plan, index, (1, 1 + count(&instructions)), &format!("FROM {base}"))
}

/// `[stage 2/13] RUN …`, numbers below each other.
fn step_name(plan: &Plan, index: usize, (number, total): (usize, usize), shown: &str) -> String {
    let label = plan.stages[index].label.as_ref();
    let label = label.map(|label| format!("{label} ")).unwrap_or_default();
    let width = total.to_string().len();
    format!("[{label}{number:>width$}/{total}] {shown}")
}

/// Tells whether the FROM line is a step of its own.
fn counts_base(plan: &Plan, index: usize) -> bool {
    matches!(
        plan.stages[index].base,
        super::Base::Image { .. } | super::Base::Named(_)
    )
}

fn count(instructions: &[&Located<Instruction>]) -> usize {
    instructions.iter().filter(|one| makes_layer(&one.value)).count()
}

fn makes_layer(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Add(_) | Instruction::Copy(_) | Instruction::Run(_) | Instruction::WorkingDirectory(_)
    )
}

/// Parses ONBUILD instructions, which stand where the FROM line stands.
fn triggers(texts: &[String], lines: Lines) -> Result<Vec<Located<Instruction>>, BuildError> {
    let mut instructions = Vec::new();
    for text in texts {
        let file =
            Dockerfile::parse(&format!("FROM scratch\n{text}\n")).map_err(|error| refused(&error.message, lines))?;
        let own = file.stages.into_iter().flat_map(|stage| stage.instructions);
        instructions.extend(own.map(|instruction| Located {
            lines,
            text: format!("ONBUILD {}", instruction.text),
            ..instruction
        }));
    }
    Ok(instructions)
}

/// A stage that is being evaluated.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) index: usize,
    number: usize,
    total: usize,
    pub(super) evaluated: Evaluated,
}

impl Work<'_> {
    fn instruction(&mut self, one: &Located<Instruction>) -> Result<(), BuildError> {
        let (lines, value) = (one.lines, one.value.clone());
        let image = &mut self.evaluated.image;
        let told = match value {
            Instruction::Add(add) => return files::add(self, one, &add),
            Instruction::Copy(copy) => return files::copy(self, one, &copy),
            Instruction::Run(run) => return process::run(self, one, run),
            Instruction::WorkingDirectory(path) => return self.working_directory(one, &path),
            Instruction::OnBuild(trigger) => {
                image.config.on_build.push(trigger);
                return Ok(());
            }
            Instruction::Arg(arguments) => self.arguments(&arguments, lines)?,
            Instruction::Command(line) => image.command(line),
            Instruction::Entrypoint(line) => image.entrypoint(line),
            Instruction::Environment(pairs) => {
                let pairs = self.pairs(&pairs, lines)?;
                for (name, value) in &pairs {
                    self.evaluated.scope.set(name, value);
                }
                self.evaluated.image.environment(&pairs)
            }
            Instruction::Label(pairs) => {
                let pairs = self.pairs(&pairs, lines)?;
                self.evaluated.image.label(&pairs)
            }
            Instruction::Expose(ports) => {
                let ports = self.words(&ports, lines)?;
                self.evaluated
                    .image
                    .expose(&ports)
                    .map_err(|message| refused(&message, lines))?
            }
            Instruction::Volume(paths) => {
                let paths: Vec<String> = paths
                    .iter()
                    .map(|path| self.word(path, lines))
                    .collect::<Result<_, _>>()?;
                if paths.iter().any(String::is_empty) {
                    return Err(refused(&"VOLUME specified can not be an empty string", lines));
                }
                self.evaluated.image.volume(&paths)
            }
            // BuildKit finds that when it reads the file.
            Instruction::Healthcheck(check) => image
                .health(check)
                .map_err(|error| refused(&in_line(lines, &error), lines))?,
            Instruction::Maintainer(name) => {
                image.author.clone_from(&name);
                format!("MAINTAINER {name}")
            }
            Instruction::Shell(words) => {
                let told = format!("SHELL [{}]", words.join(" "));
                image.config.shell = words;
                told
            }
            Instruction::StopSignal(signal) => self.stop_signal(&signal, lines)?,
            Instruction::User(user) => {
                let user = self.word(&user, lines)?;
                self.evaluated.image.config.user.clone_from(&user);
                format!("USER {user}")
            }
        };
        self.evaluated.history.push((told, None));
        Ok(())
    }

    /// ARG: what the client gives, else the default, else what the whole file knows.
    fn arguments(&mut self, arguments: &[Argument], lines: Lines) -> Result<String, BuildError> {
        let mut told = String::from("ARG");
        for argument in arguments {
            let globals = &self.plan.globals;
            let value = match (globals.given(&argument.name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.word(default, lines)?),
                (None, None) => globals.get(&argument.name),
            };
            self.evaluated.scope.declare(&argument.name, value.as_deref());
            told.push(' ');
            told.push_str(&argument.name);
            if let Some(value) = value {
                told.push('=');
                told.push_str(&value);
            }
        }
        Ok(told)
    }

    fn stop_signal(&mut self, text: &str, lines: Lines) -> Result<String, BuildError> {
        let signal = self.word(text, lines)?;
        change::stop_signal(&signal).map_err(|error| refused(&error, lines))?;
        self.evaluated.image.config.stop_signal = Some(signal.clone());
        Ok(format!("STOPSIGNAL {signal}"))
    }

    fn working_directory(&mut self, one: &Located<Instruction>, text: &str) -> Result<(), BuildError> {
        let wish = self.word(text, one.lines)?;
        let config = &mut self.evaluated.image.config;
        // As BuildKit, what is absolute stays as it is written.
        config.working_dir = match wish.starts_with('/') {
            true => wish,
            false => change::directory(&config.working_dir, &wish),
        };
        let path = change::directory("/", &config.working_dir);
        let user = config.user.clone();
        self.number += 1;
        let told = format!("WORKDIR {}", config.working_dir);
        if path == "/" {
            self.evaluated.history.push((told, None));
            return Ok(());
        }
        self.number -= 1;
        let owner = Some(user).filter(|user| !user.is_empty()).map(FileOwner);
        self.step(one, Action::Directory(MakeDirectory { path, owner }), &one.text, told);
        Ok(())
    }

    /// Tells what `from` means. The file's own instructions were looked at when it was read; a trigger of the base may name the stage that
    /// it is in, which is not there before itself, or a later one.
    ///
    /// # Errors
    /// A number that is no stage; a stage that is not there before this one.
    pub(super) fn reference(&self, from: &str, lines: Lines) -> Result<Reference, BuildError> {
        let reference = self.plan.reference(from)?;
        if let Reference::Stage(other) = reference
            && other >= self.index
        {
            let file = &self.plan.file;
            return Err(BuildError::from(GraphError::NotBefore {
                lines,
                from: file.called(other),
                stage: file.called(self.index),
            }));
        }
        Ok(reference)
    }

    /// Adds a step. `shown` is what it is called, `told` what the history says.
    pub(super) fn step(&mut self, one: &Located<Instruction>, action: Action, shown: &str, told: String) {
        self.number += 1;
        let lookup: Lookup<'_> = &|name| self.evaluated.scope.get(name);
        let shown = expand_shown(shown, self.escape(), lookup);
        let name = step_name(self.plan, self.index, (self.number, self.total), &shown);
        let position = self.evaluated.steps.len();
        self.evaluated.steps.push(PlannedStep {
            name,
            lines: one.lines,
            action,
        });
        self.evaluated.history.push((told, Some(position)));
    }

    pub(super) fn escape(&self) -> char {
        self.plan.file.directives.escape
    }

    /// Evaluates a word.
    pub(super) fn word(&self, text: &str, lines: Lines) -> Result<String, BuildError> {
        let lookup: Lookup<'_> = &|name| self.evaluated.scope.get(name);
        expand(text, self.escape(), lookup).map_err(|error| refused(&error, lines))
    }

    fn words(&self, texts: &[String], lines: Lines) -> Result<Vec<String>, BuildError> {
        let lookup: Lookup<'_> = &|name| self.evaluated.scope.get(name);
        let mut words = Vec::new();
        for text in texts {
            words.extend(expand_words(text, self.escape(), lookup).map_err(|error| refused(&error, lines))?);
        }
        Ok(words)
    }

    /// Evaluates names and values; all of one instruction see what was before it.
    fn pairs(&self, pairs: &[KeyValue], lines: Lines) -> Result<Vec<(String, String)>, BuildError> {
        let word = |text: &str| self.word(text, lines);
        pairs
            .iter()
            .map(|pair| Ok((word(&pair.name)?, word(&pair.value)?)))
            .collect()
    }
}
