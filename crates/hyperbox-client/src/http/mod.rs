// SPDX-License-Identifier: MIT
//! HTTP/1.1 as the Engine API needs it: requests with known or streamed bodies, streamed answers, upgrades.
//!
//! Layers: [`connection`] buffers bytes, [`head`] parses the head of an answer (`httparse`), [`body`] frames its body and gives
//! the connection back for reuse, [`upgrade`] turns a connection into two raw directions.

mod body;
mod connection;
mod head;
mod response;
mod upgrade;

pub use body::Body;
pub(crate) use connection::{Connection, Pool};
pub(crate) use head::{Head, read_head};
pub use response::Response;
pub use upgrade::{Upgraded, UpgradedReader, UpgradedWriter};

use std::fmt;

/// The request methods that the API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read only the head.
    Head,
    /// Act or create.
    Post,
    /// Replace.
    Put,
    /// Remove.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        })
    }
}
