// SPDX-License-Identifier: MIT
//! The session of a build: one thread sends the context, one reads and answers, this one shows.
//!
//! Interrupting the program closes the connection, which cancels the build.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use hyperbox_client::{BuildFrame, BuildReader, BuildSession, ClientError, decode_data};
use hyperbox_types::Hint;
use hyperbox_types::build::{BuildAnswer, BuildMessage, CheckFinding, CheckMistake};

use super::answers::{Answers, Keys};
use super::output::{Destination, Sink};
use super::upload::{self, Upload};
use crate::build_progress::{Json, Live, Plain, Silent, Style, View};
use crate::error::CliError;
use crate::ticking::Ticker;

/// How many messages wait to be shown.
const QUEUE: usize = 256;
/// So many lines of a step that failed are shown again.
const TAIL_LINES: usize = 20;

/// What came of a build.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) image: Option<String>,
    pub(super) digest: Option<String>,
    /// What a check found, if one was asked for.
    pub(super) checked: Option<Checked>,
}

/// What a check found.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) findings: Vec<CheckFinding>,
    pub(super) mistake: Option<CheckMistake>,
}

/// What the reading thread passes on.
enum Event {
    Message(Box<BuildMessage>),
    Broken(CliError),
}

/// Goes through a session to its end.
pub(super) fn drive(
    session: BuildSession,
    context: Option<Upload>,
    keys: Keys,
    style: Style,
    destination: &Destination,
) -> Result<Built, CliError> {
    run(session, context, keys, destination, |receiver| show(receiver, style))
}

/// Goes through a session to its end, and hands on what it tells.
pub(super) fn relay(
    session: BuildSession,
    context: Option<Upload>,
    keys: Keys,
    destination: &Destination,
    pass: &mut dyn FnMut(BuildMessage),
) -> Result<Built, CliError> {
    run(session, context, keys, destination, |receiver| hand_on(receiver, pass))
}

fn run(
    session: BuildSession,
    context: Option<Upload>,
    keys: Keys,
    destination: &Destination,
    tell: impl FnOnce(&Receiver<Event>) -> Result<Built, CliError>,
) -> Result<Built, CliError> {
    let BuildSession { reader, writer } = session;
    if let Some(upload) = context {
        let writer = writer.clone();
        std::thread::spawn(move || {
            if let Err(error) = upload::send(upload, &writer) {
                // When the connection is gone the reader says why.
                drop(writer.answer(&BuildAnswer::ContextFailed {
                    message: error.to_string(),
                }));
            }
        });
    }
    let sink = Sink::open(&destination.place)?;
    let (sender, receiver) = sync_channel(QUEUE);
    let answers = Answers::new(keys, writer);
    let reading = std::thread::spawn(move || read(reader, answers, sink, &sender));
    let outcome = tell(&receiver);
    let sink = reading
        .join()
        .map_err(|_| CliError::new("reading from the daemon was interrupted"))?;
    let finished = sink.finish(outcome.is_ok());
    let built = outcome?;
    finished.map_err(|error| CliError::new(format!("cannot write the output: {error}")))?;
    Ok(built)
}

/// Reads to the end of the session; output goes to the sink, questions are answered, everything else is passed on.
fn read(mut reader: BuildReader, mut answers: Answers, mut sink: Sink, sender: &SyncSender<Event>) -> Sink {
    loop {
        let event = match reader.next_frame() {
            Ok(Some(BuildFrame::Output(bytes))) => match sink.write(bytes) {
                Ok(()) => continue,
                Err(error) => Event::Broken(CliError::new(format!("cannot write the output: {error}"))),
            },
            Ok(Some(BuildFrame::Message(message))) => match answers.answer(&message) {
                Ok(()) => Event::Message(message),
                // The connection is gone: the next frame says so.
                Err(_) => continue,
            },
            Ok(None) => Event::Broken(CliError::new("the daemon went away while the image was built")),
            Err(error) => Event::Broken(broken(error)),
        };
        let last = match &event {
            Event::Message(message) => {
                matches!(**message, BuildMessage::Finished { .. } | BuildMessage::Failed { .. })
            }
            Event::Broken(_) => true,
        };
        if sender.send(event).is_err() || last {
            return sink;
        }
    }
}

fn broken(error: ClientError) -> CliError {
    error.into()
}

fn view(style: Style) -> Box<dyn View> {
    match style {
        Style::Auto if io::stderr().is_terminal() => Box::new(Live::default()),
        Style::Tty => Box::new(Live::default()),
        Style::Auto | Style::Plain => Box::new(Plain::default()),
        Style::Json => Box::new(Json),
        Style::Quiet => Box::new(Silent),
    }
}

/// Shows messages until the last one.
fn show(receiver: &Receiver<Event>, style: Style) -> Result<Built, CliError> {
    let mut view = view(style);
    let mut out = io::stderr().lock();
    let mut found = None;
    let mut ticker = Ticker::begin();
    loop {
        if ticker.is_due() {
            view.tick(&mut out)?;
        }
        let event = match receiver.recv_timeout(ticker.left()) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CliError::new("the daemon went away while the image was built"));
            }
        };
        let message = match event {
            Event::Message(message) => message,
            Event::Broken(error) => {
                view.end(&mut out)?;
                return Err(error);
            }
        };
        view.message(&message, &mut out)?;
        match *message {
            BuildMessage::Finished { image, digest } => {
                view.end(&mut out)?;
                return Ok(Built {
                    image,
                    digest,
                    checked: found,
                });
            }
            BuildMessage::Checked { findings, mistake } => found = Some(Checked { findings, mistake }),
            BuildMessage::Failed {
                message,
                excerpt,
                tail,
                hint,
                ..
            } => {
                view.end(&mut out)?;
                if style != Style::Json {
                    out.write_all(explanation(&excerpt, &decode_data(&tail)).as_bytes())?;
                }
                return Err(failure(&message, hint));
            }
            _ => {}
        }
    }
}

/// Hands on messages until the last one.
fn hand_on(receiver: &Receiver<Event>, pass: &mut dyn FnMut(BuildMessage)) -> Result<Built, CliError> {
    for event in receiver {
        let message = match event {
            Event::Message(message) => *message,
            Event::Broken(error) => return Err(error),
        };
        match message {
            BuildMessage::Finished { image, digest } => {
                return Ok(Built {
                    image,
                    digest,
                    checked: None,
                });
            }
            BuildMessage::Failed {
                message,
                excerpt,
                tail,
                hint,
                ..
            } => {
                let explanation = explanation(&excerpt, &decode_data(&tail));
                return Err(failure(&format!("{message}\n{}", explanation.trim_end()), hint));
            }
            other => pass(other),
        }
    }
    Err(CliError::new("the daemon went away while the image was built"))
}

fn failure(message: &str, hint: Option<Hint>) -> CliError {
    let error = CliError::new(format!("failed to build: {message}"));
    match hint {
        Some(hint) => error.with_hint(hint.0),
        None => error,
    }
}

/// The last lines of the step, and the marked lines of the Dockerfile.
fn explanation(excerpt: &str, tail: &[u8]) -> String {
    let tail = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = tail.lines().collect();
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("------\n");
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("------\n");
    }
    if !excerpt.is_empty() {
        text.push_str(excerpt.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_explained() {
        assert_eq!(
            explanation("Dockerfile:2\n", b"one\ntwo\n"),
            "------\none\ntwo\n------\nDockerfile:2\n"
        );
        assert_eq!(explanation("", b""), "");
        let many = "x\n".repeat(50);
        assert_eq!(explanation("", many.as_bytes()).lines().count(), TAIL_LINES + 2);
    }
}
