// SPDX-License-Identifier: MIT
//! Where everything goes. Pure: nothing is written here.
//!
//! ```text
//! 0 ─ header ─┬─ inodes with their attributes, ─┬─ shared ─────┬─ blocks of directories, long links, ─┬─ end
//!             │  chunk indexes and tails        │  attributes  │  inline files                        │
//! ```
//!
//! All four begin at a block. Inodes are in the order of a walk by breadth: the inodes of a directory's content are neighbours, since
//! whoever lists a directory wants them next.

mod epoch;
mod place;
mod shape;
mod survey;

use crate::attributes::Attributes;
use crate::error::BuildError;
use crate::layout::superblock::{self, DeviceSlot, TAG_LENGTH};
use crate::layout::{BLOCK, inode, xattr};
use crate::model::{Device, Limits, Timestamp};
use crate::tree::{Content, InodeId, Tree};

use place::Placer;
pub(crate) use shape::{Shape, Storage};
pub(crate) use survey::names;

/// The number of devices that an image may have: the root's inode comes behind their table, and its number has 16 bits.
const DEVICES_MOST: usize = 1024;

/// A shared entry's number when it has none.
const NOT_SHARED: u32 = u32::MAX;

/// An inode that will be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) id: InodeId,
    /// Its number in the image: its offset in units of [`inode::SLOT`].
    pub(crate) nid: u32,
    /// Where its blocks begin among those of the data area.
    pub(crate) start: u32,
    pub(crate) links: u32,
    pub(crate) size: u64,
}

/// A tree with everything in its place.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) attributes: &'a Attributes,
    pub(crate) devices: Vec<DeviceSlot>,
    /// The time of compact inodes.
    pub(crate) epoch: Timestamp,
    /// Ascending by place.
    pub(crate) records: Vec<Record>,
    /// Records with blocks in the data area, in the order of these: indexes of `records`.
    pub(crate) data: Vec<u32>,
    /// Numbers in the image by number in the tree.
    pub(crate) nids: Vec<u32>,
    /// Numbers of entries that are shared, in their order.
    pub(crate) shared: Vec<u32>,
    /// Their numbers in the image by their number among the attributes.
    shared_numbers: Vec<u32>,
    pub(crate) header: usize,
    pub(crate) xattr_block: u32,
    pub(crate) data_block: u32,
    pub(crate) blocks: u32,
    pub(crate) names: u64,
    pub(crate) mapped: u64,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        tree: &'a Tree,
        attributes: &'a Attributes,
        devices: &[Device],
        limits: Limits,
    ) -> Result<Self, BuildError> {
        let survey = survey::survey(tree);
        let mut plan = Self {
            tree,
            attributes,
            devices: slots(devices)?,
            epoch: epoch::choose(tree, &survey.records),
            records: survey.records,
            data: Vec::new(),
            nids: vec![0; tree.len()],
            shared: Vec::new(),
            shared_numbers: Vec::new(),
            header: header_length(devices.len()),
            xattr_block: 0,
            data_block: 0,
            blocks: 0,
            names: survey.names,
            mapped: 0,
        };
        plan.check_data()?;
        let shared_length = plan.share()?;
        let inodes_end = plan.place(limits)?;
        let xattr_block = inodes_end.div_ceil(BLOCK as u64);
        let data_block = xattr_block + shared_length.div_ceil(BLOCK as u64);
        plan.xattr_block = block(xattr_block)?;
        plan.data_block = block(data_block)?;
        plan.place_blocks()?;
        plan.line_up_devices();
        Ok(plan)
    }

    /// The number in the image of an entry that is shared.
    pub(crate) fn shared_number(&self, entry: u32) -> Option<u32> {
        self.shared_numbers
            .get(entry as usize)
            .copied()
            .filter(|number| *number != NOT_SHARED)
    }

    /// Data must be on devices that there are.
    fn check_data(&mut self) -> Result<(), BuildError> {
        for record in &self.records {
            let Content::Regular { size, data } = &self.tree.inode(record.id).content else {
                continue;
            };
            for piece in data.pieces(*size).iter() {
                let device = self.devices.get(usize::from(piece.device) - 1);
                if device.is_none_or(|device| u64::from(piece.block) + piece.blocks > device.blocks) {
                    return Err(BuildError::Extents {
                        path: survey::path(self.tree, &self.records, record.id),
                        reason: "an extent lies beyond the last whole block of its device",
                    });
                }
            }
            self.mapped += data.mapped(*size);
        }
        Ok(())
    }

    /// Finds the entries of attributes that several inodes have, and numbers them; tells the length of their area.
    fn share(&mut self) -> Result<u64, BuildError> {
        let mut users = vec![0_u32; self.attributes.len()];
        for record in &self.records {
            for entry in self.attributes.set(self.tree.inode(record.id).attributes.xattrs) {
                let users = &mut users[*entry as usize];
                *users = users.saturating_add(1);
            }
        }
        // Numbers of entries are in order of their coming: the order in the image must not depend on it.
        let mut shared: Vec<u32> = (0..)
            .zip(&users)
            .filter(|(_, users)| **users > 1)
            .map(|(entry, _)| entry)
            .collect();
        shared.sort_unstable_by(|one, other| self.attributes.entry(*one).cmp(self.attributes.entry(*other)));
        self.shared_numbers = vec![NOT_SHARED; users.len()];
        let mut length = 0;
        for entry in &shared {
            let number = u32::try_from(length / xattr::UNIT as u64)
                .ok()
                .filter(|number| *number != NOT_SHARED);
            self.shared_numbers[*entry as usize] = number.ok_or(TOO_LARGE)?;
            length += self.attributes.entry(*entry).len() as u64;
        }
        self.shared = shared;
        Ok(length)
    }

    /// Gives each inode its place; tells where they end.
    fn place(&mut self, limits: Limits) -> Result<u64, BuildError> {
        let mut placer = Placer::new(self.header as u64);
        for index in 0..self.records.len() {
            let shape = self.shape(&self.records[index]);
            let position = placer.place(shape.length(), shape.pinned());
            let nid = u32::try_from(position / inode::SLOT).map_err(|_| TOO_LARGE)?;
            let record = &mut self.records[index];
            record.nid = nid;
            self.nids[record.id as usize] = nid;
        }
        debug_assert!(
            limits.inodes >= self.records.len() as u64,
            "the builder has counted them"
        );
        self.records.sort_unstable_by_key(|record| record.nid);
        Ok(placer.end())
    }

    /// Gives devices places behind the image, as if all were one: who mounts the index without its devices then reads beyond its end,
    /// not metadata instead of data. One that has no room left gets none.
    fn line_up_devices(&mut self) {
        let mut next = u64::from(self.blocks);
        for device in &mut self.devices {
            let end = next + device.blocks;
            if end < u64::from(u32::MAX) {
                device.unified_start = next;
                next = end;
            }
        }
    }

    /// Gives everything that has blocks its blocks.
    fn place_blocks(&mut self) -> Result<(), BuildError> {
        let mut next = 0_u64;
        for index in 0..self.records.len() {
            let blocks = self.shape(&self.records[index]).blocks();
            if blocks > 0 {
                self.records[index].start = block(next)?;
                self.data.push(u32::try_from(index).map_err(|_| TOO_LARGE)?);
                next += blocks;
            }
        }
        self.blocks = block(u64::from(self.data_block) + next)?;
        Ok(())
    }
}

