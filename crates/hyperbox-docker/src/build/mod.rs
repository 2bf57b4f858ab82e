// SPDX-License-Identifier: MIT
//! Builds at the door: what clients ask for becomes a [`hyperbox_build::BuildRequest`], what happens becomes their messages.
//!
//! ```text
//! classic   query, headers and archive of `POST /build` ──▶ request;  events ──▶ `{"stream": …}` lines
//! by_session query of `POST /build?version=2` ──▶ SessionBuild;      news ──▶ `{"id": "moby.buildkit.trace", …}` lines
//! native    BuildCall of `POST /hyperbox/v1/build` ──▶ request;       events ──▶ BuildMessage frames
//! running   builds by the id that a client gave them, for `POST /build/cancel`
//! ```

pub(crate) mod by_session;
pub(crate) mod classic;
mod credentials;
pub(crate) mod native;
pub(crate) mod running;
pub(crate) mod serve;
mod session;
mod steps;
mod told;

pub use self::credentials::KnownCredentials;
