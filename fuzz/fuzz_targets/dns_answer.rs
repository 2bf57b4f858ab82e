// SPDX-License-Identifier: MIT
//! Answers of name servers: no panic, and only what answers the question is passed on, within the client's size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hyperbox_dns::fuzzing::answer(bytes));
