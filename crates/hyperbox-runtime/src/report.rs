// SPDX-License-Identifier: MIT
//! What a child tells its parent while it sets itself up, over one `SOCK_SEQPACKET` pair.
//!
//! Who holds which end: the parent keeps `ours` and closes `theirs` right after the clone; the child has a copy of both, and
//! as both are closed by `execve(2)` and by death, the parent reads the end of the stream exactly when the command runs (or the
//! child is gone). Before that the child sends at most one terminal, then that it is
//! ready or a failure; the parent sends one byte,
//! [`GO`], when the child is in its cgroups and its ids are mapped.
//!
//! Nothing here allocates on the child's side.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// The parent's permission to go on.
const GO: u8 = b'g';

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    Session = 1,
    JoinNamespace,
    NewNamespace,
    Go,
    Identity,
    Propagation,
    AttachRoot,
    Mount,
    WorkingDirectory,
    Device,
    DeviceLink,
    Terminal,
    Console,
    MaskPath,
    ReadOnlyPath,
    ReadOnlyRoot,
    PivotRoot,
    RootPropagation,
    Sysctl,
    HostName,
    DomainName,
    ResourceLimit,
    OomScore,
    Personality,
    SecurityProfile,
    Streams,
    Groups,
    User,
    Capabilities,
    NoNewPrivileges,
    ChangeDirectory,
    Seccomp,
    /// `execve` failed; the index is an [`ExecFault`].
    Execute,
}

impl Stage {
    const ALL: [Self; 33] = [
        Self::Session,
        Self::JoinNamespace,
        Self::NewNamespace,
        Self::Go,
        Self::Identity,
        Self::Propagation,
        Self::AttachRoot,
        Self::Mount,
        Self::WorkingDirectory,
        Self::Device,
        Self::DeviceLink,
        Self::Terminal,
        Self::Console,
        Self::MaskPath,
        Self::ReadOnlyPath,
        Self::ReadOnlyRoot,
        Self::PivotRoot,
        Self::RootPropagation,
        Self::Sysctl,
        Self::HostName,
        Self::DomainName,
        Self::ResourceLimit,
        Self::OomScore,
        Self::Personality,
        Self::SecurityProfile,
        Self::Streams,
        Self::Groups,
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::ChangeDirectory,
        Self::Seccomp,
        Self::Execute,
    ];

    fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| *stage as u32 == number)
    }
}

/// Why a command could not be executed, found out by the child, which alone sees the container's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ExecFault {
    /// No directory of `PATH` has it.
    NotInPath = 1,
    /// The named file does not exist.
    NoFile,
    /// The file exists, its interpreter does not.
    NoInterpreter,
    /// It is a directory.
    Directory,
    /// It may not be executed.
    Denied,
    /// Anything else.
    Other,
}

impl ExecFault {
    /// Undoes `as u32`; unknown numbers are [`ExecFault::Other`].
    pub(crate) fn from_number(number: u32) -> Self {
        [
            Self::NotInPath,
            Self::NoFile,
            Self::NoInterpreter,
            Self::Directory,
            Self::Denied,
        ]
        .into_iter()
        .find(|fault| *fault as u32 == number)
        .unwrap_or(Self::Other)
    }
}

/// A failed step of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub stage: Stage,
    /// Which one of several, such as the number of the mount.
    pub index: u32,
    pub errno: Errno,
}

/// Gives an error its stage.
pub(crate) trait At<T> {
    /// The error happened at `stage`.
    fn at(self, stage: Stage) -> Result<T, Failure>;
    /// The error happened at the `index`-th object of `stage`.
    fn at_index(self, stage: Stage, index: usize) -> Result<T, Failure>;
}

impl<T, E: IntoErrno> At<T> for Result<T, E> {
    fn at(self, stage: Stage) -> Result<T, Failure> {
        self.at_index(stage, 0)
    }

    fn at_index(self, stage: Stage, index: usize) -> Result<T, Failure> {
        self.map_err(|error| Failure {
            stage,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            errno: error.into_errno(),
        })
    }
}

/// Both kinds of system errors in use.
pub(crate) trait IntoErrno {
    fn into_errno(self) -> Errno;
}

impl IntoErrno for Errno {
    fn into_errno(self) -> Errno {
        self
    }
}

impl IntoErrno for std::io::Error {
    fn into_errno(self) -> Errno {
        Errno::from_io_error(&self).unwrap_or(Errno::IO)
    }
}

/// What the parent hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The master side of a terminal.
    Terminal(OwnedFd),
    /// Only the filter and the command are left to do.
    Ready,
    /// It failed.
    Failure(Failure),
    /// The stream ended: the command runs, or the child is gone.
    End,
}

/// Makes the pair.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
}

/// Child: reports a failure. Nothing can be done when even that fails; the exit code still tells the parent.
pub(crate) fn send_failure(socket: BorrowedFd<'_>, failure: Failure) {
    let mut message = [0; 12];
    message[..4].copy_from_slice(&(failure.stage as u32).to_ne_bytes());
    message[4..8].copy_from_slice(&failure.index.to_ne_bytes());
    message[8..].copy_from_slice(&failure.errno.raw_os_error().to_ne_bytes());
    // A parent that is gone needs no report.
    let _ = rustix::net::send(socket, &message, SendFlags::NOSIGNAL);
}

/// Child: says that only the filter and the command are left. An end without that means that the child was killed.
pub(crate) fn send_ready(socket: BorrowedFd<'_>) {
    let _ = rustix::net::send(socket, b"r", SendFlags::NOSIGNAL);
}

/// Sends one descriptor.
pub(crate) fn send_descriptor(socket: BorrowedFd<'_>, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(socket, &[IoSlice::new(b"t")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one descriptor; `None` at the end of the stream.
pub(crate) fn receive_descriptor(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    match hear(socket)? {
        Heard::Terminal(descriptor) => Ok(Some(descriptor)),
        Heard::Ready | Heard::Failure(_) | Heard::End => Ok(None),
    }
}

/// Parent: waits for the next message.
pub(crate) fn hear(socket: BorrowedFd<'_>) -> Result<Heard, Errno> {
    let mut bytes = [0; 12];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut vectors = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut vectors, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message.bytes,
            // A child that fails before it reads "go" leaves that byte unread, which resets the connection. The kernel reports
            // the reset once, before what the child had sent; then come the message and the end.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(error) => return Err(error),
        }
    };
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if let Some(descriptor) = descriptor {
        return Ok(Heard::Terminal(descriptor));
    }
    if length < 12 {
        return Ok(if length == 0 { Heard::End } else { Heard::Ready });
    }
    let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    Ok(
        Stage::from_number(u32::from_ne_bytes(word(0))).map_or(Heard::End, |stage| {
            Heard::Failure(Failure {
                stage,
                index: u32::from_ne_bytes(word(4)),
                errno: Errno::from_raw_os_error(i32::from_ne_bytes(word(8))),
            })
        }),
    )
}

/// Parent: lets the child go on. A child that already failed has said so.
pub(crate) fn send_go(socket: BorrowedFd<'_>) {
    let _ = rustix::net::send(socket, &[GO], SendFlags::NOSIGNAL);
}

/// Child: waits for [`send_go`].
pub(crate) fn wait_for_go(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = [0_u8];
    let (length, _) = rustix::io::retry_on_intr(|| rustix::net::recv(socket.as_fd(), &mut byte, RecvFlags::empty()))?;
    if length == 1 { Ok(()) } else { Err(Errno::PIPE) }
}
