// SPDX-License-Identifier: MIT
//! What the daemon tells of a run, shown: a live view on a terminal, a line for each step elsewhere, or every event as JSON.
//!
//! Steps go to standard error, JSON to standard output. Interrupting the program closes the connection, which cancels the run after the steps that
//! are being done.

mod live;

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};

use hyperbox_client::{ClientError, Messages};
use hyperbox_types::project::{OperationPhase, ProjectEvent, RunSummary};

use self::live::Live;
use crate::error::CliError;
use crate::ticking::Ticker;

/// How many events wait to be shown.
const QUEUE: usize = 256;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Changing in place.
    Live,
    /// A line for each step.
    Lines,
    /// A JSON document for each event.
    Json,
    /// Not at all.
    Quiet,
}

impl Style {
    /// As it fits.
    pub(crate) fn choose(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (_, true) => Self::Quiet,
            _ if io::stderr().is_terminal() => Self::Live,
            _ => Self::Lines,
        }
    }
}

/// Shows a run to its end.
///
/// # Errors
/// Why the run failed, or that the daemon went away.
pub(crate) fn show(
    project: &str,
    messages: Messages<ProjectEvent>,
    style: Style,
    mut on_event: impl FnMut(&ProjectEvent) -> Result<(), CliError>,
) -> Result<RunSummary, CliError> {
    if style == Style::Live {
        return show_live(project, messages, on_event);
    }
    for event in messages {
        let event = event.map_err(broken)?;
        write_event(&event, style)?;
        on_event(&event)?;
        if let Some(end) = end_of(&event) {
            if let (Ok(summary), Style::Lines) = (&end, style) {
                note(&summary_line(project, *summary));
            }
            return end;
        }
    }
    Err(gone())
}

fn write_event(event: &ProjectEvent, style: Style) -> Result<(), CliError> {
    match style {
        Style::Json => {
            let mut line = serde_json::to_vec(event).map_err(|error| CliError::from_error(&error))?;
            line.push(b'\n');
            let mut out = io::stdout().lock();
            out.write_all(&line)?;
            out.flush()?;
        }
        Style::Lines => {
            if let Some(line) = line_of(event) {
                note(&line);
            }
        }
        Style::Live | Style::Quiet => {}
    }
    Ok(())
}

fn show_live(
    project: &str,
    messages: Messages<ProjectEvent>,
    mut on_event: impl FnMut(&ProjectEvent) -> Result<(), CliError>,
) -> Result<RunSummary, CliError> {
    let (sender, receiver) = sync_channel::<Result<ProjectEvent, ClientError>>(QUEUE);
    std::thread::spawn(move || {
        for message in messages {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    let mut view = Live::default();
    let mut ticker = Ticker::begin();
    loop {
        if ticker.is_due() {
            view.draw(&mut io::stderr().lock())?;
        }
        match receiver.recv_timeout(ticker.left()) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            Ok(Err(error)) => {
                view.draw(&mut io::stderr().lock())?;
                return Err(broken(error));
            }
            Ok(Ok(event)) => {
                view.take(&event);
                on_event(&event)?;
                if let Some(end) = end_of(&event) {
                    view.end(&mut io::stderr().lock())?;
                    if let Ok(summary) = &end {
                        note(&summary_line(project, *summary));
                    }
                    return end;
                }
            }
        }
    }
}

/// What was being done is finished by the daemon, if it lives, and what was not begun is not lost.
pub(crate) fn gone() -> CliError {
    CliError::new("lost the connection to the daemon in the middle of it")
        .with_hint("asking again goes on from there; `hb system health` tells whether the daemon runs")
}

/// Why the messages of a run ended too early.
pub(crate) fn broken(error: ClientError) -> CliError {
    match error {
        ClientError::Broken { .. } => gone(),
        other => other.into(),
    }
}

/// There is nobody to tell when standard error is closed.
fn note(line: &str) {
    drop(io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
}

/// How a run ended, if this event is its last.
fn end_of(event: &ProjectEvent) -> Option<Result<RunSummary, CliError>> {
    match event {
        ProjectEvent::Done { summary } => Some(Ok(*summary)),
        ProjectEvent::Failed { message, hint, .. } => {
            let error = CliError::new(message.clone());
            Some(Err(match hint {
                Some(hint) => error.with_hint(hint.0.clone()),
                None => error,
            }))
        }
        _ => None,
    }
}

/// The line that tells of an event where nothing changes in place; none for what is only a step on the way.
pub(crate) fn line_of(event: &ProjectEvent) -> Option<String> {
    match event {
        ProjectEvent::Operation {
            text,
            cause,
            phase,
            error,
            ..
        } => match phase {
            OperationPhase::Done => Some(format!("{text} ({cause})")),
            OperationPhase::Failed => Some(format!(
                "{text}: failed: {}",
                error.as_deref().unwrap_or("no reason given")
            )),
            OperationPhase::Started | OperationPhase::Progress | OperationPhase::Skipped => None,
        },
        ProjectEvent::Note { text } => Some(format!("note: {text}")),
        ProjectEvent::Pull {
            image,
            layer: None,
            status,
            ..
        } => Some(format!("pull {image}: {status}")),
        _ => None,
    }
}

/// What a run did, in a line.
pub(crate) fn summary_line(project: &str, summary: RunSummary) -> String {
    let parts = [
        (summary.created, "created"),
        (summary.started, "started"),
        (summary.stopped, "stopped"),
        (summary.removed, "removed"),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if said.is_empty() {
        return format!("{project}: nothing to do");
    }
    let (seconds, rest) = (summary.milliseconds / 1000, summary.milliseconds % 1000 / 10);
    format!("{project}: {} in {seconds}.{rest:02} s", said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let operation = |phase, error: Option<&str>| ProjectEvent::Operation {
            number: 1,
            text: "create shop-web-1".to_owned(),
            cause: "missing".to_owned(),
            phase,
            detail: None,
            error: error.map(str::to_owned),
        };
        for (event, expected) in [
            (operation(OperationPhase::Started, None), None),
            (
                operation(OperationPhase::Done, None),
                Some("create shop-web-1 (missing)"),
            ),
            (
                operation(OperationPhase::Failed, Some("no such image")),
                Some("create shop-web-1: failed: no such image"),
            ),
            (ProjectEvent::Note { text: "x".to_owned() }, Some("note: x")),
        ] {
            assert_eq!(line_of(&event).as_deref(), expected);
        }
        let summary = RunSummary {
            created: 2,
            started: 1,
            milliseconds: 1234,
            ..RunSummary::default()
        };
        assert_eq!(summary_line("shop", summary), "shop: 2 created, 1 started in 1.23 s");
        assert_eq!(summary_line("shop", RunSummary::default()), "shop: nothing to do");
    }
}
