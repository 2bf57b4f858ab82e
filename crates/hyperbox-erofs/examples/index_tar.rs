// SPDX-License-Identifier: MIT
//! Measures: how long an index takes, how long it is, how much memory it needed.
//!
//! `index_tar TAR INDEX` indexes an archive, without extended attributes; `index_tar --made-up COUNT INDEX` as many files in a thousand
//! directories. Run it with `--release` for figures that mean something.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hyperbox_erofs::{Builder, Device, Metadata, Node, Options, Summary, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let started = Instant::now();
    let (builder, length, index) = match &arguments[..] {
        [made_up, count, index] if made_up == "--made-up" => (
            made_up_tree(count.to_str().ok_or("no number")?.parse()?)?,
            1 << 40,
            index,
        ),
        [archive, index] => (archived(Path::new(archive))?, std::fs::metadata(archive)?.len(), index),
        _ => return Err("index_tar TAR INDEX | index_tar --made-up COUNT INDEX".into()),
    };
    let collected = started.elapsed();
    let device = Device {
        size: length,
        tag: Vec::new(),
    };
    let summary = builder.finish(&[device], File::create(index)?)?;
    report(&summary, collected, started.elapsed())?;
    Ok(())
}

fn archived(path: &Path) -> Result<Builder, Box<dyn Error>> {
    let mut builder = Builder::new(Options::default());
    // Unbuffered: only headers are read, and a buffer would read what lies between them.
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let (path, header) = (entry.path_bytes(), entry.header());
        let link = entry.link_name_bytes().unwrap_or_default();
        let node = match header.entry_type() {
            tar::EntryType::Link => {
                builder.hard_link(&path, &link)?;
                continue;
            }
            tar::EntryType::Directory => Node::Directory,
            tar::EntryType::Symlink => Node::Symlink(link.into_owned()),
            tar::EntryType::Regular => Node::contiguous(entry.size(), entry.raw_file_position()),
            _ => Node::Fifo,
        };
        let metadata = Metadata {
            permissions: u16::try_from(header.mode()? & 0o7777)?,
            uid: u32::try_from(header.uid()?)?,
            gid: u32::try_from(header.gid()?)?,
            modified: Timestamp {
                seconds: header.mtime()?.cast_signed(),
                nanoseconds: 0,
            },
            xattrs: Vec::new(),
        };
        builder.insert(&path, &metadata, node)?;
    }
    Ok(builder)
}

fn made_up_tree(count: u64) -> Result<Builder, Box<dyn Error>> {
    let mut builder = Builder::new(Options::default());
    let mut metadata = Metadata::implied_directory();
    for number in 0..count {
        metadata.modified.seconds = 1_700_000_000 + (number % 1000).cast_signed();
        let path = format!("usr/share/package-{:03}/file-{number:08}.txt", number * 1000 / count);
        builder.insert(path.as_bytes(), &metadata, Node::contiguous(3000, number * 4096))?;
    }
    Ok(builder)
}

fn report(summary: &Summary, collected: Duration, whole: Duration) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let inodes = summary.inodes as f64;
    writeln!(
        out,
        "{} inodes: {:.3} s to collect, {:.3} s to write, {:.0} a second; {} bytes, {:.1} for each",
        summary.inodes,
        collected.as_secs_f64(),
        (whole - collected).as_secs_f64(),
        inodes / whole.as_secs_f64(),
        summary.size,
        summary.size as f64 / inodes
    )?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    writeln!(out, "{peak}")?;
    Ok(())
}
