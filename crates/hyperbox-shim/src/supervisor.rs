// SPDX-License-Identifier: MIT
//! The shim's event loop: one thread, one poll, no timers but its timeout.
//!
//! Once it has nothing to do for a moment it gives back what memory the start needed.
//!
//! Each round flushes the log, polls everything that matters now, handles what is ready, reaps, reports ends and forgets what is
//! over. The first process ends → its exit record is written at once → its output is read to the end → `Exited` is sent → the
//! attached streams are drained → the shim ends. Killing the shim at any point leaves the launch record, from which the daemon
//! cleans up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use hyperbox_runtime::Cgroups;
use hyperbox_types::Signal;
use hyperbox_types::shim::{EXIT_FILE, ExitRecord, LaunchRecord, SOCKET_NAME, ShimEvent, ShimMessage};
use hyperbox_types::stream::Channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketFlags;
use rustix::process::{WaitOptions, WaitStatus, wait};

use crate::connection::Connection;
use crate::engine::Engine;
use crate::log::Log;
use crate::oom::OomWatch;
use crate::process_io::Output;
use crate::run_directory::RunDirectory;
use crate::supervised::Supervised;

/// Output read at once: what fits into one frame.
const BUFFER: usize = hyperbox_types::stream::MAX_PAYLOAD;

/// How long the last messages may take to reach a daemon that does not read.
const FAREWELL: Duration = Duration::from_secs(5);

/// When a disk that refused log entries is tried again.
const LOG_RETRY: Duration = Duration::from_secs(1);

/// After how long without anything to do the memory that the start needed is given back: a short command has ended by then.
const LULL: Duration = Duration::from_millis(200);

/// How long after a v1 memory event the kill that it announces is looked for.
const OOM_DELAY: Duration = Duration::from_millis(100);

/// Everything a shim has.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) directory: RunDirectory,
    pub(crate) record: LaunchRecord,
    pub(crate) engine: Engine,
    pub(crate) own_pid_namespace: bool,
    pub(crate) signals: hyperbox_sys::signals::ChildSignals,
    pub(crate) listener: OwnedFd,
    pub(crate) connections: Vec<Connection>,
    /// The container's first process, then its execs.
    pub(crate) processes: Vec<Supervised>,
    pub(crate) log: Option<Log>,
    pub(crate) paused: bool,
    pub(crate) exit: Option<ExitRecord>,
    pub(crate) oom: OomState,
}

/// What is known of kills for want of memory.
#[derive(Debug)]
pub(crate) struct OomState {
    watch: Option<OomWatch>,
    kills: u64,
    look_again: Option<Instant>,
}

impl OomState {
    /// Starts to watch.
    pub(crate) fn open(cgroups: &Cgroups) -> Self {
        Self {
            watch: cgroups.memory().and_then(|group| OomWatch::open(group).ok()),
            kills: 0,
            look_again: None,
        }
    }
}

/// What one polled descriptor belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Children,
    Listener,
    Memory,
    Connection(usize),
    Output(usize, Channel),
    Input(usize),
    Client(usize, usize),
}

