// SPDX-License-Identifier: MIT
//! The client on the wire: against Debian's `docker-registry`, and against servers that do exactly what a test tells them.

mod support;

mod bearer;
mod blob;
mod download;
mod manifest;
mod mirror;
mod push;
mod real_registry;
mod redirect;
mod tls;
