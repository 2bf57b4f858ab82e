// SPDX-License-Identifier: MIT
//! The launcher: a small single-threaded process that forks one shim per container.
//!
//! Forking it costs a fraction of forking the daemon, and the shims share its pages. It holds no state: when the daemon ends or
//! dies, its socket ends and so does the launcher; the shims live on. Children are reaped by the kernel (`SIGCHLD` ignored).

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use hyperbox_runtime::Launcher;
use hyperbox_sys::fork::{Forked, fork};
use hyperbox_sys::{message, signals};
use hyperbox_types::shim::MAX_MESSAGE;
use rustix::fs::{Mode, OFlags};

use crate::failure::system;
use crate::shim;

/// Serves launch requests from the daemon on `socket` until it ends. Returns in the shims as well, when they are done.
pub(crate) fn run(socket: OwnedFd) -> ExitCode {
    if become_independent().is_err() {
        return ExitCode::FAILURE;
    }
    let preparation = hyperbox_runtime::prepare_launcher();
    rustix::io::ioctl_fionbio(&socket, false).map_or(ExitCode::FAILURE, |()| serve(socket, preparation))
}

fn serve(socket: OwnedFd, preparation: Launcher) -> ExitCode {
    loop {
        let (payload, mut descriptors) = match message::receive_one(&socket, MAX_MESSAGE) {
            Ok(Some(request)) => request,
            Ok(None) => return ExitCode::SUCCESS,
            // The stream cannot be cut into messages any more; the daemon starts another launcher.
            Err(_) => return ExitCode::FAILURE,
        };
        match fork() {
            Ok(Forked::Parent(_)) => {}
            Ok(Forked::Child) => {
                // The launcher keeps both; a shim must hold neither for longer than the launcher lives.
                drop((socket, preparation));
                shim::run(&payload, descriptors);
                return ExitCode::SUCCESS;
            }
            Err(error) if !descriptors.is_empty() => {
                shim::report_failure(descriptors.swap_remove(0), system("cannot fork a shim", error));
            }
            Err(_) => {}
        }
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
