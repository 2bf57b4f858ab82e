// SPDX-License-Identifier: MIT
//! The text format of the cases: read, and written back with new expectations. Pure.
//!
//! ```text
//! # A comment.
//! === name-of-the-case
//! $ docker run --rm starter:latest sh -c 'echo out; echo err >&2; exit 3'
//! % sort
//! | out
//! ! err
//! = 3
//! ```
//!
//! `$` begins a step, a command line for the shell; `>` continues it. `%` gives a rule for its output: `sort` (the order of lines
//! means nothing), `ignore stdout`, `ignore stderr`, `replace REGEX => TEXT`. `|`, `!` and `=` are expected output, expected
//! complaints and the expected exit code when it is not 0. The step `state` lists what the engine has; the recorder ends each
//! case with it. The step `versions METHOD PATH [BODY]` shows how the answer's shape changes with the version of the API; a case
//! of such steps stands in an area named `versions-…`.

use std::fmt;

/// The cases of one area.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Comments and empty lines before the first case.
    pub preamble: Vec<String>,
    /// The cases in order.
    pub cases: Vec<Case>,
}

/// Steps that share one engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// Unique in its area.
    pub name: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Comments and empty lines before it.
    pub comments: Vec<String>,
    /// What the shell is given.
    pub command: String,
    /// How its output is made comparable.
    pub rules: Vec<Rule>,
    /// What Docker Engine did.
    pub expected: Outcome,
}

/// How the output of one step is made comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The order of the lines of standard output means nothing.
    Sort,
    /// Standard output is not compared.
    IgnoreOutput,
    /// Standard error is not compared.
    IgnoreErrors,
    /// Whatever matches the expression is replaced.
    Replace(String, String),
}

/// What a command line printed and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Lines of standard output.
    pub stdout: Vec<String>,
    /// Lines of standard error.
    pub stderr: Vec<String>,
    /// Exit code; 128 + n for signal n.
    pub code: i32,
}

/// The step that lists what the engine has.
pub const STATE: &str = "state";

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// A sentence with the number of the line that has no meaning.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        let mut comments = Vec::new();
        for (number, line) in text.lines().enumerate() {
            script
                .line(line, &mut comments)
                .map_err(|reason| format!("line {}: {reason}: {line}", number + 1))?;
        }
        Ok(script)
    }

    fn line(&mut self, line: &str, comments: &mut Vec<String>) -> Result<(), &'static str> {
        if line.is_empty() || line.starts_with('#') {
            comments.push(line.to_owned());
            return Ok(());
        }
        if let Some(name) = line.strip_prefix("=== ") {
            if self.cases.is_empty() {
                self.preamble = std::mem::take(comments);
            }
            self.cases.push(Case {
                name: name.to_owned(),
                steps: Vec::new(),
            });
            return Ok(());
        }
        let case = self.cases.last_mut().ok_or("before the first case")?;
        let (sign, rest) = line.split_at_checked(1).ok_or("no sign")?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        if sign == "$" {
            case.steps.push(Step {
                comments: std::mem::take(comments),
                command: rest.to_owned(),
                ..Step::default()
            });
            return Ok(());
        }
        let step = case.steps.last_mut().ok_or("before the first step")?;
        match sign {
            ">" => step.command = format!("{}\n{rest}", step.command),
            "%" => step.rules.push(Rule::parse(rest)?),
            "|" => step.expected.stdout.push(rest.to_owned()),
            "!" => step.expected.stderr.push(rest.to_owned()),
            "=" => step.expected.code = rest.parse().map_err(|_| "no exit code")?,
            _ => return Err("unknown sign"),
        }
        Ok(())
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "sort" => Ok(Self::Sort),
            "ignore stdout" => Ok(Self::IgnoreOutput),
            "ignore stderr" => Ok(Self::IgnoreErrors),
            _ => {
                let rest = text.strip_prefix("replace ").ok_or("unknown rule")?;
                let (pattern, replacement) = rest.split_once(" => ").ok_or("a replacement needs =>")?;
                Ok(Self::Replace(pattern.to_owned(), replacement.to_owned()))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sort => formatter.write_str("sort"),
            Self::IgnoreOutput => formatter.write_str("ignore stdout"),
            Self::IgnoreErrors => formatter.write_str("ignore stderr"),
            Self::Replace(pattern, replacement) => write!(formatter, "replace {pattern} => {replacement}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (sign, lines) in [("|", &self.stdout), ("!", &self.stderr)] {
            for line in lines {
                let space = if line.is_empty() { "" } else { " " };
                writeln!(formatter, "{sign}{space}{line}")?;
            }
        }
        if self.code != 0 {
            writeln!(formatter, "= {}", self.code)?;
        }
        Ok(())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.preamble {
            writeln!(formatter, "{line}")?;
        }
        for (position, case) in self.cases.iter().enumerate() {
            let gap = if position == 0 { "" } else { "\n" };
            writeln!(formatter, "{gap}=== {}", case.name)?;
            for step in &case.steps {
                for line in step.comments.iter().filter(|line| !line.is_empty()) {
                    writeln!(formatter, "{line}")?;
                }
                writeln!(formatter, "$ {}", step.command.replace('\n', "\n> "))?;
                for rule in &step.rules {
                    writeln!(formatter, "% {rule}")?;
                }
                write!(formatter, "{}", step.expected)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, Script};

    const TEXT: &str = "# About it.\n=== one\n# Why.\n$ echo a\n> echo b\n% sort\n% replace a+ => b\n| a\n|\n| b\n! c\n= 3\n\n=== two\n$ true\n";

    #[test]
    fn what_is_read_is_written_back() {
        let script = Script::parse(TEXT).expect("a good script");
        assert_eq!(script.cases.len(), 2);
        let step = &script.cases[0].steps[0];
        assert_eq!(step.command, "echo a\necho b");
        assert_eq!(step.rules, [Rule::Sort, Rule::Replace("a+".into(), "b".into())]);
        assert_eq!(step.expected.stdout, ["a", "", "b"]);
        assert_eq!(step.expected.code, 3);
        assert_eq!(script.to_string(), TEXT);
    }

    #[test]
    fn nonsense_is_named() {
        for (text, complaint) in [
            ("$ x", "line 1: before the first case: $ x"),
            ("=== a\n| x", "line 2: before the first step: | x"),
            ("=== a\n$ x\n% y", "line 3: unknown rule: % y"),
            ("=== a\n$ x\n= y", "line 3: no exit code: = y"),
            ("=== a\n$ x\ny", "line 3: unknown sign: y"),
        ] {
            assert_eq!(Script::parse(text), Err(complaint.to_owned()));
        }
    }
}
