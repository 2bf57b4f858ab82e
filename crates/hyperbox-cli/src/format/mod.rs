// SPDX-License-Identifier: MIT
//! How results look: tables, `--format`, sizes, times, indented JSON.

mod human;
mod json;
mod natural;
mod table;

pub(crate) use human::{ago, decimal_size, local_time, three_digits};
pub(crate) use json::indent;
pub(crate) use natural::natural;
pub(crate) use table::{List, align_wide, ellipsis};
