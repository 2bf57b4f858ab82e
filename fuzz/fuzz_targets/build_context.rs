// SPDX-License-Identifier: MIT
//! Reads arbitrary archives as contexts of builds and proves that no entry leads out and nothing outside changed.
//!
//! The checksum of every header is made right first, so that the fuzzer is not stopped by it.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| {
    let mut archive = data.to_vec();
    if !matches!(data, [0x1f, 0x8b, ..] | [b'B', b'Z', ..] | [0xfd, b'7', ..] | [0x28, 0xb5, ..]) {
        repair_checksums(&mut archive);
    }
    let outer = tempfile::tempdir().expect("a temporary directory");
    let precious = outer.path().join("precious");
    fs::write(&precious, "untouched").expect("the file to guard");
    hyperbox_build::context::fuzzing::archive(&archive, &outer.path().join("scratch"));
    assert_eq!(fs::read(&precious).expect("the guarded file"), b"untouched");
    assert_eq!(fs::read_dir(outer.path()).expect("the outer directory").count(), 2);
});

/// Goes through the archive as a reader does.
fn repair_checksums(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = archive.get_mut(at..at + BLOCK) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        if block.iter().any(|byte| *byte != 0) {
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        let after = size.unwrap_or(0).checked_next_multiple_of(BLOCK);
        let Some(next) = after.and_then(|size| size.checked_add(at + BLOCK)) else {
            break;
        };
        at = next;
    }
}
