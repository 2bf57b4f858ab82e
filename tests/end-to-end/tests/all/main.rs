// SPDX-License-Identifier: MIT
//! End-to-end tests: they see only binaries and sockets.
//!
//! Each test has an environment of its own (`hyperbox_testkit::environment`) and runs beside the others. All need root and say so.
//! Tests whose name begins with `v2_` need pure cgroup v2 and run in the virtual machine (`cargo xtask vm-test`).

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod commit;
mod copy;
mod crash;
mod disk;
mod docker_cli;
mod exec;
mod failpoints;
mod health;
mod hostile_layers;
mod identity;
mod images;
mod isolation;
mod large_image;
mod lifecycle;
mod load;
mod login;
mod logs;
mod mistakes;
mod mounts;
mod network_commands;
mod network_failpoints;
mod networks;
mod other_machine;
mod published_ports;
mod races;
mod registry_faults;
mod resources;
mod robustness;
mod run;
mod runtimes;
mod secrets;
mod system;
mod terminal;
mod user_networks;
mod version2;
mod volumes;
