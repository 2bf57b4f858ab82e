// SPDX-License-Identifier: MIT
//! DNS messages (RFC 1035 §4, RFC 6891).
//!
//! A question is read as far as it concerns us and forwarded as it came, byte for byte: record types and options that nobody here knows
//! pass. Foreign answers are walked for their structure and never decoded further. No function here panics on any input.

mod answer;
mod layout;
mod question;
mod relay;

pub(crate) use answer::{Contents, encode, refuse};
pub(crate) use layout::shorten;
pub(crate) use question::{Question, Reading, Transport, read};
pub(crate) use relay::{Verdict, judge};
