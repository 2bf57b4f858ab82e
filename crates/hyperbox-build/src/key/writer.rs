// SPDX-License-Identifier: MIT
//! Fields, written so that no two different lists of them are the same bytes: each has its length before it.

use hyperbox_core::time::Timestamp;
use hyperbox_types::{DiffId, Digest};
use sha2::{Digest as _, Sha256};

/// Raised when the same step makes something else than before: all keys change then.
const VERSION: u64 = 1;

/// Writes the fields of a key.
#[derive(Debug)]
pub(crate) struct KeyWriter(Sha256);

impl KeyWriter {
    /// Begins the key of something of this kind.
    pub(crate) fn new(kind: &str) -> Self {
        let mut writer = Self(Sha256::new());
        writer.number(VERSION);
        writer.text(kind);
        writer
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    pub(crate) fn numbers<const N: usize>(&mut self, numbers: [u32; N]) {
        for number in numbers {
            self.number(number.into());
        }
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.number(flag.into());
    }

    pub(crate) fn option(&mut self, text: Option<&str>) {
        self.flag(text.is_some());
        self.text(text.unwrap_or_default());
    }

    pub(crate) fn tagged(&mut self, tag: &str, text: &str) {
        self.text(tag);
        self.text(text);
    }

    pub(crate) fn texts(&mut self, texts: &[String]) {
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
    }

    pub(crate) fn moment(&mut self, moment: Option<Timestamp>) {
        self.option(moment.map(|moment| moment.0.to_string()).as_deref());
    }

    pub(crate) fn layers(&mut self, layers: &[DiffId]) {
        self.count(layers.len());
        for layer in layers {
            self.text(&layer.to_string());
        }
    }

    pub(crate) fn finish(self) -> Digest {
        Digest::from_sha256(self.0.finalize().into())
    }
}
