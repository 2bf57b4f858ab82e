// SPDX-License-Identifier: MIT
//! WebSocket (RFC 6455), as far as `GET /containers/{id}/attach/ws` needs it: the server's side of the handshake, frames, a session.
//!
//! The words of the refusals and the choices that the RFC leaves open are those of the Go library that Docker uses: unknown
//! opcodes are data, an unmasked frame ends the connection with status 1002, pings are answered, pongs ignored, the end of the output
//! is status 1000. Payloads are passed on as they arrive and never collected, so a long frame costs no memory.

mod frame;
mod handshake;
mod session;
mod telling;

pub(crate) use frame::Kind;
pub(crate) use handshake::{Accepted, accept};
pub(crate) use session::pump;
pub(crate) use telling::tell;
