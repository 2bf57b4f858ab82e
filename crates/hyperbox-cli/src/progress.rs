// SPDX-License-Identifier: MIT
//! Shows the progress of pulls, pushes and loads: a line per layer that changes in place on a terminal, plain lines elsewhere.

use std::io::Write;

use hyperbox_client::Messages;
use hyperbox_client::model::{Progress, ProgressDetail};

use crate::error::CliError;
use crate::format::decimal_size;
use crate::terminal;

/// The bar is shown on terminals wider than that.
const WIDE: u16 = 110;

/// Writes messages to `output` until they end.
///
/// # Errors
/// The failure that a message reports.
pub(crate) fn show(
    messages: Messages<Progress>,
    output: &mut dyn Write,
    on_terminal: bool,
    mut on_aux: impl FnMut(&str),
) -> Result<(), CliError> {
    let width = if on_terminal {
        terminal::size().map_or(200, |size| size.columns)
    } else {
        0
    };
    let mut screen = Screen { ids: Vec::new(), width };
    for message in messages {
        let message = message?;
        if let Some(reason) = message.failure() {
            return Err(CliError::new(reason));
        }
        if let Some(aux) = &message.aux {
            on_aux(aux.get());
            continue;
        }
        let text = if on_terminal {
            screen.place(&message)
        } else {
            plain(&message)
        };
        output.write_all(text.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

/// Reads messages to their end without showing them.
///
/// # Errors
/// The failure that a message reports.
pub(crate) fn swallow(messages: Messages<Progress>) -> Result<(), CliError> {
    show(messages, &mut std::io::sink(), false, |_| {})
}

/// The lines that change in place, from top to bottom.
struct Screen {
    ids: Vec<String>,
    width: u16,
}

impl Screen {
    fn place(&mut self, message: &Progress) -> String {
        let id = message.id.as_deref().unwrap_or_default();
        let has_place = message.detail.is_some() && !id.is_empty();
        if !has_place {
            // A message without progress stands for itself; what was above stays above.
            if message.id.is_none() {
                self.ids.clear();
            }
            return line(message, "", "\n");
        }
        let (mut before, position) = match self.ids.iter().position(|known| known == id) {
            Some(position) => (String::new(), position),
            None => {
                self.ids.push(id.to_owned());
                ("\n".to_owned(), self.ids.len() - 1)
            }
        };
        let up = self.ids.len() - position;
        before.push_str(&format!("\x1b[{up}A\x1b[2K\r"));
        let bar = message.detail.map(|detail| bar(detail, self.width)).unwrap_or_default();
        before + &line(message, &bar, "") + &format!("\r\x1b[{up}B")
    }
}

fn plain(message: &Progress) -> String {
    // Without a terminal the steps in between only fill the log.
    if message.detail.is_some_and(|detail| !bar(detail, 0).is_empty()) {
        return String::new();
    }
    line(message, "", "\n")
}

fn line(message: &Progress, bar: &str, end: &str) -> String {
    if let Some(stream) = &message.stream {
        return stream.clone();
    }
    let id = message
        .id
        .as_deref()
        .filter(|id| !id.is_empty())
        .map_or_else(String::new, |id| format!("{id}: "));
    let status = message.status.as_deref().unwrap_or_default();
    if bar.is_empty() {
        format!("{id}{status}{end}")
    } else {
        format!("{id}{status} {bar}{end}")
    }
}

fn bar(detail: ProgressDetail, width: u16) -> String {
    if detail.current <= 0 && detail.total <= 0 {
        return String::new();
    }
    let current = decimal_size(detail.current);
    if detail.total <= 0 {
        return format!("{current:>8}");
    }
    let done = usize::try_from((i128::from(detail.current) * 50 / i128::from(detail.total)).clamp(0, 50)).unwrap_or(50);
    let shape = if width > WIDE {
        format!("[{}>{}] ", "=".repeat(done), " ".repeat(50 - done))
    } else {
        String::new()
    };
    if detail.hide_counts {
        shape
    } else if detail.current > detail.total {
        format!("{shape}{current:>8}")
    } else {
        format!("{shape}{current:>8}/{}", decimal_size(detail.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, status: &str, current: i64, total: i64) -> Progress {
        Progress {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            detail: Some(ProgressDetail {
                current,
                total,
                hide_counts: false,
            }),
            ..Progress::default()
        }
    }

    #[test]
    fn lines_change_in_place() {
        let mut screen = Screen {
            ids: Vec::new(),
            width: 80,
        };
        assert_eq!(
            screen.place(&message("a", "Waiting", 0, 0)),
            "\n\x1b[1A\x1b[2K\ra: Waiting\r\x1b[1B"
        );
        assert_eq!(
            screen.place(&message("b", "Waiting", 0, 0)),
            "\n\x1b[1A\x1b[2K\rb: Waiting\r\x1b[1B"
        );
        assert_eq!(
            screen.place(&message("a", "Downloading", 500, 1000)),
            "\x1b[2A\x1b[2K\ra: Downloading     500B/1kB\r\x1b[2B"
        );
        let last = Progress {
            status: Some("Status: done".to_owned()),
            ..Progress::default()
        };
        assert_eq!(screen.place(&last), "Status: done\n");
    }

    #[test]
    fn logs_have_no_bars() {
        assert_eq!(plain(&message("a", "Downloading", 5, 10)), "");
        assert_eq!(plain(&message("a", "Pull complete", 0, 0)), "a: Pull complete\n");
        assert!(
            bar(
                ProgressDetail {
                    current: 1,
                    total: 2,
                    hide_counts: false
                },
                200
            )
            .starts_with("[=========================>")
        );
        assert_eq!(
            bar(
                ProgressDetail {
                    current: 3,
                    total: 2,
                    hide_counts: false
                },
                80
            ),
            "      3B"
        );
    }
}
