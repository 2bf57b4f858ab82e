// SPDX-License-Identifier: MIT
//! `bench network`: what a container's network costs, and what its published ports carry.
//!
//! Engines are spoken to by sockets of the Docker Engine API: a start is timed without a command line's own time. All of them have the
//! same image, the same programs and the same kernel. What is made is labelled and removed.

mod attach;
mod client;
mod elsewhere;
mod engine;
mod example;
mod exchange;
mod image;
mod names;
mod ports;
mod processor;
mod throughput;

use anyhow::Result;

use super::daemon::Daemon;
use super::keep;
pub(super) use client::{Question, ask};
use elsewhere::Elsewhere;
use engine::{Engine, Stage};

/// Least rounds of what takes a millisecond.
const DRIVER_ROUNDS: usize = 100;
/// Most rounds of what takes a second or more.
const SLOW_ROUNDS: usize = 10;
/// Rounds of what takes minutes: so long has Docker Engine with hundreds of ports.
const SLOWEST_ROUNDS: usize = 1;

/// Measures all scenarios.
pub(super) fn run(rounds: usize) -> Result<()> {
    let daemon = Daemon::start()?;
    let archive = image::make()?;
    let mut stages = Vec::new();
    for engine in Engine::all(&daemon) {
        let name = engine.name;
        match Stage::set_up(engine, &archive) {
            Ok(stage) => stages.push(stage),
            Err(error) => println!("left out {name}: {error:#}"),
        }
    }
    let mut results = vec![example::attach(rounds.max(DRIVER_ROUNDS))?];
    results.extend(attach::engines(&stages, rounds));
    results.push(example::loopback(rounds.min(SLOW_ROUNDS))?);
    let elsewhere = Elsewhere::set_up()?;
    results.extend(throughput::measure(&stages, &elsewhere, rounds.min(SLOW_ROUNDS))?);
    results.extend(exchange::measure(&stages, &elsewhere, rounds.min(SLOW_ROUNDS))?);
    results.extend(names::measure(&stages, rounds.min(SLOW_ROUNDS))?);
    results.extend(ports::measure(&stages, rounds.min(SLOWEST_ROUNDS))?);
    keep("network", &results)
}
