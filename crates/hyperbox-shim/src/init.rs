// SPDX-License-Identifier: MIT
//! Puts a small init before a container's command, for any runtime: as Docker does, by mounting a program into the container.
//!
//! The program lies in the run directory while the container lives and goes with it; the container sees it read-only.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hyperbox_sys::init::PROGRAM;
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::ShimError;
use oci_spec::runtime::{MountBuilder, Spec};

use crate::failure::{chained, failure, system};
use crate::run_directory::RunDirectory;

/// Where a container finds it: the name by which users know it from Docker.
const INSIDE: &str = "/sbin/docker-init";

/// Name in the run directory.
const FILE: &str = "init";

/// Writes the program and changes the specification.
pub(crate) fn put_before(spec: &mut Spec, directory: &RunDirectory) -> Result<(), ShimError> {
    if PROGRAM.is_empty() {
        let message = "--init is not available on this architecture";
        return Err(failure(ErrorKind::Unsupported, message));
    }
    let path = directory.path().join(FILE);
    write(&path).map_err(|error| system(&format!("cannot write {}", path.display()), error))?;
    // Run directories are on file systems that forbid to execute, on some machines.
    let options = ["bind", "ro", "exec"].map(str::to_owned).to_vec();
    let mount = MountBuilder::default()
        .destination(INSIDE)
        .typ("bind")
        .source(path)
        .options(options)
        .build()
        .map_err(|error| chained(ErrorKind::Internal, &error))?;
    spec.mounts_mut().get_or_insert_with(Vec::new).push(mount);
    if let Some(process) = spec.process_mut() {
        let command = process.args().clone().unwrap_or_default();
        let whole = [INSIDE, "--"].map(str::to_owned).into_iter().chain(command);
        process.set_args(Some(whole.collect()));
    }
    Ok(())
}

fn write(path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    // Whatever the umask was: any user of the container executes it.
    file.set_permissions(PermissionsExt::from_mode(0o755))?;
    file.write_all(PROGRAM)
}
