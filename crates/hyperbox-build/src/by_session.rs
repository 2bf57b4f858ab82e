// SPDX-License-Identifier: MIT
//! Builds that a client asks one door for while its files come by another: what both doors say of them.

use std::collections::HashMap;

use bytes::Bytes;

/// A build that is asked for in a query, in the terms of BuildKit's Dockerfile frontend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionBuild {
    /// What the client calls it; what it uploads for it has the same name.
    pub id: String,
    /// The session that has its files, by uuid.
    pub session: String,
    /// What the frontend is asked for (`target`, `build-arg:NAME`, …).
    pub options: HashMap<String, String>,
    /// Whether the context is an archive that comes in a request of its own, under [`Self::id`].
    pub uploaded: bool,
    /// Names and addresses; an address may be `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    /// What becomes of the result: `moby`, `local` or `tar`.
    pub exporter: String,
    /// How.
    pub exporter_options: HashMap<String, String>,
    /// What the build may do beyond the usual, such as `network.host`.
    pub entitlements: Vec<String>,
    /// Whether the image says how it was made, for other builds' caches.
    pub inline_cache: bool,
}

/// What there is to tell of such a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionBuildNews {
    /// Something happened: an encoded `moby.buildkit.v1.StatusResponse`.
    Status(Bytes),
    /// It is over, with the id of the image if one was made.
    Done(Option<String>),
    /// It failed: why, for people.
    Failed(String),
}
