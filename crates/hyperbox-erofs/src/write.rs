// SPDX-License-Identifier: MIT
//! The bytes of an index, in their order; the header last.
//!
//! Memory: one inode, one directory block and a buffer of 256 KiB at a time.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use crate::error::BuildError;
use crate::extents;
use crate::layout::checksum::Fingerprint;
use crate::layout::dirent::{self, Packing};
use crate::layout::inode::{self, DataLayout, RawInode, encode_device};
use crate::layout::superblock::{self, Superblock};
use crate::layout::{BLOCK, BLOCK_BITS, chunk, put, xattr};
use crate::model::Summary;
use crate::plan::{Plan, Record, Shape, Storage, names};
use crate::tree::{Content, InodeId};

const BUFFER: usize = 256 << 10;

/// Writes the image that was planned.
pub(crate) fn write(plan: &Plan<'_>, out: impl Write + Seek) -> Result<Summary, BuildError> {
    write_all(plan, out).map_err(|source| BuildError::Write { source })
}

fn write_all(plan: &Plan<'_>, mut out: impl Write + Seek) -> io::Result<Summary> {
    let start = out.stream_position()?;
    let mut sink = Sink::new(&mut out);
    sink.fill_to(plan.header as u64)?;
    // What the header says beside counts and places, which follow from the rest.
    sink.fingerprint.update(&plan.epoch.seconds.to_le_bytes());
    sink.fingerprint.update(&plan.epoch.nanoseconds.to_le_bytes());
    for slot in &plan.devices {
        sink.fingerprint.update(&slot.encode());
    }
    write_inodes(plan, &mut sink)?;
    sink.fill_to(u64::from(plan.xattr_block) * BLOCK as u64)?;
    for entry in &plan.shared {
        sink.write(plan.attributes.entry(*entry))?;
    }
    sink.fill_to(u64::from(plan.data_block) * BLOCK as u64)?;
    write_data(plan, &mut sink)?;
    let size = u64::from(plan.blocks) * BLOCK as u64;
    sink.fill_to(size)?;
    let uuid = sink.finish()?;
    out.seek(SeekFrom::Start(start))?;
    out.write_all(&header(plan, uuid))?;
    out.seek(SeekFrom::Start(start + size))?;
    out.flush()?;
    Ok(Summary {
        size,
        inodes: plan.records.len() as u64,
        names: plan.names,
        mapped: plan.mapped,
        uuid,
    })
}

/// Where bytes go: counted and hashed.
struct Sink<W: Write> {
    out: BufWriter<W>,
    fingerprint: Fingerprint,
    position: u64,
}

