// SPDX-License-Identifier: MIT
//! A look at our table, and what it says about it.
//!
//! It lists every set, so it costs the more the more networks and ports there are. What it has found stays true as long as nobody else makes
//! a transaction: the kernel counts all of them, and we count our own ([`Known`]). So changes of ours need no look.

use std::collections::BTreeSet;
use std::io;

use crate::netlink::{Attributes, Socket};

use super::change::{elements, has_our_rules};
use super::element::Element;
use super::message::{FAMILY_UNSPECIFIED, STRUCTURE, Verb, message};

/// What to make of elements that are not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strange {
    /// They stay until networks and ports have been adopted.
    MayBeAdopted,
    /// They go.
    Removed,
}

/// What a look has found.
#[derive(Debug)]
pub(super) struct Look {
    /// What is in all sets; none if one of them is missing.
    pub(super) present: Option<BTreeSet<Element>>,
    has_our_rules: bool,
    /// Unset if somebody made a transaction meanwhile.
    generation: Option<u32>,
}

impl Look {
    /// Looks at a table. Blocks for a few exchanges with the kernel for each set.
    pub(super) fn take(socket: &mut Socket, table: &str) -> io::Result<Self> {
        let before = generation(socket)?;
        let present = elements(socket, table)?;
        let has_our_rules = present.is_some() && has_our_rules(socket, table)?;
        let after = generation(socket)?;
        Ok(Self {
            present,
            has_our_rules,
            generation: (before == after).then_some(after),
        })
    }

    /// Returns whether it is as it should be: with these elements, or absent when there are none.
    pub(super) fn agrees(&self, wanted: &BTreeSet<Element>, strange: Strange) -> bool {
        let Some(present) = &self.present else {
            return wanted.is_empty();
        };
        match strange {
            Strange::MayBeAdopted if wanted.is_empty() => true,
            Strange::MayBeAdopted => self.has_our_rules && present.is_superset(wanted),
            Strange::Removed => self.has_our_rules && !wanted.is_empty() && present == wanted,
        }
    }

    /// Returns what is known once the table agrees, when our own transactions behind the look begin with number `batches`.
    pub(super) fn known(&self, batches: u32, strange: Strange) -> Option<Known> {
        let offset = self.generation?.wrapping_sub(batches);
        Some(Known { offset, strange })
    }
}

/// That the table is as wanted, as long as all transactions of the machine are those of our socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// The kernel's count of transactions less ours.
    offset: u32,
    /// Elements that are not wanted may be there.
    strange: Strange,
}

impl Known {
    /// Returns whether it is still so. `generation` is the kernel's count, `batches` ours.
    fn holds(self, generation: u32, batches: u32, strange: Strange) -> bool {
        let enough = strange == Strange::MayBeAdopted || self.strange == Strange::Removed;
        enough && generation == self.offset.wrapping_add(batches)
    }

    /// Asks the kernel whether it is still so.
    pub(super) fn still_holds(self, socket: &mut Socket, strange: Strange) -> io::Result<bool> {
        let generation = generation(socket)?;
        Ok(self.holds(generation, socket.batches(), strange))
    }
}

/// Returns how many transactions the network namespace has seen (`NFTA_GEN_ID`), modulo 2³² and without zero: what is known is then looked at
/// once more.
fn generation(socket: &mut Socket) -> io::Result<u32> {
    let body = socket.query(message(Verb::GetGeneration, FAMILY_UNSPECIFIED, 0))?;
    let number = Attributes::after(&body, STRUCTURE).find(1);
    let number = number.and_then(|bytes| bytes.try_into().ok());
    number
        .map(u32::from_be_bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the kernel does not count its transactions"))
}

#[cfg(test)]
mod tests {
    use super::Strange::{MayBeAdopted, Removed};
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Element> {
        let elements = names.iter().map(|name| Element::of_names("bridges", &[name]));
        elements.collect()
    }

    fn look(present: Option<&[&str]>, has_our_rules: bool) -> Look {
        Look {
            present: present.map(set),
            has_our_rules,
            generation: Some(7),
        }
    }

    #[test]
    fn what_a_look_says() {
        for (present, rules, wanted, tolerant, strict) in [
            (None, false, &[][..], true, true),
            (None, false, &["a"], false, false),
            (Some(&[][..]), true, &[], true, false),
            (Some(&["a"]), true, &[], true, false),
            (Some(&["a"]), true, &["a"], true, true),
            (Some(&["a", "b"]), true, &["a"], true, false),
            (Some(&["b"]), true, &["a"], false, false),
            (Some(&["a"]), false, &["a"], false, false),
        ] {
            let look = look(present, rules);
            let wanted = set(wanted);
            assert_eq!(look.agrees(&wanted, MayBeAdopted), tolerant, "{look:?} {wanted:?}");
            assert_eq!(look.agrees(&wanted, Removed), strict, "{look:?} {wanted:?}");
        }
    }

    #[test]
    fn what_is_known_ends_with_a_transaction_of_somebody_else() {
        // (generation now, our transactions now, known for, asked for)
        for (generation, batches, known, asked, expected) in [
            (7, 3, Removed, Removed, true),
            (9, 5, Removed, MayBeAdopted, true),
            (9, 4, Removed, Removed, false),
            (7, 3, MayBeAdopted, MayBeAdopted, true),
            (7, 3, MayBeAdopted, Removed, false),
        ] {
            let known = look(None, true).known(3, known).unwrap();
            assert_eq!(
                known.holds(generation, batches, asked),
                expected,
                "{generation} {batches}"
            );
        }
        let mut interrupted = look(None, true);
        interrupted.generation = None;
        assert_eq!(interrupted.known(3, Removed), None);
    }
}
