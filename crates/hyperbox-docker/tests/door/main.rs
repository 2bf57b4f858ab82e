// SPDX-License-Identifier: MIT
//! The whole door over HTTP: core's services on fakes of all seams behind a Unix socket.

mod client;
mod containers;
mod docker_cli;
mod early_answers;
mod execs;
mod images;
mod news;
mod objects;
mod oracle;
mod protocol;
mod run;
mod streams;
mod texts;
mod world;
