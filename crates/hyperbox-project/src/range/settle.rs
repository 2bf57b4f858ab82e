// SPDX-License-Identifier: MIT
//! Deciding which number of the host each wished port gets.
//!
//! - A number that was given stays, as long as nobody else has bound it.
//! - Fixed numbers are as they are written. Where somebody else has one, it is a conflict; with the leave to remap, or when it was
//!   remapped before, the port has a number of the project's instead until the fixed one is free again.
//! - Any other port gets the lowest number of the project's blocks that is nobody's: never one that another port of the project has,
//!   whatever its protocol or address.

use std::collections::{BTreeMap, BTreeSet};

use super::bound::collide;
use super::{Allotment, Bound, Conflict, Holder, PortKey, PortWish, Ports, Wanted};

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The number of each port; ports that are not in it are left to the engine: those wished among a range, and those for which the
    /// project has no number left.
    pub ports: BTreeMap<PortKey, u16>,
    /// Those that have another number than was wished.
    pub remapped: Vec<Remapped>,
}

/// A port that has another number than was wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remapped {
    /// What was wished.
    pub wish: PortWish,
    /// Who has that.
    pub holder: Holder,
    /// The number instead.
    pub host_port: u16,
}

/// Decides all wishes of one project. `bound` is what is bound on the host, by the project's own containers too, of which those named in
/// `going` give it up before anybody else needs it; `more` gives the project another block.
///
/// # Errors
/// All conflicts, without leave to `remap` them; nothing is changed then.
pub fn settle(
    going: &BTreeSet<String>,
    allotment: &Allotment,
    wishes: &[PortWish],
    bound: &[Bound],
    remap: bool,
    more: &mut dyn FnMut(&[Ports]) -> Option<Ports>,
) -> Result<(Allotment, Settled), Vec<Conflict>> {
    let mut settling = Settling::new(going, allotment, wishes, bound, more);
    let mut conflicts = Vec::new();
    for wish in wishes {
        let Some(holder) = settling.obstacle(wish) else {
            continue;
        };
        let kept = settling.kept(&wish.key);
        let Some(host_port) = kept.or_else(|| settling.choose()) else {
            conflicts.push(conflict(wish, holder, None));
            continue;
        };
        settling.used.insert(host_port);
        if kept.is_some() || remap {
            settling.remap(wish, holder, host_port);
        } else {
            conflicts.push(conflict(wish, holder, Some(host_port)));
        }
    }
    if conflicts.is_empty() {
        Ok((settling.allotment, settling.settled))
    } else {
        Err(conflicts)
    }
}

fn conflict(wish: &PortWish, holder: Holder, alternative: Option<u16>) -> Conflict {
    Conflict {
        wish: wish.clone(),
        holder,
        alternative,
    }
}

/// What a project has, in the words of now: a record of an earlier version does not tell by the written number which port a number was
/// given for. It is the one's that is written, unless there is one that leaves it open.
fn adopted(allotment: &Allotment, wishes: &[PortWish]) -> Allotment {
    let mut allotment = allotment.clone();
    for wish in wishes.iter().filter(|wish| !wish.key.published.is_empty()) {
        let open = PortKey {
            published: String::new(),
            ..wish.key.clone()
        };
        if let Some(number) = allotment.assigned(&open)
            && allotment.assigned(&wish.key).is_none()
            && !wishes.iter().any(|other| other.key == open)
        {
            allotment.forget(&open);
            allotment.assign(&wish.key, number);
        }
    }
    allotment
}

/// A decision in the making.
struct Settling<'a> {
    going: &'a BTreeSet<String>,
    allotment: Allotment,
    wishes: &'a [PortWish],
    bound: &'a [Bound],
    more: &'a mut dyn FnMut(&[Ports]) -> Option<Ports>,
    settled: Settled,
    /// Numbers that no port may be given any more.
    used: BTreeSet<u16>,
    /// Fixed numbers and those that the engine will take of a range, with who wishes them.
    fixed: Vec<(PortKey, u16)>,
}

impl<'a> Settling<'a> {
    fn new(
        going: &'a BTreeSet<String>,
        allotment: &Allotment,
        wishes: &'a [PortWish],
        bound: &'a [Bound],
        more: &'a mut dyn FnMut(&[Ports]) -> Option<Ports>,
    ) -> Self {
        // What anybody has bound is not given anew; what is written down as fixed is not given to others.
        let mut used: BTreeSet<u16> = bound.iter().map(|bound| bound.port).collect();
        used.extend(allotment.ports.iter().map(|assignment| assignment.host_port));
        for wish in wishes {
            match wish.wanted {
                Wanted::One(number) => used.extend([number]),
                Wanted::Among(ports) => used.extend(ports.numbers()),
                Wanted::Any => {}
            }
        }
        Self {
            going,
            allotment: adopted(allotment, wishes),
            wishes,
            bound,
            more,
            settled: Settled::default(),
            used,
            fixed: Vec::new(),
        }
    }

