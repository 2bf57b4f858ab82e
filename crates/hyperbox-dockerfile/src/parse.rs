// SPDX-License-Identifier: MIT
//! From logical lines to stages of instructions.

mod copy;
mod health;
mod run;

use crate::flag::{self, with_suggestion};
use crate::instruction::{Argument, CommandLine, Dockerfile, Instruction, Located, Stage};
use crate::logical::{self, Logical};
use crate::value::PairsError;
use crate::{Directives, Lines, ParseError, value, word};

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What changes an image's configuration alone.
const CHANGES: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Dockerfile {
    /// Parses a Dockerfile.
    ///
    /// # Errors
    /// The first mistake, with its lines.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::of_file(None, "the Dockerfile cannot be empty"));
        }
        let directives = Directives::parse(text)?;
        let logical = logical::split(text, directives.escape)?;
        if logical.is_empty() {
            return Err(ParseError::of_file(Some(Lines::one(1)), "file with no instructions"));
        }
        let mut arguments = Vec::new();
        let mut stages: Vec<Stage> = Vec::new();
        for one in &logical {
            if one.keyword == "FROM" {
                stages.push(from(one, directives.escape)?);
                continue;
            }
            let parsed = instruction(one, directives.escape)?;
            match (stages.last_mut(), parsed) {
                (Some(stage), value) => stage.instructions.push(located(one, value)),
                (None, Instruction::Arg(several)) => {
                    arguments.extend(several.into_iter().map(|argument| located(one, argument)));
                }
                (None, _) => {
                    let message = "no build stage in current context";
                    return Err(ParseError::of_file(Some(one.lines), message));
                }
            }
        }
        if stages.is_empty() {
            return Err(ParseError::of_file(None, "dockerfile contains no stages to build"));
        }
        Ok(Self {
            directives,
            arguments,
            stages,
        })
    }

    /// Parses instructions that change an image's configuration and make no layer, as `commit` and `import` take them.
    ///
    /// # Errors
    /// As [`Self::parse`]; another instruction. Lines count from the text's beginning.
    pub fn parse_changes(text: &str) -> Result<Vec<Located<Instruction>>, ParseError> {
        let escape = Directives::default().escape;
        let logical = logical::split(text, escape)?;
        if logical.is_empty() {
            return Err(no_instructions());
        }
        if let Some(other) = logical.iter().find(|one| !CHANGES.contains(&one.keyword.as_str())) {
            let message = format!("{} is not a valid change command", other.keyword);
            return Err(ParseError::at(other.lines, message));
        }
        logical
            .iter()
            .map(|one| Ok(located(one, instruction(one, escape)?)))
            .collect()
    }
}

fn no_instructions() -> ParseError {
    ParseError::of_file(None, "file with no instructions")
}

fn located<T>(logical: &Logical, value: T) -> Located<T> {
    Located {
        value,
        lines: logical.lines,
        text: logical.original.clone(),
    }
}

/// Parses any instruction but FROM.
fn instruction(logical: &Logical, escape: char) -> Result<Instruction, ParseError> {
    let at = |message: String| malformed(logical, message);
    let rest = logical.rest.as_str();
    let keyword = logical.keyword.as_str();
    Ok(match keyword {
        "ADD" => Instruction::Add(copy::add(logical, escape).map_err(at)?),
        "COPY" => Instruction::Copy(copy::copy(logical, escape).map_err(at)?),
        "RUN" => Instruction::Run(run::parse(logical, escape)?),
        "ENV" | "LABEL" => pairs(logical, escape)?,
        "HEALTHCHECK" => Instruction::Healthcheck(health::parse(rest, escape).map_err(at)?),
        "ONBUILD" => trigger(logical)?,
        "FROM" | "MAINTAINER" | "ARG" | "CMD" | "ENTRYPOINT" | "EXPOSE" | "SHELL" | "STOPSIGNAL" | "USER"
        | "VOLUME" | "WORKDIR" => {
            let (flags, rest) = flag::split(rest, escape);
            flags.finish().map_err(at)?;
            without_flags(keyword, rest, escape).map_err(at)?
        }
        _ => {
            let message = format!("unknown instruction: {}", logical.written());
            return Err(at(with_suggestion(message, keyword, &KEYWORDS)));
        }
    })
}

