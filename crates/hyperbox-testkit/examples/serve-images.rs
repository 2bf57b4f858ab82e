// SPDX-License-Identifier: MIT
//! Serves the large image from a `docker-registry` on loopback until standard input ends.
//!
//! Prints `COMPRESSION IMAGE` for each kind, then an empty line. Used by `cargo xtask bench pull`.

#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};

use hyperbox_core::seam::Compression;
use hyperbox_testkit::images::{LayoutOptions, large};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};

fn main() -> std::io::Result<()> {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let mut output = std::io::stdout().lock();
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let options = LayoutOptions {
            compression,
            ..LayoutOptions::default()
        };
        let image = registry.add(&format!("large/{name}:latest"), &large(options));
        writeln!(output, "{name} {image}")?;
    }
    writeln!(output)?;
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
