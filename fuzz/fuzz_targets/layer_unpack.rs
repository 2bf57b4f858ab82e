// SPDX-License-Identifier: MIT
//! Unpacks arbitrary tar archives and proves that nothing outside the directory changed.
//!
//! The checksum of every header is made right first, so that the fuzzer is not stopped by it.
#![no_main]

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hyperbox_snapshot::{Limits, unpack_into};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| {
    let mut archive = data.to_vec();
    repair_checksums(&mut archive);
    let outer = tempfile::tempdir().expect("a temporary directory");
    let root = outer.path().join("root");
    fs::create_dir(&root).expect("the directory to unpack into");
    fs::write(outer.path().join("precious"), "untouched").expect("the file to guard");
    let before = guarded(outer.path());
    let directory = fs::File::open(&root).expect("the directory to unpack into");
    let limits = Limits {
        stream: 1 << 20,
        entries: 200,
        names: 1 << 16,
    };
    drop(unpack_into(directory.into(), Cursor::new(archive), &limits));
    assert_eq!(guarded(outer.path()), before, "something outside of the layer changed");
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
        let size = header
            .entry_size()
            .ok()
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(0);
        let Some(next) = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|size| size.checked_add(at + BLOCK))
        else {
            break;
        };
        at = next;
    }
}

fn guarded(outer: &Path) -> (Vec<u8>, u64, u32, u32, i64, usize) {
    let precious = outer.join("precious");
    let metadata = fs::symlink_metadata(&precious).expect("the guarded file");
    let names = fs::read_dir(outer).expect("the outer directory").count();
    let content = fs::read(&precious).expect("the guarded file");
    (
        content,
        metadata.nlink(),
        metadata.mode(),
        metadata.uid(),
        metadata.mtime_nsec(),
        names,
    )
}
