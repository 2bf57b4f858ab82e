// SPDX-License-Identifier: MIT
//! How a build is shown while it runs: a live view on a terminal, numbered lines elsewhere, or every message as JSON.

mod live;
mod plain;
mod state;

use std::io::Write;

use clap::ValueEnum;
use hyperbox_types::build::BuildMessage;

pub(crate) use self::live::{Live, fitting};
pub(crate) use self::plain::Plain;

/// What `--progress` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// As it fits: a live view on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Lines.
    Plain,
    /// A live view.
    Tty,
    /// Every message, a JSON document a line.
    #[value(alias = "rawjson")]
    Json,
    /// Nothing.
    Quiet,
}

/// Shows messages.
pub(crate) trait View {
    /// Takes a message in.
    fn message(&mut self, message: &BuildMessage, out: &mut dyn Write) -> std::io::Result<()>;

    /// Time has passed.
    fn tick(&mut self, out: &mut dyn Write) -> std::io::Result<()>;

    /// Nothing follows.
    fn end(&mut self, out: &mut dyn Write) -> std::io::Result<()>;
}

/// Writes each message as a line of JSON.
#[derive(Debug, Default)]
pub(crate) struct Json;

impl View for Json {
    fn message(&mut self, message: &BuildMessage, out: &mut dyn Write) -> std::io::Result<()> {
        // Questions to the client are no news for its user.
        if matches!(
            message,
            BuildMessage::Secret { .. } | BuildMessage::SshOpen { .. } | BuildMessage::SshData { .. }
        ) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(message).map_err(std::io::Error::other)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }

    fn tick(&mut self, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }
}

/// Shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Silent;

impl View for Silent {
    fn message(&mut self, _message: &BuildMessage, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }

    fn tick(&mut self, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _out: &mut dyn Write) -> std::io::Result<()> {
        Ok(())
    }
}
