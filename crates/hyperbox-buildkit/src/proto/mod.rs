// SPDX-License-Identifier: MIT
//! Messages on the wire. They are an interface: names and field numbers are those of BuildKit v0.25 (and of what it stands on); only the
//! fields that are used are here, others are skipped when they arrive. Each file says which `.proto` its numbers come from.

pub(crate) mod auth;
pub(crate) mod caps;
pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod errdefs;
pub(crate) mod filesync;
pub(crate) mod gateway;
pub(crate) mod health;
pub(crate) mod ops;
pub(crate) mod rpc;
pub(crate) mod secrets;
pub(crate) mod ssh;
pub(crate) mod worker;
