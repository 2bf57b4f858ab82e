// SPDX-License-Identifier: MIT
//! Serves images for measuring from a `docker-registry` on loopback until standard input ends.
//!
//! Arguments say which: `LAYERSxFILES` for 100 MB spread over them, `versions` for ten versions of an application; none for the large
//! image. Prints `KIND IMAGE FILE,FILE…` for each, the files being the blobs of its layers, then an empty line. Used by
//! `cargo xtask bench`.

#![forbid(unsafe_code)]

use std::io::{self, Read as _, Write as _};

use hyperbox_core::seam::Compression;
use hyperbox_testkit::images::{Layout, LayoutOptions, large, spread, version};
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess};

const COMPRESSIONS: [(&str, Compression); 2] = [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];

fn main() -> io::Result<()> {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut output = io::stdout().lock();
    for (kind, image, layout) in serve(&registry, &wanted)? {
        let blobs = layout
            .layers
            .iter()
            .map(|layer| layout.blob(&layer.digest).display().to_string());
        writeln!(output, "{kind} {image} {}", blobs.collect::<Vec<_>>().join(","))?;
    }
    writeln!(output)?;
    output.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve(registry: &LocalRegistry, wanted: &[String]) -> io::Result<Vec<(String, String, Layout)>> {
    let mut served = Vec::new();
    if wanted.is_empty() {
        for (name, compression) in COMPRESSIONS {
            let layout = large(options(compression));
            let image = registry.add(&format!("large/{name}:latest"), &layout);
            served.push((format!("{name}-250MB"), image, layout));
        }
    }
    for word in wanted {
        if word == "versions" {
            for number in 0..10 {
                let layout = version(number, options(Compression::Gzip));
                let image = registry.add(&format!("application:{number}"), &layout);
                served.push((format!("version-{number}"), image, layout));
            }
            continue;
        }
        let numbers = word.split_once('x').and_then(|(layers, files)| {
            let (layers, files) = (layers.parse::<u64>().ok()?, files.parse::<u64>().ok()?);
            (layers > 0 && files > 0).then_some((layers, files))
        });
        let Some((layers, files)) = numbers else {
            return Err(io::Error::other(format!("{word}: neither LAYERSxFILES nor versions")));
        };
        for (name, compression) in COMPRESSIONS {
            let layout = spread(layers, files, options(compression));
            let image = registry.add(&format!("spread-{word}/{name}:latest"), &layout);
            served.push((format!("{name}-{word}"), image, layout));
        }
    }
    Ok(served)
}

fn options(compression: Compression) -> LayoutOptions {
    LayoutOptions {
        compression,
        ..LayoutOptions::default()
    }
}
