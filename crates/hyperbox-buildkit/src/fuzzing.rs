// SPDX-License-Identifier: MIT
//! Entry point of the fuzz target: the packets with which a stranger sends a directory, with what must hold whatever they are.

use std::path::Path;

use crate::session::fuzzing::receive;
use crate::transport::frame::Frames;

/// Reads a stream of framed packets as a context, twice, and all that is in it; `directory` is made, and has no file afterwards. So much of
/// the stream as there is belongs to the first transfer that ends the list and gives all bytes; what follows, to the second.
///
/// # Panics
/// When a name leads out of the tree, an entry is below something that is no directory, bytes are not what their digest says, or
/// something is left behind.
pub fn packets(stream: &[u8], directory: &Path) {
    let mut frames = Frames::default();
    frames.push(stream);
    receive(directory, || frames.next().ok().flatten());
}
