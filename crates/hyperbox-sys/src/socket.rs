// SPDX-License-Identifier: MIT
//! `SIOCOUTQ` of `unix(7)`: whether the peer of a socket has read what was written to it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Returns the memory that holds what was written to a Unix stream socket and not yet read by its peer: 0 when all of it was read, or when
/// the peer has gone. Headers of the kernel's buffers are counted in, so another number is no number of bytes of the stream.
///
/// # Errors
/// That of `ioctl(2)`: `ENOTTY` where the descriptor is no socket.
pub fn unread_by_peer(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut unread: libc::c_int = 0;
    // SAFETY: the request (SIOCOUTQ has the number of TIOCOUTQ) writes one int to the address, which lives as long as the call; the
    // descriptor is borrowed, so it is open.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(unread).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_read_or_has_no_reader_is_not_unread() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(unread_by_peer(ours.as_fd()).unwrap(), 0);
        ours.write_all(b"answer").unwrap();
        assert!(unread_by_peer(ours.as_fd()).unwrap() > 0);
        theirs.read_exact(&mut [0; 5]).unwrap();
        assert!(unread_by_peer(ours.as_fd()).unwrap() > 0, "one byte is left");
        theirs.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(unread_by_peer(ours.as_fd()).unwrap(), 0);
        ours.write_all(b"more").unwrap();
        drop(theirs);
        assert_eq!(unread_by_peer(ours.as_fd()).unwrap(), 0);
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(unread_by_peer(file.as_fd()).is_err());
    }
}
