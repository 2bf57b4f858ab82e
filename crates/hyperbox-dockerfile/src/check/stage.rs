// SPDX-License-Identifier: MIT
//! Instructions of stages, in their order, with the variables that each sees.

mod words;

use super::variables::{Evaluated, Variables};
use super::{BaseImage, Mistake, Report, Rule, Surroundings, name};
use crate::instruction::{Argument, CommandLine, Instruction, Located};
use crate::{Copy, Dependency, Dockerfile, Healthcheck, KeyValue, Lines, Source, StageGraph, word};

/// What processes look for programs in, where an image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage hands to those that build on it.
#[derive(Debug, Clone, Default)]
struct State {
    variables: Variables,
    has_working_dir: bool,
    has_shell: bool,
    /// Whether it stands on an image of which nothing is known.
    is_unknown: bool,
}

/// The stages that were checked.
#[derive(Debug)]
pub(super) struct Stages<'a> {
    file: &'a Dockerfile,
    globals: &'a Variables,
    around: &'a Surroundings<'a>,
    states: Vec<Option<State>>,
}

/// A stage that is being checked.
#[derive(Debug)]
struct Work<'a> {
    stages: &'a Stages<'a>,
    state: State,
    /// Where the last CMD, ENTRYPOINT and HEALTHCHECK are.
    last: [Option<Lines>; 3],
    report: &'a mut Report,
}

impl<'a> Stages<'a> {
    pub(super) fn new(file: &'a Dockerfile, globals: &'a Variables, around: &'a Surroundings<'a>) -> Self {
        let states = vec![None; file.stages.len()];
        Self {
            file,
            globals,
            around,
            states,
        }
    }

    /// Checks a stage; what it builds on was checked before.
    ///
    /// # Errors
    /// What ends a build before its first step.
    pub(super) fn check(&mut self, index: usize, graph: &StageGraph, report: &mut Report) -> Result<(), Mistake> {
        let state = match graph.dependencies[index].first() {
            Some(Dependency::Stage(earlier)) => self.states[*earlier].clone().unwrap_or_else(|| self.nothing()),
            Some(Dependency::Image(image)) => self.image(image),
            None => self.nothing(),
        };
        let mut work = Work {
            stages: self,
            state,
            last: [None; 3],
            report,
        };
        for one in &work.stages.file.stages[index].instructions {
            work.instruction(one)?;
        }
        self.states[index] = Some(work.state);
        Ok(())
    }

    fn nothing(&self) -> State {
        State {
            variables: Variables::with(self.globals.suggestions()),
            ..State::default()
        }
    }

    fn image(&self, image: &str) -> State {
        let base = match image {
            "scratch" => Some(BaseImage::default()),
            image => (self.around.image)(image),
        };
        let is_unknown = base.is_none();
        let base = base.unwrap_or_default();
        let mut variables = self.nothing().variables;
        for line in &base.environment {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            variables.set(name, value);
        }
        if variables.get("PATH").is_none() {
            variables.set("PATH", PATH);
        }
        State {
            variables,
            has_working_dir: false,
            has_shell: base.has_shell,
            is_unknown,
        }
    }
}

