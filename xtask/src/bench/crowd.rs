// SPDX-License-Identifier: MIT
//! `bench crowd`: many containers started at the same moment, each by a client process of its own, and commands in a running one.

use serde_json::Value;

use super::contender::Contender;
use super::series::print;
use crate::starter;

/// How many start at once.
const CROWD: usize = 50;
/// Most rounds: each takes many seconds with some engines.
const ROUNDS: usize = 5;

/// Measures the time until the last client has ended.
pub(super) fn measure(engines: &[Contender], rounds: usize) -> Value {
    let rounds = rounds.min(ROUNDS);
    print(hyperbox_bench::starts_at_once(engines, starter::NAME, CROWD, rounds)).to_json()
}

/// Measures the floor of that: as many clients that only ask for the version, all at once.
pub(super) fn floor(engines: &[Contender], rounds: usize) -> Value {
    print(hyperbox_bench::clients_at_once(engines, CROWD, rounds.min(ROUNDS))).to_json()
}

/// Measures a command in a running container.
pub(super) fn exec(engines: &[Contender], rounds: usize) -> Value {
    print(hyperbox_bench::exec(engines, starter::NAME, rounds)).to_json()
}
