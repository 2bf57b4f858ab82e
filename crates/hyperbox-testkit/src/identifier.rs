// SPDX-License-Identifier: MIT
//! Identifiers for tests: unique in this process and, with overwhelming likelihood, on this machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hyperbox_types::{ContainerId, ExecId, NetworkId};
use sha2::{Digest as _, Sha256};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Returns 32 bytes that no other call on this machine returns.
fn unique_bytes() -> [u8; 32] {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut hash = Sha256::new();
    hash.update(now.to_le_bytes());
    hash.update(count.to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    hash.finalize().into()
}

/// Returns a new container id.
pub fn container_id() -> ContainerId {
    ContainerId::from_bytes(unique_bytes())
}

/// Returns a new exec id.
pub fn exec_id() -> ExecId {
    ExecId::from_bytes(unique_bytes())
}

/// Returns a new network id.
pub fn network_id() -> NetworkId {
    NetworkId::from_bytes(unique_bytes())
}

/// Returns `prefix-` and twelve hexadecimal digits: a name for links, containers, directories.
pub fn unique_name(prefix: &str) -> String {
    format!("{prefix}-{}", container_id().short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_the_same_twice() {
        assert_ne!(container_id(), container_id());
        assert_ne!(unique_name("a"), unique_name("a"));
    }
}
