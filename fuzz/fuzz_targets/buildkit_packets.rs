// SPDX-License-Identifier: MIT
//! Receives arbitrary packets as a context from a client of BuildKit's API, and proves that no entry leads out and nothing outside
//! changed.
#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let outer = tempfile::tempdir().expect("a temporary directory");
    let precious = outer.path().join("precious");
    fs::write(&precious, "untouched").expect("the file to guard");
    hyperbox_buildkit::fuzzing::packets(data, &outer.path().join("contexts"));
    assert_eq!(fs::read(&precious).expect("the guarded file"), b"untouched");
    assert_eq!(fs::read_dir(outer.path()).expect("the outer directory").count(), 2);
});
