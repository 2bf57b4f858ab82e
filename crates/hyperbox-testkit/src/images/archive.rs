// SPDX-License-Identifier: MIT
//! Image archives: one file that `docker load` reads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use hyperbox_core::seam::Compression;
use serde_json::json;

use super::layout::Layout;

/// The two formats of image archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// The layout's directory as a tar, with `index.json`.
    Oci,
    /// `manifest.json` with uncompressed layers, as `docker save` wrote it before version 25.
    Docker,
}

impl Layout {
    /// Writes the image into one file, the archive as a whole compressed as wished.
    ///
    /// # Errors
    /// What the filesystem says.
    pub fn write_archive(
        &self,
        target: &Path,
        kind: ArchiveKind,
        tags: &[&str],
        compression: Compression,
    ) -> io::Result<()> {
        let file = io::BufWriter::new(File::create(target)?);
        match compression {
            Compression::None => self.write(kind, tags, file)?.flush(),
            Compression::Gzip => {
                let encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
                self.write(kind, tags, encoder)?.finish()?.flush()
            }
            Compression::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(file, 1)?;
                self.write(kind, tags, encoder)?.finish()?.flush()
            }
        }
    }

    fn write<W: Write>(&self, kind: ArchiveKind, tags: &[&str], writer: W) -> io::Result<W> {
        let mut builder = tar::Builder::new(writer);
        builder.mode(tar::HeaderMode::Deterministic);
        match kind {
            ArchiveKind::Oci => {
                for name in ["oci-layout", "index.json"] {
                    builder.append_path_with_name(self.directory.join(name), name)?;
                }
                for digest in self.blobs() {
                    builder.append_path_with_name(self.blob(&digest), format!("blobs/sha256/{}", digest.hex()))?;
                }
            }
            ArchiveKind::Docker => self.append_docker(tags, &mut builder)?,
        }
        builder.into_inner()
    }

    fn append_docker<W: Write>(&self, tags: &[&str], builder: &mut tar::Builder<W>) -> io::Result<()> {
        let config = format!("{}.json", self.config.digest.hex());
        builder.append_path_with_name(self.blob(&self.config.digest), &config)?;
        let mut names = Vec::new();
        for (layer, diff_id) in self.layers.iter().zip(&self.diff_ids) {
            let name = format!("{}/layer.tar", diff_id.0.hex());
            let plain = decompress(&self.blob(&layer.digest))?;
            append_bytes(builder, &name, plain.path())?;
            names.push(name);
        }
        let list = json!([{"Config": config, "RepoTags": tags, "Layers": names}]).to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(list.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "manifest.json", list.as_bytes())
    }
}

fn append_bytes<W: Write>(builder: &mut tar::Builder<W>, name: &str, path: &Path) -> io::Result<()> {
    builder.append_path_with_name(path, name)
}

fn decompress(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut magic = [0; 4];
    let short = File::open(path)?.read(&mut magic)? < 4;
    let file = File::open(path)?;
    let mut reader: Box<dyn Read> = match magic {
        _ if short => Box::new(file),
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => Box::new(file),
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut plain = tempfile::NamedTempFile::new_in(directory)?;
    io::copy(&mut reader, &mut plain)?;
    fs::set_permissions(plain.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(plain)
}