impl<W: Write> Sink<W> {
    fn new(out: W) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            fingerprint: Fingerprint::new(),
            position: 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.fingerprint.update(bytes);
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn fill_to(&mut self, position: u64) -> io::Result<()> {
        let zeros = [0; BLOCK];
        while self.position < position {
            let length = usize::try_from(position - self.position).unwrap_or(BLOCK).min(BLOCK);
            self.write(&zeros[..length])?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<[u8; 16]> {
        self.out.flush()?;
        Ok(self.fingerprint.uuid())
    }
}

fn write_inodes(plan: &Plan<'_>, sink: &mut Sink<impl Write>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (number, record) in (1..).zip(&plan.records) {
        let shape = plan.shape(record);
        bytes.clear();
        raw_inode(plan, record, &shape, number).encode(&mut bytes);
        if shape.xattrs > 0 {
            xattr::encode_header(&shape.shared, &mut bytes);
            for entry in &shape.own {
                bytes.extend_from_slice(plan.attributes.entry(*entry));
            }
        }
        if let (Storage::Tail { blocks, .. }, content) = (shape.storage, &plan.tree.inode(record.id).content) {
            match content {
                Content::Directory(_) => directory_blocks(plan, record.id, blocks, |block| {
                    bytes.extend_from_slice(block);
                    Ok(())
                })?,
                Content::Inline(data) | Content::Symlink(data) => {
                    bytes.extend(
                        data.iter()
                            .skip(usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(BLOCK)),
                    );
                }
                _ => {}
            }
        }
        sink.fill_to(u64::from(record.nid) * inode::SLOT)?;
        sink.write(&bytes)?;
        write_chunks(plan, record, &shape, sink)?;
    }
    Ok(())
}

fn write_chunks(plan: &Plan<'_>, record: &Record, shape: &Shape, sink: &mut Sink<impl Write>) -> io::Result<()> {
    if let (Storage::Chunks { .. }, Content::Regular { size, data }) =
        (shape.storage, &plan.tree.inode(record.id).content)
    {
        sink.fill_to(u64::from(record.nid) * inode::SLOT + shape.behind())?;
        for place in data.chunks(*size) {
            sink.write(&chunk::encode_index(place))?;
        }
    }
    Ok(())
}

fn raw_inode(plan: &Plan<'_>, record: &Record, shape: &Shape, number: u32) -> RawInode {
    let inode = plan.tree.inode(record.id);
    let attributes = &inode.attributes;
    let start = plan.data_block + record.start;
    let (data_layout, storage) = match shape.storage {
        Storage::None => (DataLayout::Plain, 0),
        Storage::Blocks(_) => (DataLayout::Plain, start),
        Storage::Tail { blocks, .. } => (DataLayout::Inline, if blocks > 0 { start } else { 0 }),
        Storage::Chunks { bits, .. } => (DataLayout::Chunks, chunk::encode_format(bits)),
    };
    let (mode, device) = match &inode.content {
        Content::Directory(_) => (inode::TYPE_DIRECTORY, None),
        Content::Regular { .. } | Content::Inline(_) => (inode::TYPE_REGULAR, None),
        Content::Symlink(_) => (inode::TYPE_SYMLINK, None),
        Content::CharacterDevice(number) => (inode::TYPE_CHARACTER, encode_device(*number)),
        Content::BlockDevice(number) => (inode::TYPE_BLOCK, encode_device(*number)),
        Content::Fifo => (inode::TYPE_FIFO, None),
        Content::Socket => (inode::TYPE_SOCKET, None),
    };
    RawInode {
        modified: shape.extended.then_some(attributes.modified),
        data_layout,
        xattr_count: xattr::body_count(shape.xattrs),
        mode: mode | attributes.permissions,
        links: record.links,
        size: record.size,
        union: device.unwrap_or(storage),
        union_high: 0,
        number,
        uid: attributes.uid,
        gid: attributes.gid,
    }
}

fn write_data(plan: &Plan<'_>, sink: &mut Sink<impl Write>) -> io::Result<()> {
    for index in &plan.data {
        let record = &plan.records[*index as usize];
        let blocks = plan.shape(record).blocks();
        let start = u64::from(plan.data_block + record.start) * BLOCK as u64;
        let end = start + blocks * BLOCK as u64;
        match &plan.tree.inode(record.id).content {
            Content::Directory(_) => directory_blocks(plan, record.id, 0, |block| {
                if sink.position < end {
                    sink.write(block)?;
                    sink.fill_to(sink.position.next_multiple_of(BLOCK as u64))?;
                }
                Ok(())
            })?,
            Content::Inline(data) | Content::Symlink(data) => {
                let length = data.len().min(usize::try_from(end - start).unwrap_or(usize::MAX));
                sink.write(&data[..length])?;
            }
            _ => {}
        }
        sink.fill_to(end)?;
    }
    Ok(())
}

/// Encodes the blocks of a directory from the block `from` on, none filled up.
fn directory_blocks(
    plan: &Plan<'_>,
    id: InodeId,
    from: u64,
    mut emit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let Some(directory) = plan.tree.directory(id) else {
        return Ok(());
    };
    let mut packing = Packing::default();
    let mut block = dirent::Block::default();
    let mut bytes = Vec::with_capacity(BLOCK);
    let mut flush = |block: &mut dirent::Block| {
        bytes.clear();
        block.encode(&mut bytes);
        emit(&bytes)
    };
    for (name, child) in names(id, directory) {
        if packing.add(name.len()) && packing.full > from {
            flush(&mut block)?;
        }
        if packing.full >= from {
            let kind = raw_kind(&plan.tree.inode(child).content);
            block.add(plan.nids[child as usize].into(), dirent::file_type(kind), name);
        }
    }
    flush(&mut block)
}

fn raw_kind(content: &Content) -> u16 {
    match content {
        Content::Directory(_) => inode::TYPE_DIRECTORY,
        Content::Regular { .. } | Content::Inline(_) => inode::TYPE_REGULAR,
        Content::Symlink(_) => inode::TYPE_SYMLINK,
        Content::CharacterDevice(_) => inode::TYPE_CHARACTER,
        Content::BlockDevice(_) => inode::TYPE_BLOCK,
        Content::Fifo => inode::TYPE_FIFO,
        Content::Socket => inode::TYPE_SOCKET,
    }
}

/// The superblock with all that surrounds it.
fn header(plan: &Plan<'_>, uuid: [u8; 16]) -> Vec<u8> {
    let devices = !plan.devices.is_empty();
    let first_slot = usize::from(superblock::FIRST_DEVICE_SLOT) * superblock::DEVICE_LENGTH;
    let superblock = Superblock {
        feature_compat: superblock::COMPAT_CHECKSUM | superblock::COMPAT_MTIME,
        feature_incompat: superblock::INCOMPAT_CHUNKED_FILE
            | if devices { superblock::INCOMPAT_DEVICE_TABLE } else { 0 },
        block_bits: BLOCK_BITS,
        root_nid: plan.nids[crate::tree::ROOT as usize].into(),
        inodes: plan.records.len() as u64,
        epoch: plan.epoch,
        blocks: plan.blocks.into(),
        xattr_block: plan.xattr_block,
        uuid,
        extra_devices: u16::try_from(plan.devices.len()).expect("the number of devices was checked"),
        device_slot: if devices { superblock::FIRST_DEVICE_SLOT } else { 0 },
        ..Superblock::default()
    };
    let mut bytes = vec![0; plan.header];
    put(&mut bytes, superblock::OFFSET, &superblock.encode());
    for (slot, place) in plan
        .devices
        .iter()
        .zip((first_slot..).step_by(superblock::DEVICE_LENGTH))
    {
        put(&mut bytes, place, &slot.encode());
    }
    superblock::seal(&mut bytes[superblock::OFFSET..superblock::OFFSET + BLOCK]);
    debug_assert_eq!(extents::blocks(plan.header as u64) * BLOCK as u64, plan.header as u64);
    bytes
}
