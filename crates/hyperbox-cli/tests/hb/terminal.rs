// SPDX-License-Identifier: MIT
//! `hb run -it` on a real pseudo-terminal: raw while it runs, as before on every way out.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hyperbox_types::stream::Channel;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::daemon::{Daemon, Step};
use super::program::hb;
use super::run::{created, frame};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

struct Terminal {
    master: File,
    slave: OwnedFd,
}

impl Terminal {
    fn open() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        tcsetwinsize(
            &slave,
            Winsize {
                ws_row: 24,
                ws_col: 80,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
        Self {
            master: File::from(master),
            slave: slave.into(),
        }
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        let end = || Stdio::from(self.slave.try_clone().unwrap());
        hb(arguments).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }
}

/// Begins the session, reports every byte from the client, and does what it is told.
fn scripted(from_client: Sender<Vec<u8>>, to_client: Receiver<Vec<u8>>) -> Step {
    Box::new(move |stream| {
        let begin = [b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(), created()].concat();
        stream.write_all(&begin).unwrap();
        let mut reader = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if from_client.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        for bytes in to_client {
            stream.write_all(&bytes).unwrap();
        }
        drop(stream.shutdown(std::net::Shutdown::Both));
    })
}

struct Session {
    terminal: Terminal,
    child: Child,
    from_client: Receiver<Vec<u8>>,
    to_client: Option<Sender<Vec<u8>>>,
    seen: Vec<u8>,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        let (from_sender, from_client) = channel();
        let (to_client, to_receiver) = channel();
        let daemon = Daemon::start(vec![scripted(from_sender, to_receiver)]);
        let terminal = Terminal::open();
        assert!(!terminal.is_raw());
        let child = terminal.spawn(&[&["--host", daemon.address(), "run"], arguments, &["busybox"]].concat());
        let mut session = Self {
            terminal,
            child,
            from_client,
            to_client: Some(to_client),
            seen: Vec::new(),
        };
        // The client tells its size once the terminal is raw and everything is connected.
        session.wait_for(r#""rows":24,"columns":80"#);
        assert!(session.terminal.is_raw());
        session
    }

    /// Waits until the daemon has seen a text.
    fn wait_for(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let bytes = self.from_client.recv_timeout(LIMIT).unwrap_or_else(|error| {
                panic!(
                    "{error} while waiting for {text}; seen: {:?}",
                    String::from_utf8_lossy(&self.seen)
                )
            });
            self.seen.extend(bytes);
        }
    }

    fn finish(mut self) -> std::process::ExitStatus {
        let status = self.child.wait().unwrap();
        assert!(!self.terminal.is_raw(), "the terminal is left raw after {status}");
        status
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

#[test]
fn keys_resizes_and_signals_reach_the_container() {
    let mut session = Session::start(&["-it"]);
    session.terminal.master.write_all(b"a\x03").unwrap();
    session.wait_for("a\u{3}");
    tcsetwinsize(
        &session.terminal.slave,
        Winsize {
            ws_row: 40,
            ws_col: 132,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
    .unwrap();
    session.signal(Signal::WINCH);
    session.wait_for(r#""rows":40,"columns":132"#);
    session.signal(Signal::TERM);
    session.wait_for(r#""command":"signal","signal":15"#);
    let exit = frame(Channel::Control, br#"{"event":"exited","code":7}"#);
    session.to_client.as_ref().unwrap().send(exit).unwrap();
    assert_eq!(session.finish().code(), Some(7));
}

#[test]
fn the_keys_that_detach_leave_the_container_alone() {
    let mut session = Session::start(&["-it", "--detach-keys", "ctrl-a,x"]);
    session.terminal.master.write_all(b"b\x01").unwrap();
    session.terminal.master.write_all(b"x").unwrap();
    session.wait_for("b");
    assert_eq!(session.finish().code(), Some(0));
}

#[test]
fn a_signal_that_is_not_forwarded_ends_the_client_properly() {
    use std::os::unix::process::ExitStatusExt;
    let session = Session::start(&["-it", "--sig-proxy=false"]);
    session.signal(Signal::TERM);
    assert_eq!(session.finish().signal(), Some(15));
}

#[test]
fn a_daemon_that_dies_gives_the_terminal_back() {
    let mut session = Session::start(&["-it"]);
    session.to_client = None;
    assert_eq!(session.finish().code(), Some(125));
}
