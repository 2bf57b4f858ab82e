// SPDX-License-Identifier: MIT
//! What of the measurements runs as a program of its own: in a container, or in another network namespace.

use anyhow::Result;

use super::{exchange, names};

/// Arguments of `ask`.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Asks the name server, and prints how many answers came in a second.
    Name(names::Question),
    /// Serves HTTP without keep-alive, and bytes that come back, until it is ended.
    Serve,
    /// Asks such a server for one thing after the other, and prints connections per second and microseconds of CPU time for each.
    Connect(exchange::Server),
    /// Sends such a server a byte at a time, and prints the median of microseconds until it is back.
    Echo(exchange::Server),
}

/// Does what was asked for.
pub(crate) fn ask(question: &Question) -> Result<()> {
    match &question.what {
        What::Name(question) => names::ask(question),
        What::Serve => exchange::serve(),
        What::Connect(server) => exchange::connect(server),
        What::Echo(server) => exchange::echo(server),
    }
}
