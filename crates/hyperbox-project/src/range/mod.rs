// SPDX-License-Identifier: MIT
//! What a project has for itself: numbers of the host's ports, subnets, names of bridges and of its control group. Pure.
//!
//! Nothing here is a guess from a hash: everything is chosen among what is free, written down in an [`Allotment`], kept until the
//! project is removed, and reused afterwards. So two projects never have a number in common, however many there are, and a number that
//! was given is the same at each start.
//!
//! - [`block`](block()) gives out blocks of ports; [`subnet`](subnet()) subnets; [`bridge_name`] and [`group_name`] names.
//! - [`PortWish`]es are what containers want; [`settle`](settle()) decides each of them: fixed numbers as they are, others from the
//!   project's blocks. What cannot be had is a [`Conflict`], which names the holder and a number that is free.
//!
//! Whether a number is free is only known to whoever binds it, so what is decided here may still be refused when the container
//! starts; the caller says what is bound now ([`Bound`]), and holds off others while it starts what it settled.

mod allotment;
mod block;
mod bound;
mod bridge;
mod conflict;
mod group;
mod settle;
mod subnet;
mod wish;

pub use allotment::{Allotment, Assignment};
pub use block::{FIRST_PORT, LAST_PORT, Ports, WHOLE, block};
pub use bound::{Bound, Holder};
pub use bridge::bridge_name;
pub use conflict::Conflict;
pub use group::group_name;
pub use settle::{Remapped, Settled, settle};
pub use subnet::{overlap, subnet};
pub(crate) use wish::wanted;
pub use wish::{PortKey, PortWish, Wanted};
