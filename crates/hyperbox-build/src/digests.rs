// SPDX-License-Identifier: MIT
//! Digests of what steps read of layers, remembered: layers never change. In memory alone; what is forgotten is read again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use hyperbox_types::Digest;

/// So many are remembered.
const MOST: usize = 10_000;

/// Remembers digests by what they are of.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    digests: HashMap<Digest, [u8; 32]>,
    order: VecDeque<Digest>,
}

impl Digests {
    pub(crate) fn get(&self, name: Option<&Digest>) -> Option<[u8; 32]> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.digests.get(name?).copied()
    }

    /// Remembers a digest; what was remembered first is forgotten first.
    pub(crate) fn put(&self, name: Option<Digest>, digest: [u8; 32]) {
        let Some(name) = name else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.digests.insert(name.clone(), digest).is_none() {
            known.order.push_back(name);
        }
        if known.order.len() > MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.digests.remove(&oldest);
        }
    }
}
