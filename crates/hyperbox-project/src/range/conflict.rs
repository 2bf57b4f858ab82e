// SPDX-License-Identifier: MIT
//! A port that cannot be had.

use std::fmt;

use super::{Holder, PortWish, Wanted};

/// A fixed port that somebody else has, and one that could be taken instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What was wished.
    pub wish: PortWish,
    /// Who has it; of a range, who has its first number.
    pub holder: Holder,
    /// A number of the project's that is free; `None` when it has none left.
    pub alternative: Option<u16>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.wish.key;
        let protocol = &key.protocol;
        match self.wish.wanted {
            Wanted::One(number) => write!(formatter, "port {number}/{protocol}")?,
            Wanted::Among(ports) => write!(formatter, "each of the ports {ports}/{protocol}")?,
            Wanted::Any => write!(formatter, "a port for {}/{protocol}", key.target)?,
        }
        write!(
            formatter,
            " of the host, which service {} wants, is held by {}",
            key.service, self.holder
        )?;
        match self.alternative {
            Some(number) => write!(formatter, "; {number} is free"),
            None => Ok(()),
        }
    }
}