fn without_flags(keyword: &str, rest: &str, escape: char) -> Result<Instruction, String> {
    let one = || -> Result<String, String> {
        if rest.is_empty() {
            return Err(format!("{keyword} requires exactly one argument"));
        }
        Ok(rest.to_owned())
    };
    let some = |list: Vec<String>| -> Result<Vec<String>, String> {
        if list.is_empty() {
            return Err(format!("{keyword} requires at least one argument"));
        }
        Ok(list)
    };
    Ok(match keyword {
        "ARG" => Instruction::Arg(arguments(rest, escape)?),
        "CMD" => Instruction::Command(command_line(rest)?),
        "ENTRYPOINT" => Instruction::Entrypoint(command_line(rest)?),
        "EXPOSE" => Instruction::Expose(some(rest.split_whitespace().map(str::to_owned).collect())?),
        "VOLUME" => Instruction::Volume(volumes(rest)?),
        "SHELL" => match value::json(rest)? {
            Some(list) => Instruction::Shell(some(list)?),
            None if rest.is_empty() => return Err("SHELL requires at least one argument".to_owned()),
            None => return Err("SHELL requires the arguments to be in JSON form".to_owned()),
        },
        "STOPSIGNAL" => Instruction::StopSignal(one()?),
        "USER" => Instruction::User(one()?),
        "WORKDIR" => Instruction::WorkingDirectory(one()?),
        "MAINTAINER" => Instruction::Maintainer(one()?),
        _ => return Err(format!("{keyword} is not allowed here")),
    })
}

fn malformed(logical: &Logical, message: String) -> ParseError {
    if message == value::STRINGS_ONLY {
        return ParseError::of_file(Some(logical.lines), &message);
    }
    ParseError::at(logical.lines, message)
}

/// Parses ENV and LABEL.
fn pairs(logical: &Logical, escape: char) -> Result<Instruction, ParseError> {
    let at = |message: String| ParseError::at(logical.lines, message);
    let (flags, rest) = flag::split(&logical.rest, escape);
    flags.finish().map_err(at)?;
    let pairs = value::pairs(&logical.keyword, rest, escape).map_err(|error| match error {
        PairsError::Shape(message) => ParseError::of_file(Some(logical.lines), &message),
        PairsError::Names(message) => at(message),
    })?;
    Ok(match logical.keyword.as_str() {
        "ENV" => Instruction::Environment(pairs),
        _ => Instruction::Label(pairs),
    })
}

/// Parses a FROM line.
fn from(logical: &Logical, escape: char) -> Result<Stage, ParseError> {
    let at = |message: String| ParseError::at(logical.lines, message);
    let (mut flags, rest) = flag::split(&logical.rest, escape);
    let platform = flags.value("platform").map_err(at)?.filter(|text| !text.is_empty());
    flags.finish().map_err(at)?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (base, name) = match words.as_slice() {
        [base] => (*base, None),
        [base, keyword, name] if keyword.eq_ignore_ascii_case("AS") => {
            let lower = name.to_lowercase();
            if !is_stage_name(&lower) {
                return Err(at(format!(
                    "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
                )));
            }
            (*base, Some(lower))
        }
        _ => return Err(at("FROM requires either one or three arguments".to_owned())),
    };
    Ok(Stage {
        name,
        base: base.to_owned(),
        platform,
        lines: logical.lines,
        instructions: Vec::new(),
    })
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || matches!(each, '-' | '_' | '.'))
}

fn trigger(logical: &Logical) -> Result<Instruction, ParseError> {
    let at = |message: &str| ParseError::at(logical.lines, message);
    let keyword = logical
        .rest
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    match keyword.as_str() {
        "" => return Err(at("ONBUILD requires at least one argument")),
        "ONBUILD" => return Err(at("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "FROM" | "MAINTAINER" => return Err(at(&format!("{keyword} isn't allowed as an ONBUILD trigger"))),
        _ => {}
    }
    // What else may be wrong is found in the build that it is for.
    let mut text = logical.rest.clone();
    for document in &logical.heredocs {
        text = format!("{text}\n{}{}", document.content, document.name);
    }
    Ok(Instruction::OnBuild(text))
}

fn arguments(rest: &str, escape: char) -> Result<Vec<Argument>, String> {
    let words = word::split(rest, escape);
    if words.is_empty() {
        return Err("ARG requires at least one argument".to_owned());
    }
    words
        .into_iter()
        .map(|word| {
            let (name, default) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if name.is_empty() {
                return Err("ARG names can not be blank".to_owned());
            }
            Ok(Argument { name, default })
        })
        .collect()
}

fn volumes(rest: &str) -> Result<Vec<String>, String> {
    let list = value::list(rest)?;
    if list.is_empty() {
        return Err("VOLUME requires at least one argument".to_owned());
    }
    if list.iter().any(|path| path.trim().is_empty()) {
        return Err("VOLUME specified can not be an empty string".to_owned());
    }
    Ok(list)
}

/// Reads a command in either form. No words at all are a text for the shell too.
fn command_line(rest: &str) -> Result<CommandLine, String> {
    Ok(match value::json(rest)? {
        Some(words) => CommandLine::Exec(words),
        None => CommandLine::Shell(rest.to_owned()),
    })
}

impl Lines {
    /// Tells whether a line lies in the range.
    pub fn contains(&self, line: usize) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

#[cfg(test)]
mod tests;