const TOO_LARGE: BuildError = BuildError::Limit {
    what: "bytes of index",
    limit: u32::MAX as u64 * inode::SLOT,
};

fn block(number: u64) -> Result<u32, BuildError> {
    u32::try_from(number).map_err(|_| TOO_LARGE)
}

/// Superblock and table of devices, to the end of a block.
fn header_length(devices: usize) -> usize {
    (superblock::OFFSET + superblock::LENGTH + devices * superblock::DEVICE_LENGTH).next_multiple_of(BLOCK)
}

fn slots(devices: &[Device]) -> Result<Vec<DeviceSlot>, BuildError> {
    if devices.len() > DEVICES_MOST {
        return Err(BuildError::Limit {
            what: "devices",
            limit: DEVICES_MOST as u64,
        });
    }
    devices.iter().map(slot).collect()
}

fn slot(device: &Device) -> Result<DeviceSlot, BuildError> {
    let unsupported = |reason| BuildError::Unsupported {
        path: format!("device {}", device.tag.escape_ascii()),
        reason,
    };
    // Only whole blocks: of a partial one, the kernel can read nothing directly.
    let blocks = device.size / BLOCK as u64;
    if blocks >= u64::from(u32::MAX) {
        return Err(unsupported("it is larger than 2 TiB"));
    }
    if device.tag.len() > TAG_LENGTH {
        return Err(unsupported("its tag is longer than 64 bytes"));
    }
    let mut tag = [0; TAG_LENGTH];
    tag[..device.tag.len()].copy_from_slice(&device.tag);
    Ok(DeviceSlot {
        tag,
        blocks,
        unified_start: 0,
    })
}