impl Supervisor {
    /// Runs until the first process has ended, and everything about it was said and delivered.
    pub(crate) fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        let mut farewell = None;
        let mut lull = Some(LULL);
        // A child may have ended while signals were not blocked.
        self.reap();
        loop {
            self.settle();
            if self.is_over() {
                let end = *farewell.get_or_insert_with(|| Instant::now() + FAREWELL);
                if !self.connections.iter().any(Connection::has_backlog) || end <= Instant::now() {
                    break;
                }
            }
            if let Some(log) = &mut self.log {
                log.flush();
                log.compress_some();
            }
            let ready = self.wait(farewell, lull);
            if ready.is_empty() && !self.is_compressing() && lull.take().is_some() {
                hyperbox_sys::fork::trim_heap();
            }
            for (source, flags) in ready {
                self.handle(source, flags, &mut buffer);
            }
        }
        // The socket of a shim that is gone only misleads; the directory may be gone as well.
        drop(self.directory.remove(SOCKET_NAME));
        self.engine.clean_up();
        if let Some(log) = &mut self.log {
            log.compress_rest();
        }
        // Whoever waits for the end of the connection waits for this; the mounts below, which may have to be written to the disk
        // before they go, are nobody's any more.
        self.connections.clear();
    }

    fn is_compressing(&self) -> bool {
        self.log.as_ref().is_some_and(Log::is_compressing)
    }

    fn is_over(&self) -> bool {
        self.exit.is_some()
            && self
                .processes
                .iter()
                .all(|process| process.is_reported() && process.io.clients().is_empty())
    }

    /// Waits for something to do, for `most` at most; nothing is returned when there is nothing, or a deadline has passed.
    fn wait(&self, farewell: Option<Instant>, most: Option<Duration>) -> Vec<(Source, PollFlags)> {
        let timeout = self.timeout(farewell, most);
        let mut sources = Vec::new();
        let mut fds = Vec::new();
        self.each_source(|source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        });
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let ready = sources.into_iter().zip(fds.iter().map(PollFd::revents));
        ready.filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn each_source<'a>(&'a self, mut add: impl FnMut(Source, BorrowedFd<'a>, PollFlags)) {
        add(Source::Children, self.signals.as_fd(), PollFlags::IN);
        add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
        if let Some(watch) = &self.oom.watch {
            add(Source::Memory, watch.as_fd(), watch.interest());
        }
        for (index, connection) in self.connections.iter().enumerate() {
            add(Source::Connection(index), connection.as_fd(), connection.interest());
        }
        for (index, process) in self.processes.iter().enumerate() {
            for channel in [Channel::Stdout, Channel::Stderr] {
                if let Some(fd) = process.io.readable_end(channel) {
                    add(Source::Output(index, channel), fd, PollFlags::IN);
                }
            }
            if let Some(fd) = process.io.writable_end() {
                add(Source::Input(index), fd, PollFlags::OUT);
            }
            let input_wanted = process.io.takes_input();
            for (number, client) in process.io.clients().iter().enumerate() {
                if let Some(flags) = client.interest(input_wanted) {
                    add(Source::Client(index, number), client.as_fd(), flags);
                }
            }
        }
    }

    fn timeout(&self, farewell: Option<Instant>, most: Option<Duration>) -> Option<Timespec> {
        if self.is_compressing() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let now = Instant::now();
        let retry = self.log.as_ref().is_some_and(Log::is_failing).then(|| now + LOG_RETRY);
        let deadlines = self.processes.iter().filter_map(Supervised::deadline);
        let next = deadlines
            .chain(farewell)
            .chain(retry)
            .chain(self.oom.look_again)
            .chain(most.map(|most| now + most))
            .min()?;
        // Rounded up, so that the deadline has passed when the poll ends.
        Timespec::try_from(next.saturating_duration_since(now) + Duration::from_millis(1)).ok()
    }

    fn handle(&mut self, source: Source, flags: PollFlags, buffer: &mut [u8]) {
        match source {
            Source::Children => {
                self.signals.clear();
                self.reap();
            }
            Source::Listener => self.accept(),
            Source::Memory => self.on_memory_event(),
            Source::Connection(index) => {
                self.connections[index].on_ready(flags);
                self.serve(index);
            }
            Source::Output(index, channel) => self.read_output(index, channel, buffer),
            Source::Input(index) => self.processes[index].io.write_input(),
            Source::Client(index, number) => self.processes[index].io.on_client(number, flags, buffer),
        }
    }

    fn accept(&mut self) {
        // A peer that is gone already, or a full descriptor table, is no reason to end.
        if let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
            && let Ok(connection) = Connection::new(socket)
        {
            self.connections.push(connection);
        }
    }

    fn read_output(&mut self, index: usize, channel: Channel, buffer: &mut [u8]) {
        let process = &mut self.processes[index];
        if let Output::Bytes(count) = process.io.read_output(channel, buffer) {
            process.had_output(Instant::now());
            if let (0, Some(log)) = (index, &mut self.log) {
                log.write(channel, &buffer[..count], now_ns());
            }
        }
    }

    /// Reaps every child that has ended.
    pub(crate) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            let now = Instant::now();
            if let Some(index) = self
                .processes
                .iter()
                .position(|process| process.pid == pid && !process.has_ended())
            {
                self.processes[index].ended(exit_code(status), now);
                if index == 0 {
                    self.on_first_process_end(exit_code(status));
                }
            }
        }
    }

    fn on_first_process_end(&mut self, code: i32) {
        self.count_oom_kills();
        let record = ExitRecord {
            code,
            finished_at_ns: now_ns(),
            out_of_memory: self.oom.kills > 0,
        };
        // Without the record the daemon still learns of the end from the event, or that the task was lost.
        drop(self.directory.write_record(EXIT_FILE, &record));
        self.exit = Some(record);
        if !self.own_pid_namespace {
            self.engine.kill_all();
            for process in self.processes.iter().filter(|process| !process.has_ended()) {
                // It may have ended in this moment.
                drop(process.signal(Signal::KILL));
            }
        }
    }

    fn on_memory_event(&mut self) {
        if let Some(watch) = &self.oom.watch {
            watch.clear();
        }
        self.count_oom_kills();
        self.oom.look_again = Some(Instant::now() + OOM_DELAY);
    }

    fn count_oom_kills(&mut self) {
        self.oom.look_again = None;
        let kills = self.engine.oom_kills();
        if kills > self.oom.kills {
            self.oom.kills = kills;
            self.announce(&ShimEvent::OutOfMemory { kills });
        }
    }

    /// Does what has become due: reports ends, forgets what is over.
    fn settle(&mut self) {
        let now = Instant::now();
        if self.oom.look_again.is_some_and(|at| at <= now) {
            self.count_oom_kills();
        }
        for index in (0..self.processes.len()).rev() {
            if let Some(code) = self.processes[index].take_report(now) {
                self.report(index, code);
            }
            self.processes[index].io.sweep();
        }
        let mut index = 0;
        self.processes.retain(|process| {
            index += 1;
            index == 1 || !process.is_reported() || !process.io.clients().is_empty()
        });
        self.connections.retain(|connection| !connection.is_dead());
    }

    fn report(&mut self, index: usize, code: i32) {
        let event = match (&self.processes[index].exec, &self.exit) {
            (Some(exec), _) => ShimEvent::ExecExited {
                exec: exec.clone(),
                code,
            },
            (None, Some(record)) => {
                if let Some(log) = &mut self.log {
                    log.finish(now_ns());
                }
                ShimEvent::Exited(record.clone())
            }
            (None, None) => return,
        };
        self.announce(&event);
        // Clients see the end of their stream after the daemon could see the exit.
        self.processes[index].io.finish();
    }

    fn announce(&mut self, event: &ShimEvent) {
        let message = ShimMessage::Event(event.clone());
        for connection in &mut self.connections {
            connection.send(&message);
        }
    }
}

/// Returns the wall-clock time in nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn exit_code(status: WaitStatus) -> i32 {
    hyperbox_sys::exit_info::decode(status.as_raw())
}
