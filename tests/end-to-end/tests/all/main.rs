// SPDX-License-Identifier: MIT
//! End-to-end tests: they see only binaries and sockets.
//!
//! Each test has an environment of its own (`hyperbox_testkit::environment`) and runs beside the others. All need root and say so.
//! Tests whose name begins with `v2_` need pure cgroup v2 and run in the virtual machine (`cargo xtask vm-test`).

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod budget;
mod build_bad_input;
mod build_contexts;
mod build_corpus;
mod build_failpoints;
mod build_foreign_caches;
mod build_ignore;
mod build_reproducible;
mod build_sharing;
mod build_web;
mod buildkit_caches;
mod buildkit_clients;
mod buildkit_devcontainers;
mod buildkit_older_clients;
mod buildkit_projects;
mod buildkit_requests;
mod buildkit_sessions;
mod buildkit_vanishing;
mod builds;
mod check;
mod cni_failpoints;
mod collect;
mod commit;
mod copy;
mod crash;
mod delta;
mod disk;
mod disk_errors;
mod disk_errors_others;
mod docker_cli;
mod docker_socket;
mod docker_words;
mod exec;
mod failpoints;
mod health;
mod hostile_layers;
mod identity;
mod image_diff;
mod images;
mod isolation;
mod large_image;
mod layer_forms;
mod lifecycle;
mod load;
mod login;
mod logs;
mod mistakes;
mod mounts;
mod network_commands;
mod network_failpoints;
mod networks;
mod optimize;
mod other_machine;
mod parent_networks;
mod project_compose;
mod project_database;
mod project_folder;
mod project_isolation;
mod project_life;
mod project_quota;
mod project_replacement;
mod project_watch;
mod published_ports;
mod races;
mod registry_faults;
mod released_blobs;
mod resources;
mod robustness;
mod robustness_streams;
mod run;
mod runtimes;
mod secrets;
mod store_failpoints;
mod system;
mod terminal;
mod user_networks;
mod version2;
mod volumes;