    /// Settles a wish, or says who is in the way of a fixed one.
    fn obstacle(&mut self, wish: &PortWish) -> Option<Holder> {
        match wish.wanted {
            Wanted::Any => {
                self.any(&wish.key);
                None
            }
            Wanted::One(number) => {
                let holder = self.holder(&wish.key, number);
                if holder.is_none() {
                    self.fix(&wish.key, number);
                    self.settled.ports.insert(wish.key.clone(), number);
                }
                holder
            }
            Wanted::Among(ports) => {
                let free = ports.numbers().find(|number| self.holder(&wish.key, *number).is_none());
                match free {
                    Some(number) => {
                        self.fix(&wish.key, number);
                        None
                    }
                    None => self.holder(&wish.key, ports.first),
                }
            }
        }
    }

    fn fix(&mut self, key: &PortKey, number: u16) {
        self.allotment.forget(key);
        self.fixed.push((key.clone(), number));
    }

    fn any(&mut self, key: &PortKey) {
        if let Some(number) = self.kept(key).or_else(|| self.choose()) {
            self.used.insert(number);
            self.allotment.assign(key, number);
            self.settled.ports.insert(key.clone(), number);
        }
    }

    /// The number that a port was given, unless somebody else has it now or has it written.
    fn kept(&self, key: &PortKey) -> Option<u16> {
        let number = self.allotment.assigned(key)?;
        let written = self.wishes.iter().any(|wish| match wish.wanted {
            Wanted::One(fixed) => fixed == number,
            Wanted::Among(ports) => ports.contains(number),
            Wanted::Any => false,
        });
        if written {
            return None;
        }
        let mut hiding = self.staying(key, number);
        (self.allotment.contains(number) && hiding.next().is_none()).then_some(number)
    }

    /// Whoever has a number and does not go before a port gets it.
    fn staying(&self, key: &PortKey, number: u16) -> impl Iterator<Item = &'a Bound> {
        let going = self.going;
        let others = self.bound.iter().filter(|bound| !bound.is_held_by(going));
        others.filter(move |bound| bound.hides(&key.protocol, &key.address, number))
    }

    /// Who keeps a port from having a number.
    fn holder(&self, key: &PortKey, number: u16) -> Option<Holder> {
        if let Some(bound) = self.staying(key, number).next() {
            return Some(bound.holder.clone());
        }
        let hides = |other: &PortKey| {
            let address = other.address.parse();
            other.protocol == key.protocol && address.map_or(true, |address| collide(address, &key.address))
        };
        let twice = self
            .fixed
            .iter()
            .find(|(other, taken)| *taken == number && hides(other));
        twice.map(|(other, _)| Holder::Twice {
            service: other.service.clone(),
            number: other.number,
        })
    }

    /// The lowest number that is nobody's: first of the blocks there are, then of another block, then of those kept for what is not
    /// wished now.
    fn choose(&mut self) -> Option<u16> {
        if let Some(number) = self.free() {
            return Some(number);
        }
        match (self.more)(&self.allotment.ranges) {
            Some(range) => self.allotment.ranges.push(range),
            None => self.forget_unwished(),
        }
        self.free()
    }

    fn free(&self) -> Option<u16> {
        let numbers = self.allotment.ranges.iter().flat_map(|range| range.numbers());
        numbers.into_iter().find(|number| !self.used.contains(number))
    }

    fn forget_unwished(&mut self) {
        let wished: BTreeSet<&PortKey> = self.wishes.iter().map(|wish| &wish.key).collect();
        let bound: BTreeSet<u16> = self.bound.iter().map(|bound| bound.port).collect();
        for assignment in std::mem::take(&mut self.allotment.ports) {
            if wished.contains(&assignment.key) || bound.contains(&assignment.host_port) {
                self.allotment.ports.push(assignment);
            } else {
                self.used.remove(&assignment.host_port);
            }
        }
        // A fixed number that was also kept for somebody is still fixed.
        for wish in self.wishes {
            if let Wanted::One(number) = wish.wanted {
                self.used.insert(number);
            }
        }
    }

    fn remap(&mut self, wish: &PortWish, holder: Holder, host_port: u16) {
        self.allotment.assign(&wish.key, host_port);
        self.settled.ports.insert(wish.key.clone(), host_port);
        self.settled.remapped.push(Remapped {
            wish: wish.clone(),
            holder,
            host_port,
        });
    }
}
