// SPDX-License-Identifier: MIT
//! gRPC over HTTP/2 over a connection that has left HTTP/1.
//!
//! ```text
//! frame   messages in a body: a flag, a length, the message
//! status  how a call ended, in trailers
//! server  answers calls of a client (`/grpc`)
//! client  calls a client (`/session`); feed: what such a call sends
//! ```
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

pub(crate) mod client;
pub(crate) mod feed;
pub(crate) mod frame;
pub(crate) mod server;
mod severable;
pub(crate) mod status;

/// No message is longer: what BuildKit allows itself (16 MiB).
pub(crate) const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// What may wait to be read of all streams together. Each stream's own window is what bounds memory; this one is so large because `h2`
/// takes a connection for an attack on which more small frames wait than a budget allows that is made of it, and a list of files is
/// nothing but small frames.
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 30;

/// The media type of calls and answers.
pub(crate) const MEDIA_TYPE: &str = "application/grpc";
