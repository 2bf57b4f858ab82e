// SPDX-License-Identifier: MIT
//! A Bloom filter over chunk names: "certainly not here" without a look into the index.
//!
//! For `n` names at a rate of false positives `p` it has `m = -n·ln p / ln² 2` bits and `k = m/n · ln 2` probes (Bloom 1970; at
//! 1 %: 9.6 bits and 7 probes per name). The probes are `a + i·b` for two halves of the name (Kirsch and Mitzenmacher, "Less hashing,
//! same performance", 2006), which needs no hashing of its own: names are SHA-256. With more than `n` names the rate rises; a name
//! that was inserted is always found.

use crate::ChunkId;

const MOST_PROBES: u32 = 16;

/// A set of names that may say yes too often, and never no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BloomFilter {
    words: Vec<u64>,
    probes: u32,
    capacity: usize,
    inserted: usize,
}

impl BloomFilter {
    /// Makes a filter for `capacity` names of which at most `one_in` of foreign ones gets a wrong yes, on average: 100 for 1 %.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "both results are positive and far below the limits of their types"
    )]
    pub fn new(capacity: usize, one_in: u32) -> Self {
        let capacity = capacity.max(64);
        let ln2 = std::f64::consts::LN_2;
        let bits_per_name = f64::from(one_in.max(2)).ln() / (ln2 * ln2);
        let words = (capacity as f64 * bits_per_name / 64.0).ceil() as usize;
        Self {
            words: vec![0; words.max(1)],
            probes: ((bits_per_name * ln2).round() as u32).clamp(1, MOST_PROBES),
            capacity,
            inserted: 0,
        }
    }

    /// Adds a name.
    pub fn insert(&mut self, id: &ChunkId) {
        for bit in self.bits(id) {
            self.words[bit / 64] |= 1 << (bit % 64);
        }
        self.inserted += 1;
    }

    /// Tells whether the name may be there; `false` is certain.
    pub fn may_contain(&self, id: &ChunkId) -> bool {
        self.bits(id).all(|bit| self.words[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// Tells whether it holds more names than it was made for.
    pub fn is_full(&self) -> bool {
        self.inserted > self.capacity
    }

    /// Returns the bytes that it occupies.
    pub fn size(&self) -> usize {
        self.words.len() * 8
    }

    fn bits(&self, id: &ChunkId) -> impl Iterator<Item = usize> + use<> {
        let part = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&id.0[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        // An odd step visits different bits.
        let (start, step) = (part(0), part(8) | 1);
        let bits = self.words.len() as u64 * 64;
        (0..u64::from(self.probes)).map(move |probe| {
            let bit = start.wrapping_add(probe.wrapping_mul(step)) % bits;
            usize::try_from(bit).unwrap_or(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> ChunkId {
        ChunkId::of(&number.to_le_bytes())
    }

    #[test]
    fn the_promised_rate_is_kept() {
        for one_in in [20, 100, 1000] {
            let mut filter = BloomFilter::new(20_000, one_in);
            (0..20_000).for_each(|number| filter.insert(&name(number)));
            assert!((0..20_000).all(|number| filter.may_contain(&name(number))));
            let wrong = (20_000..120_000)
                .filter(|number| filter.may_contain(&name(*number)))
                .count();
            let allowed = 100_000 / one_in as usize * 3 / 2;
            assert!(wrong <= allowed, "{wrong} of 100000 instead of 1 in {one_in}");
            assert!(!filter.is_full());
            filter.insert(&name(20_000));
            assert!(filter.is_full());
        }
        assert!(BloomFilter::new(20_000, 100).size() < 20_000 * 10 / 8);
    }
}
