// SPDX-License-Identifier: MIT
//! Compiles `init/init.rs`, a program of its own that is carried along as bytes: see `src/init.rs`.
//!
//! It is compiled by hand because it needs what a Cargo profile cannot give to one target: no standard library, no C library, no
//! unwinding. Only `rustc` and the linker that this build uses anyway are needed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const OPTIONS: [&str; 10] = [
    "--edition=2024",
    "--crate-type=bin",
    "--crate-name=init",
    "-Copt-level=s",
    "-Cpanic=abort",
    "-Cstrip=symbols",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
];

fn main() {
    println!("cargo::rerun-if-changed=init/init.rs");
    let variable = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("Cargo sets {name}"));
    let program = PathBuf::from(variable("OUT_DIR")).join("init");
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    if architecture != "x86_64" && architecture != "aarch64" {
        // An empty program stands for none: its system calls are written for these two.
        std::fs::write(&program, "").expect("OUT_DIR is writable");
        return;
    }
    let mut compile = Command::new(variable("RUSTC"));
    compile.args(OPTIONS).arg("--target").arg(variable("TARGET"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("-Clinker=");
        option.push(linker);
        compile.arg(option);
    }
    let status = compile.arg("init/init.rs").arg("-o").arg(&program).status();
    let status = status.expect("rustc can be executed");
    assert!(status.success(), "the init program cannot be compiled: {status}");
}
