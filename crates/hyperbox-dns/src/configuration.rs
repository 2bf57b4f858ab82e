// SPDX-License-Identifier: MIT
//! Limits of the service.

use std::time::Duration;

/// Limits of the service.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The port that other servers are asked at.
    pub server_port: u16,
    /// How long others are asked before the client is told that nobody answers. Shorter than the 5 s after which common resolvers
    /// (`timeout` in resolv.conf(5)) repeat their question.
    pub patience: Duration,
    /// How many questions of one container others are asked at the same time; more are refused.
    pub questions_per_container: usize,
    /// How many questions of all containers others are asked at the same time; each has up to three open sockets.
    pub questions: usize,
    /// How many connections one container may hold; more wait to be accepted.
    pub connections_per_container: usize,
    /// How long a connection may be silent (RFC 7766 §6.2.3).
    pub idle: Duration,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            server_port: 53,
            patience: Duration::from_secs(4),
            questions_per_container: 1024,
            questions: 4096,
            connections_per_container: 100,
            idle: Duration::from_secs(8),
        }
    }
}