impl Work<'_> {
    fn instruction(&mut self, one: &Located<Instruction>) -> Result<(), Mistake> {
        self.expand(one)?;
        let lines = one.lines;
        match &one.value {
            Instruction::Arg(arguments) => self.arguments(arguments, lines)?,
            Instruction::Environment(pairs) => self.environment(pairs, one),
            Instruction::Label(_) => self.legacy(one),
            Instruction::Command(line) => {
                self.once(0, one);
                self.exec_form(line, one);
            }
            Instruction::Entrypoint(line) => {
                self.once(1, one);
                self.exec_form(line, one);
            }
            Instruction::Healthcheck(Healthcheck::None | Healthcheck::Command { .. }) => self.once(2, one),
            Instruction::Shell(_) => self.state.has_shell = true,
            Instruction::WorkingDirectory(path) => self.working_directory(path, lines),
            Instruction::Expose(ports) => self.ports(ports, lines),
            Instruction::Volume(paths) => {
                let empty = |path: &String| self.evaluate(path).result.is_ok_and(|path| path.is_empty());
                if paths.iter().any(empty) {
                    return Err(Mistake::new([lines], "VOLUME specified can not be an empty string"));
                }
            }
            Instruction::Copy(copy) => self.ignored("Copy", copy, lines),
            Instruction::Add(add) => self.ignored("Add", &add.copy, lines),
            _ => {}
        }
        Ok(())
    }

    fn evaluate(&self, text: &str) -> Evaluated {
        self.state.variables.word(text, self.stages.file.directives.escape)
    }

    /// Evaluates all words of an instruction that can have variables.
    fn expand(&mut self, one: &Located<Instruction>) -> Result<(), Mistake> {
        for text in words::plain(&one.value) {
            self.defined(self.evaluate(text), one.lines)?;
        }
        for text in words::heredocs(&one.value) {
            self.defined(self.state.variables.heredoc(text), one.lines)?;
        }
        Ok(())
    }

    fn defined(&mut self, word: Evaluated, lines: Lines) -> Result<String, Mistake> {
        let undefined = word.unmatched.iter().filter(|_| !self.state.is_unknown);
        for name in undefined {
            let mut message = format!("Usage of undefined variable '${name}'");
            if let Some(meant) = self.state.variables.nearest(name) {
                message.push_str(&format!(" (did you mean ${meant}?)"));
            }
            self.report.find(Rule::UndefinedVar, lines, message);
        }
        word.result.map_err(|error| Mistake::new([lines], error.to_string()))
    }

    fn arguments(&mut self, arguments: &[Argument], lines: Lines) -> Result<(), Mistake> {
        for argument in arguments {
            self.secret("ARG", &argument.name, lines);
            let stages = self.stages;
            let value = match (stages.around.arguments.get(&argument.name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.defined(self.evaluate(default), lines)?),
                (None, None) => stages.globals.get(&argument.name).map(str::to_owned),
            };
            match value {
                Some(value) => self.state.variables.set(&argument.name, &value),
                None => self.state.variables.declare(&argument.name),
            }
        }
        Ok(())
    }

    fn environment(&mut self, pairs: &[KeyValue], one: &Located<Instruction>) {
        self.legacy(one);
        // All of one instruction see what was before it.
        let plain = |text: &str| self.evaluate(text).result.unwrap_or_default();
        let values: Vec<(String, String)> = pairs
            .iter()
            .map(|pair| (plain(&pair.name), plain(&pair.value)))
            .collect();
        for (name, value) in &values {
            self.secret("ENV", name, one.lines);
            self.state.variables.set(name, value);
        }
    }

    fn secret(&mut self, keyword: &str, name: &str, lines: Lines) {
        if name::is_secret(name) {
            let message = format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})");
            self.report.find(Rule::SecretsUsedInArgOrEnv, lines, message);
        }
    }

    /// `ENV name value`, without an equals sign in the first word.
    fn legacy(&mut self, one: &Located<Instruction>) {
        let (keyword, rest) = split(one);
        let words = word::split(rest, self.stages.file.directives.escape);
        if words.first().is_some_and(|first| !first.contains('=')) {
            let message =
                format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format");
            self.report.find(Rule::LegacyKeyValueFormat, one.lines, message);
        }
    }

    /// Of several only the last one counts: the one before it is said to be too much.
    fn once(&mut self, which: usize, one: &Located<Instruction>) {
        if let Some(before) = self.last[which].replace(one.lines) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                split(one).0
            );
            self.report.find(Rule::MultipleInstructionsDisallowed, before, message);
        }
    }

    fn exec_form(&mut self, line: &CommandLine, one: &Located<Instruction>) {
        let (keyword, rest) = split(one);
        // Nothing at all is a text for the shell too.
        let is_shell = matches!(line, CommandLine::Shell(_)) || rest.is_empty();
        if is_shell && !self.state.has_shell {
            let message = format!(
                "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
            );
            self.report.find(Rule::JsonArgsRecommended, one.lines, message);
        }
    }

    /// What the base image says of its directory may change, so the first one has to be absolute.
    fn working_directory(&mut self, path: &str, lines: Lines) {
        let path = self.evaluate(path).result.unwrap_or_default();
        if !self.state.has_working_dir && !path.starts_with('/') {
            let message = format!("Relative workdir {path:?} can have unexpected results if the base image changes");
            self.report.find(Rule::WorkdirRelativePath, lines, message);
        }
        self.state.has_working_dir = true;
    }

    fn ports(&mut self, ports: &[String], lines: Lines) {
        let ports: Vec<String> = ports
            .iter()
            .filter_map(|port| self.evaluate(port).result.ok())
            .collect();
        for port in ports {
            let protocol = port.rsplit_once('/').map(|(_, protocol)| protocol).unwrap_or_default();
            if protocol.to_lowercase() != protocol {
                let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
                self.report.find(Rule::ExposeProtoCasing, lines, message);
            }
            if port.contains(':') {
                let message =
                    format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
                self.report.find(Rule::ExposeInvalidFormat, lines, message);
            }
        }
    }

    /// With patterns that take back it cannot be told without the files.
    fn ignored(&mut self, keyword: &str, copy: &Copy, lines: Lines) {
        let Some(ignore) = self.stages.around.ignore.filter(|ignore| !ignore.takes_back()) else {
            return;
        };
        if copy.from.is_some() {
            return;
        }
        for source in &copy.sources {
            let Source::Path(path) = source else { continue };
            let path = self.evaluate(path).result.unwrap_or_default();
            let remote = keyword == "Add" && path.contains("://");
            if !remote && !path.starts_with('/') && ignore.excludes(&path) {
                let message = format!("Attempting to {keyword} file {path:?} that is excluded by .dockerignore");
                self.report.find(Rule::CopyIgnoredFile, lines, message);
            }
        }
    }
}

/// Returns the keyword as it is written, and the rest.
fn split(one: &Located<Instruction>) -> (&str, &str) {
    let (keyword, rest) = one.text.split_once(char::is_whitespace).unwrap_or((&one.text, ""));
    (keyword, rest.trim())
}
