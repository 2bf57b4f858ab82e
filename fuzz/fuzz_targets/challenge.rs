// SPDX-License-Identifier: MIT
//! `WWW-Authenticate` headers: any text is survived, and what comes out is bounded by what went in.
#![no_main]

use hyperbox_registry::parse_challenges;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let challenges = parse_challenges(header);
    let values = challenges.iter().flat_map(|challenge| challenge.parameters.values());
    assert!(values.map(String::len).sum::<usize>() <= header.len());
});
