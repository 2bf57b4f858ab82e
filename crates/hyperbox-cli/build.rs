// SPDX-License-Identifier: MIT
//! Links `hb` so that it starts quickly: with the unwinder inside, where there is one to link, and at a fixed address.
//!
//! The standard library asks for `libgcc_s.so`: another library to find, map, relocate and look up symbols in, at each start of a
//! program that runs for a millisecond. GCC ships the same code as an archive (`libgcc_eh.a`, under the runtime library exception),
//! which is taken where the linker finds it first.
//!
//! At a fixed address no pointer of the program has to be relocated at its start, which writes to, and so copies, every page that holds
//! one. Its libraries, stack and heap still have addresses of their own each time. `hb` is a client; the daemon and the shim, which
//! others talk to, are linked as usual.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let native = std::env::var("TARGET").ok() == std::env::var("HOST").ok();
    if !(is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu")) {
        return;
    }
    println!("cargo:rustc-link-arg-bin=hb=-no-pie");
    if native && has_archive() {
        println!("cargo:rustc-link-lib=gcc_eh");
    }
}

/// Asks the compiler that links for the archive: it answers with a path, or with the bare name when it has none.
fn has_archive() -> bool {
    let asked = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output();
    asked.is_ok_and(|answer| {
        let path = String::from_utf8_lossy(&answer.stdout);
        Path::new(path.trim()).is_absolute()
    })
}
