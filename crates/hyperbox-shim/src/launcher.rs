// SPDX-License-Identifier: MIT
//! The launcher: a small single-threaded process that forks one shim per container.
//!
//! Forking it costs a fraction of forking the daemon, and the shims share its pages. It holds no state: when the daemon ends or
//! dies, its socket ends and so does the launcher; the shims live on. Children are reaped by the kernel (`SIGCHLD` ignored).
//!
//! The launcher itself reads no requests. It forks a child that does (`spare.rs`) and becomes the shim of the container it reads of;
//! then it forks the next one, so that a start that follows finds a shim that waits. That next one is made when the start before is
//! over, or at once where the next request is there already; one that waits in vain ends. So an idle engine keeps none, and no two
//! processes ever read from the socket at the same time.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use hyperbox_runtime::Launcher;
use hyperbox_sys::fork::{Forked, fork};
use hyperbox_sys::{message, signals};
use hyperbox_types::shim::MAX_MESSAGE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::failure::system;
use crate::filters::Filters;
use crate::shim;
use crate::spare::{self, Report};

/// How long the next shim waits for the start before it, which would share its processors with the fork.
const QUIET: Duration = Duration::from_millis(10);

/// Serves launch requests from the daemon on `socket` until it ends. Returns in the shims as well, when they are done.
pub(crate) fn run(socket: OwnedFd) -> ExitCode {
    if become_independent().is_err() {
        return ExitCode::FAILURE;
    }
    let preparation = hyperbox_runtime::prepare_launcher();
    rustix::io::ioctl_fionbio(&socket, false).map_or(ExitCode::FAILURE, |()| serve(socket, preparation))
}

fn serve(socket: OwnedFd, preparation: Launcher) -> ExitCode {
    let mut filters = Filters::default();
    let mut started = false;
    loop {
        // After a start for a moment only; else until there is something to read, if only the end.
        let pending = match wait_for_request(&socket, started.then_some(QUIET)) {
            Ok(pending) => pending,
            Err(_) => return ExitCode::FAILURE,
        };
        let Ok((ours, theirs)) = spare::pair() else {
            return ExitCode::FAILURE;
        };
        match fork() {
            Ok(Forked::Child) => {
                // A shim must hold nothing of the launcher for longer than that lives.
                drop((preparation, ours));
                return spare::live(socket, filters, theirs, pending);
            }
            Ok(Forked::Parent(_)) => drop(theirs),
            Err(_) if !pending => {
                started = false;
                continue;
            }
            Err(error) => match refuse(&socket, error) {
                Some(code) => return code,
                None => continue,
            },
        }
        started = match spare::hear(ours) {
            Report::Started { profile } => {
                if let Some(profile) = profile {
                    // What cannot be compiled is not kept; the shim says why.
                    let _filter = filters.of(&profile);
                }
                true
            }
            Report::Unused => false,
            Report::Over => return ExitCode::SUCCESS,
            // The stream cannot be cut into messages any more; the daemon starts another launcher.
            Report::Lost => return ExitCode::FAILURE,
        };
    }
}

/// Waits until something can be read from the daemon, for `most` at most. Returns whether it can.
fn wait_for_request(socket: &OwnedFd, most: Option<Duration>) -> io::Result<bool> {
    let timeout = most.and_then(|most| Timespec::try_from(most).ok());
    let mut sources = [PollFd::new(socket, PollFlags::IN)];
    Ok(poll(&mut sources, timeout.as_ref())? > 0)
}

/// Tells the daemon that a request that is there cannot be served. Returns how the launcher ends, if it has to.
fn refuse(socket: &OwnedFd, error: io::Error) -> Option<ExitCode> {
    match message::receive_one(socket, MAX_MESSAGE) {
        Ok(Some((_, mut descriptors))) => {
            if !descriptors.is_empty() {
                shim::report_failure(descriptors.swap_remove(0), system("cannot fork a shim", error));
            }
            None
        }
        Ok(None) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// Detaches from the daemon's session, terminal, directory and standard streams.
fn become_independent() -> io::Result<()> {
    signals::reset()?;
    signals::ignore_broken_pipes();
    signals::ignore_children();
    // Fails for a process group leader, which somebody's shell may have made of us: it is independent enough.
    let _ = rustix::process::setsid();
    rustix::thread::set_name(c"hyperbox-launch")?;
    rustix::process::chdir("/")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
