// SPDX-License-Identifier: MIT
//! A shim that has no container yet: forked ahead, it waits for the daemon's next launch request and becomes the shim of that.
//!
//! What a shim does for itself is done while nobody waits: it has its session, its signals, and the pages of the heap that reading a
//! request will write to, which it shares with the launcher until then. It reports once to the launcher, which waits for that before
//! it forks another: before it the spare alone reads from the socket, after it the launcher decides who does.
//!
//! It dies with the launcher; from its report on it is on its own. One that is killed while it waits may have read a part of a request,
//! so the launcher gives up the stream then.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use hyperbox_sys::message;
use hyperbox_sys::signals::ChildSignals;
use hyperbox_types::shim::{Launch, MAX_MESSAGE};
use hyperbox_types::trace::Party;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::filters::Filters;
use crate::marks::Marks;
use crate::shim::{self, Inherited};

/// How long a spare waits for a container.
const PATIENCE: Duration = Duration::from_secs(10);
/// What reading a request and planning a start take from the heap.
const HEAP: usize = 96 * 1024;

const STARTED: u8 = b's';
const UNUSED: u8 = b'u';
const OVER: u8 = b'o';

/// How the wait of a spare has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// It has read a request. A system call filter that it had to compile itself comes along as its profile.
    Started { profile: Option<String> },
    /// There was none for a while.
    Unused,
    /// The daemon's end is closed.
    Over,
    /// It could not read, or died before it said anything.
    Lost,
}

/// Makes the channel of a report: the launcher's end and the spare's.
pub(crate) fn pair() -> io::Result<(UnixStream, UnixStream)> {
    UnixStream::pair()
}

/// Waits for the report of a spare.
pub(crate) fn hear(mut spare: UnixStream) -> Report {
    let mut text = Vec::new();
    // An error is no report, as is a sudden end.
    let _complete = spare.read_to_end(&mut text);
    match text.split_first() {
        Some((&STARTED, profile)) => Report::Started {
            profile: String::from_utf8(profile.to_vec()).ok().filter(|text| !text.is_empty()),
        },
        Some((&UNUSED, _)) => Report::Unused,
        Some((&OVER, _)) => Report::Over,
        _ => Report::Lost,
    }
}

/// Lives the life of a spare in a freshly forked process, and then that of a shim. `pending` tells that somebody waits already.
pub(crate) fn live(socket: OwnedFd, mut filters: Filters, launcher: UnixStream, pending: bool) -> ExitCode {
    let signals = match prepare(&socket, pending) {
        Ok(Some(signals)) => signals,
        Ok(None) => return tell(launcher, UNUSED, ""),
        Err(_) => return ExitCode::FAILURE,
    };
    let (payload, descriptors) = match message::receive_one(&socket, MAX_MESSAGE) {
        Ok(Some(request)) => request,
        Ok(None) => return tell(launcher, OVER, ""),
        Err(_) => return ExitCode::FAILURE,
    };
    drop(socket);
    let launch = serde_json::from_slice::<Launch>(&payload);
    drop(payload);
    let mut marks = Marks::new(launch.as_ref().is_ok_and(|launch| launch.trace));
    marks.mark(Party::Launcher, "request read");
    let profile = launch.as_ref().ok().and_then(|launch| launch.seccomp.as_deref());
    let unknown = profile.filter(|profile| !filters.knows(profile)).unwrap_or_default();
    // The launcher may be gone: then its daemon is, too.
    let _told = tell(launcher, STARTED, unknown);
    let filter = profile.and_then(|profile| filters.of(profile));
    marks.mark(Party::Launcher, "filter found");
    drop(filters);
    shim::run(launch, Inherited { filter, marks, signals }, descriptors);
    ExitCode::SUCCESS
}

/// Makes the process a shim but for its container, and waits for one; `None` when none comes.
fn prepare(socket: &OwnedFd, pending: bool) -> io::Result<Option<ChildSignals>> {
    let launcher = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let signals = shim::become_independent()?;
    if !pending {
        if getppid() != launcher {
            // It died before it could take this process along.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Pages that are shared since the fork are copied at the first write: now, and not while somebody waits.
        drop(std::hint::black_box(vec![1_u8; HEAP]));
        let patience = Timespec::try_from(PATIENCE).ok();
        let mut sources = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
        if poll(&mut sources, patience.as_ref())? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(signals))
}

/// Reports to the launcher, and lets go of it.
fn tell(mut launcher: UnixStream, kind: u8, text: &str) -> ExitCode {
    if kind == STARTED {
        // Cannot fail for a signal that exists, and for none.
        let _alone = set_parent_process_death_signal(None);
    }
    let report = [&[kind], text.as_bytes()].concat();
    match launcher.write_all(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_heard_as_they_are_told() {
        for (kind, text, expected) in [
            (Some(STARTED), "", Report::Started { profile: None }),
            (
                Some(STARTED),
                "{}",
                Report::Started {
                    profile: Some("{}".to_owned()),
                },
            ),
            (Some(UNUSED), "", Report::Unused),
            (Some(OVER), "", Report::Over),
            (Some(b'?'), "", Report::Lost),
            (None, "", Report::Lost),
        ] {
            let (ours, theirs) = pair().unwrap();
            match kind {
                Some(kind) => assert_eq!(tell(theirs, kind, text), ExitCode::SUCCESS),
                None => drop(theirs),
            }
            assert_eq!(hear(ours), expected);
        }
    }
}
