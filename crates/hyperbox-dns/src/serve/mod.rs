// SPDX-License-Identifier: MIT
//! The sockets of a container.
//!
//! One task per socket, which owns everything that was begun there: dropping the task closes the socket and ends the questions that are
//! on their way. Buffers exist only while there is something to read.

pub(crate) mod connections;
pub(crate) mod datagrams;

use std::time::Duration;

/// The largest question that is read. Real ones are below a kilobyte, even with options.
const LARGEST_QUESTION: usize = 4096;

/// How long to leave a socket alone that reports trouble of the machine (memory, descriptors): trying at once would only spin.
const REST: Duration = Duration::from_millis(100);
