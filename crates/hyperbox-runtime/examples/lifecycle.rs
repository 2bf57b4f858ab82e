// SPDX-License-Identifier: MIT
//! Measures the runtime alone: `cargo run --release -p hyperbox-runtime --example lifecycle -- ROOTFS [COUNT] [SPEC.json]`.
//!
//! ROOTFS is a directory with `/bin/true`; it becomes the lower layer of an overlay in a temporary directory beside it. Prints
//! the medians of what a container costs, in microseconds.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyperbox_runtime::{StartRequest, StdioPlan, prepare_launcher, start};
use hyperbox_types::shim::UserSpec;
use hyperbox_types::{RootMount, WritableLayer};
use rustix::process::{WaitId, WaitIdOptions, waitid};

#[expect(clippy::print_stdout, reason = "a measuring program prints its measurements")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let lower = PathBuf::from(arguments.get(1).ok_or("usage: lifecycle ROOTFS [COUNT] [SPEC.json]")?);
    let count: usize = arguments.get(2).map_or(Ok(50), |text| text.parse())?;
    let specification: serde_json::Value = match arguments.get(3) {
        Some(file) => serde_json::from_slice(&std::fs::read(file)?)?,
        None => serde_json::json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/bin/true"], "cwd": "/" },
            "linux": { "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }] }
        }),
    };
    let launcher = std::env::var_os("NO_LAUNCHER").is_none().then(prepare_launcher);
    let mut times: [Vec<Duration>; 4] = Default::default();
    for number in 0..count {
        for (list, time) in times.iter_mut().zip(once(&lower, &specification, number)?) {
            list.push(time);
        }
    }
    for (name, list) in ["start", "exit", "drop", "remove cgroups"].iter().zip(&mut times) {
        list.sort();
        println!(
            "{name:>15}: median {:>6} µs, best {:>6}, worst {:>6}",
            list[count / 2].as_micros(),
            list[0].as_micros(),
            list[count - 1].as_micros()
        );
    }
    drop(launcher);
    Ok(())
}

fn once(
    lower: &Path,
    specification: &serde_json::Value,
    number: usize,
) -> Result<[Duration; 4], Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir_in(lower.parent().unwrap_or(lower))?;
    let (upper, work) = (scratch.path().join("upper"), scratch.path().join("work"));
    std::fs::create_dir(&upper)?;
    std::fs::create_dir(&work)?;
    let mut specification = specification.clone();
    specification["linux"]["cgroupsPath"] = format!("/hyperbox-lifecycle-{}-{number}", std::process::id()).into();
    let null = || {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map(OwnedFd::from)
    };
    let request = StartRequest {
        spec: serde_json::from_value(specification)?,
        rootfs: RootMount::Overlay {
            lower: vec![lower.to_owned()],
            writable: Some(WritableLayer {
                upper,
                work,
                volatile: false,
            }),
        },
        user: UserSpec::default(),
        stdio: StdioPlan::Streams {
            stdin: null()?,
            stdout: null()?,
            stderr: null()?,
        },
        network_namespace: None,
        filter: None,
    };
    let begin = Instant::now();
    let container = start(request)?;
    let started = begin.elapsed();
    waitid(WaitId::PidFd(container.pidfd()), WaitIdOptions::EXITED)?;
    let ended = begin.elapsed();
    let cgroups = container.cgroups().clone();
    drop(container);
    let dropped = begin.elapsed();
    cgroups.remove()?;
    let removed = begin.elapsed();
    Ok([started, ended - started, dropped - ended, removed - dropped])
}
