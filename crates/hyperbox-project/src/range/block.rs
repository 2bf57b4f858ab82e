// SPDX-License-Identifier: MIT
//! Blocks of the host's ports.
//!
//! The numbers from [`FIRST_PORT`] to [`LAST_PORT`] are cut into blocks of [`WHOLE`]. A project gets a whole one as long as more than
//! [`KEPT_WHOLE`] are free. Of those kept back each is cut into [`PART`]s, and of the last parts each into [`CRUMB`]s: thirty projects
//! have a thousand ports each, and there is room for 390. A project that needs more than its block has gets another one.
//!
//! Numbers that the kernel gives to outgoing connections (`ip_local_port_range`, `ip-sysctl.rst`) are given last: such a connection can
//! keep a number from being bound.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first port that is given.
pub const FIRST_PORT: u16 = 10_000;
/// The last port that is given.
pub const LAST_PORT: u16 = 59_999;
/// How many ports a project has.
pub const WHOLE: u16 = 1_000;
/// How many it has when there are many projects.
const PART: u16 = 100;
/// How many it has when there are very many.
const CRUMB: u16 = 20;
/// So many whole blocks are only given in parts.
const KEPT_WHOLE: usize = 20;
/// So many parts are only given in crumbs.
const KEPT_PARTS: usize = 40;

/// Ports of the host that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

impl Ports {
    /// Tells whether a number is one of them.
    pub fn contains(self, number: u16) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Tells whether both have a number in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Returns the numbers in order.
    pub fn numbers(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

/// Chooses a block that has no number in common with any of `taken`. `passing` are the numbers that the kernel gives to outgoing
/// connections.
///
/// `None` when all are taken.
pub fn block(taken: &[Ports], passing: Option<Ports>) -> Option<Ports> {
    let whole = free(WHOLE, taken);
    if whole.len() > KEPT_WHOLE {
        return steadiest(&whole, passing);
    }
    let parts = free(PART, taken);
    if parts.len() > KEPT_PARTS {
        return steadiest(&of_begun(&parts, WHOLE, &whole), passing);
    }
    steadiest(&of_begun(&free(CRUMB, taken), PART, &parts), passing)
}

/// All blocks of a size, cut from the beginning, that nobody has a number of.
fn free(size: u16, taken: &[Ports]) -> Vec<Ports> {
    (FIRST_PORT..=LAST_PORT)
        .step_by(usize::from(size))
        .map(|first| Ports {
            first,
            last: first + (size - 1),
        })
        .filter(|block| !taken.iter().any(|other| other.overlaps(*block)))
        .collect()
}

/// Those of a bigger block of which something is given already; all when there are none, so that no bigger block is begun too early.
fn of_begun(small: &[Ports], bigger: u16, free_bigger: &[Ports]) -> Vec<Ports> {
    let is_begun = |block: &&Ports| {
        let first = block.first - (block.first - FIRST_PORT) % bigger;
        !free_bigger.iter().any(|other| other.first == first)
    };
    let begun: Vec<Ports> = small.iter().filter(is_begun).copied().collect();
    if begun.is_empty() { small.to_vec() } else { begun }
}

/// The first without a passing number, else the first.
fn steadiest(blocks: &[Ports], passing: Option<Ports>) -> Option<Ports> {
    let steady = |block: &&Ports| !passing.is_some_and(|passing| passing.overlaps(**block));
    blocks.iter().find(steady).or(blocks.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux has unless somebody changed it.
    const PASSING: Option<Ports> = Some(Ports {
        first: 32_768,
        last: 60_999,
    });

    fn ports(first: u16, last: u16) -> Ports {
        Ports { first, last }
    }

    #[test]
    fn blocks_of_the_first_projects() {
        let mut taken = Vec::new();
        for first in [10_000, 11_000, 12_000] {
            let block = block(&taken, PASSING).unwrap();
            assert_eq!(block, ports(first, first + 999));
            taken.push(block);
        }
        taken.remove(1);
        assert_eq!(
            block(&taken, PASSING),
            Some(ports(11_000, 11_999)),
            "given back, given again"
        );
    }

    #[test]
    fn many_projects_never_share_and_passing_numbers_come_last() {
        let mut taken: Vec<Ports> = Vec::new();
        while let Some(block) = block(&taken, PASSING) {
            assert!(!taken.iter().any(|other| other.overlaps(block)), "{block}");
            assert!((FIRST_PORT..=LAST_PORT).contains(&block.first) && block.last <= LAST_PORT);
            taken.push(block);
        }
        let count = |size: u16| {
            taken
                .iter()
                .filter(|block| block.last - block.first + 1 == size)
                .count()
        };
        assert_eq!((count(WHOLE), count(PART), count(CRUMB)), (30, 160, 200));
        let passing: Vec<bool> = taken
            .iter()
            .take(30)
            .map(|block| block.overlaps(PASSING.unwrap()))
            .collect();
        assert_eq!(passing.iter().position(|passing| *passing), Some(22), "{passing:?}");
        assert!(passing[22..].iter().all(|passing| *passing));
    }

    #[test]
    fn a_block_that_is_begun_is_used_up_first() {
        let mut taken: Vec<Ports> = (0..30)
            .map(|index| ports(10_000 + index * 1000, 10_999 + index * 1000))
            .collect();
        let first = block(&taken, None).unwrap();
        assert_eq!(first, ports(40_000, 40_099));
        taken.push(first);
        assert_eq!(block(&taken, None), Some(ports(40_100, 40_199)));
        // A whole one came back: it stays whole, for there are no more than are kept.
        taken.remove(0);
        assert_eq!(block(&taken, None), Some(ports(40_100, 40_199)));
    }

    #[test]
    fn text() {
        assert_eq!(ports(10_000, 10_999).to_string(), "10000-10999");
        assert_eq!(ports(7, 9).numbers().collect::<Vec<_>>(), [7, 8, 9]);
    }
}
