// SPDX-License-Identifier: MIT
//! Questions to the user.

use std::io::{self, BufRead, Write};

use crate::error::CliError;

/// Asks whether to go on after a warning; `true` without asking when `force` is set.
pub(crate) fn confirmed(force: bool, warning: &str) -> Result<bool, CliError> {
    if force {
        return Ok(true);
    }
    let mut output = io::stdout().lock();
    write!(output, "{warning}\nAre you sure you want to continue? [y/N] ")?;
    output.flush()?;
    let answer = read_line()?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

/// Asks for a line of text.
pub(crate) fn ask(prompt: &str) -> Result<String, CliError> {
    let mut output = io::stdout().lock();
    write!(output, "{prompt}")?;
    output.flush()?;
    Ok(read_line()?.trim().to_owned())
}

/// Asks for a line of text that is not shown.
pub(crate) fn ask_secret(prompt: &str) -> Result<String, CliError> {
    let mut output = io::stdout().lock();
    write!(output, "{prompt}")?;
    output.flush()?;
    let answer = crate::terminal::without_echo(read_line)?;
    writeln!(output)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}
