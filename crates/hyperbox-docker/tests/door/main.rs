// SPDX-License-Identifier: MIT
//! The whole door over HTTP: core's services on fakes of all seams behind a Unix socket.

mod bodies;
mod client;
mod containers;
mod docker_cli;
mod early_answers;
mod endpoints;
mod execs;
mod generated;
mod images;
mod networks;
mod news;
mod objects;
mod oracle;
mod ports;
mod protocol;
mod registry_questions;
mod run;
mod streams;
mod texts;
mod web_socket;
mod world;
