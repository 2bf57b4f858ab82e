// SPDX-License-Identifier: MIT
//! Pseudo-terminals of a container: from its own `/dev/pts`, so that their names mean something inside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_types::run::TerminalSize;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::mounting::attach;
use super::place::{self, Links};
use crate::plan::target::{Target, TargetKind};

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS: i64 = 0x1cd1;

/// Opens a new pair (master, slave) in the container whose root is `root`.
pub(super) fn open(root: BorrowedFd<'_>, size: TerminalSize) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
    let master = place::open(root, c"dev/pts/ptmx", flags, Links::Follow)?;
    // Something else may be there in the container's files; only devpts makes a terminal that nobody else holds.
    if rustix::fs::fstatfs(&master)?.f_type as i64 != DEVPTS {
        return Err(Errno::NOTTY);
    }
    rustix::fs::fcntl_setfl(&master, OFlags::empty())?;
    rustix::pty::unlockpt(&master)?;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&slave, size)?;
    Ok((master, slave))
}

/// Shows the terminal as `/dev/console`.
pub(super) fn bind_console(root: BorrowedFd<'_>, console: &Target, slave: BorrowedFd<'_>) -> Result<(), Errno> {
    debug_assert_eq!(console.kind, TargetKind::File);
    let place = place::find_or_make(root, console, Links::Follow)?;
    let tree = rustix::mount::open_tree(
        slave,
        c"",
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH,
    )?;
    attach(tree.as_fd(), place.as_fd())
}
