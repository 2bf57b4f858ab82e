// SPDX-License-Identifier: MIT
//! The tar of a packed layer, read again from its rest and the packs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::list::List;

/// The stream. Nothing is verified here: who reads it compares the digest of the whole.
pub(in crate::overlay) struct Rebuilt {
    list: List,
    packs: HashMap<u32, File>,
    rest: zstd::stream::read::Decoder<'static, BufReader<File>>,
    next: usize,
    position: u64,
}

impl Rebuilt {
    pub(in crate::overlay) fn new(list: List, packs: HashMap<u32, File>, rest: File) -> io::Result<Self> {
        Ok(Self {
            list,
            packs,
            rest: zstd::stream::read::Decoder::new(rest)?,
            next: 0,
            position: 0,
        })
    }

    fn read_rest(&mut self, buffer: &mut [u8], until: u64) -> io::Result<usize> {
        let amount = at_most(buffer.len(), until - self.position);
        match self.rest.read(&mut buffer[..amount])? {
            0 => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the rest of the tar is too short",
            )),
            count => Ok(count),
        }
    }
}

impl Read for Rebuilt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.list.objects.get(self.next).copied() {
            Some(object) if self.position < object.tar_at => self.read_rest(buffer, object.tar_at)?,
            Some(object) => {
                let within = self.position - object.tar_at;
                let amount = at_most(buffer.len(), object.length - within);
                let pack = self.packs.get(&object.place.pack).ok_or(io::ErrorKind::NotFound)?;
                pack.read_exact_at(&mut buffer[..amount], object.place.at + within)?;
                if within + amount as u64 == object.length {
                    self.next += 1;
                }
                amount
            }
            None if self.position < self.list.tar_length => self.read_rest(buffer, self.list.tar_length)?,
            None => 0,
        };
        self.position += count as u64;
        Ok(count)
    }
}

fn at_most(buffer: usize, wanted: u64) -> usize {
    buffer.min(usize::try_from(wanted).unwrap_or(usize::MAX))
}
