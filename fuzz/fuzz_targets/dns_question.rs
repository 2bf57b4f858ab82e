// SPDX-License-Identifier: MIT
//! Questions of containers: no panic, and every answer is a message that the client can take.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hyperbox_dns::fuzzing::question(bytes));
