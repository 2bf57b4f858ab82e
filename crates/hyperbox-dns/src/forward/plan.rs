// SPDX-License-Identifier: MIT
//! Who is asked when.
//!
//! The time that there is, is divided evenly between the servers. One that fails (refused, server failure, nobody there) is followed at
//! once by the next; one that is silent by the next when its share is over, while its answer stays welcome: a slow server loses
//! nothing by a dead one before it, nor the other way round. A datagram may be lost, so a single server is asked twice.

use std::collections::VecDeque;
use std::time::Duration;

use hyperbox_core::seam::NameServer;

use crate::message::Transport;

/// The servers that have not been asked yet.
#[derive(Debug)]
pub(super) struct Plan {
    waiting: VecDeque<NameServer>,
    share: Duration,
}

impl Plan {
    /// Plans to ask `servers` within `patience`.
    pub(super) fn new(servers: &[NameServer], transport: Transport, patience: Duration) -> Self {
        let mut waiting: VecDeque<NameServer> = servers.iter().copied().collect();
        if let (&[single], Transport::Datagram) = (servers, transport) {
            waiting.push_back(single);
        }
        let shares = u32::try_from(waiting.len()).unwrap_or(u32::MAX).max(1);
        Self {
            waiting,
            share: patience / shares,
        }
    }

    /// Returns how long to wait for a server before the next is asked as well.
    pub(super) fn share(&self) -> Duration {
        self.share
    }

    /// Returns the server to ask now.
    pub(super) fn next(&mut self) -> Option<NameServer> {
        self.waiting.pop_front()
    }

    /// Takes note that a server has failed: it is not asked again.
    pub(super) fn failed(&mut self, server: NameServer) {
        self.waiting.retain(|waiting| *waiting != server);
    }

    /// Tells whether everybody has been asked.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_divided_and_failures_are_not_repeated() {
        let server = |last: u8| NameServer {
            address: [192, 0, 2, last].into(),
            from_container: false,
        };
        let patience = Duration::from_secs(4);
        for (servers, transport, asked, share) in [
            (vec![], Transport::Datagram, vec![], 4),
            (vec![server(1)], Transport::Datagram, vec![server(1), server(1)], 2),
            (vec![server(1)], Transport::Connection, vec![server(1)], 4),
            (
                vec![server(1), server(2)],
                Transport::Datagram,
                vec![server(1), server(2)],
                2,
            ),
        ] {
            let mut plan = Plan::new(&servers, transport, patience);
            assert_eq!(plan.share(), Duration::from_secs(share));
            let order: Vec<NameServer> = std::iter::from_fn(|| plan.next()).collect();
            assert_eq!(order, asked);
            assert!(plan.is_done());
        }
        let mut plan = Plan::new(&[server(1)], Transport::Datagram, patience);
        assert_eq!(plan.next(), Some(server(1)));
        plan.failed(server(1));
        assert!(plan.is_done());
    }
}
