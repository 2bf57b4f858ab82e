// SPDX-License-Identifier: MIT
//! Archives that people bring, compressed in any way: no panic, no memory beyond what the decoders bound, and the same bytes whoever
//! asks for how much at once.
#![no_main]

use std::io::Read;

use hyperbox_core::image::compression::{Packing, unpacked};
use libfuzzer_sys::fuzz_target;

/// A small archive may hold much: reading stops here.
const LIMIT: u64 = 1 << 20;

fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let Ok(reader) = unpacked(Packing::detect(bytes), bytes) else {
        return (text, false);
    };
    let mut reader = reader.take(LIMIT);
    let mut buffer = vec![0; piece];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (text, true),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(_) => return (text, false),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (text, whole) = read(bytes, 64 * 1024);
    let (again, whole_again) = read(bytes, 1000);
    assert_eq!(whole, whole_again);
    if whole {
        assert!(text == again);
    }
});
