// SPDX-License-Identifier: MIT
//! The reading side of a session.

use std::io::{self, Read, Write};

use hyperbox_client::{RunFrame, RunReader, UpgradedReader, demultiplex};
use hyperbox_types::run::RunEvent;

use crate::error::{CliError, daemon_said};

/// How the output of a run ended.
#[derive(Debug)]
pub(crate) enum OutputEnd {
    /// With this exit code.
    Exited(i32),
    /// It could not start.
    Failed(CliError),
    /// The daemon closed the connection.
    Closed,
}

/// Copies the output of a run until an event ends it; `on_event` sees every other event and tells whether to go on.
pub(crate) fn copy_run(
    reader: &mut RunReader,
    mut on_event: impl FnMut(&RunEvent) -> Result<bool, CliError>,
) -> Result<OutputEnd, CliError> {
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    loop {
        match reader.next_frame()? {
            None => return Ok(OutputEnd::Closed),
            Some(RunFrame::Stdout(bytes)) => write(&mut stdout, bytes)?,
            Some(RunFrame::Stderr(bytes)) => write(&mut stderr, bytes)?,
            Some(RunFrame::Event(RunEvent::Exited { code })) => return Ok(OutputEnd::Exited(code)),
            Some(RunFrame::Event(RunEvent::Failed { message, hint, .. })) => {
                let code = crate::commands::container::start_code(&message);
                let mut error = CliError::new(daemon_said(&message)).with_code(code);
                if let Some(hint) = hint {
                    error = error.with_hint(hint.0);
                }
                return Ok(OutputEnd::Failed(error));
            }
            Some(RunFrame::Event(event)) => {
                if !on_event(&event)? {
                    return Ok(OutputEnd::Closed);
                }
            }
        }
    }
}

/// Copies attached output to its end: frames, or the bytes of a terminal.
pub(crate) fn copy_upgraded(mut reader: UpgradedReader, tty: bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if !tty {
        return demultiplex(reader, &mut stdout, &mut io::stderr().lock());
    }
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => write(&mut stdout, &buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn write(target: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    target.write_all(bytes)?;
    target.flush()
}
