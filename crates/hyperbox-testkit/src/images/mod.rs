// SPDX-License-Identifier: MIT
//! Images for tests, made on the spot from Debian's busybox-static: no network, the same bytes on each run.
//!
//! An [`Image`] is data (entries of layers and a configuration); [`Image::write_layout`] turns it into an OCI image layout,
//! streaming, and [`Layout::write_archive`] into what `docker load` reads. [`large()`] is kept between runs below `target/tmp`.

mod archive;
mod entry;
mod large;
mod layout;
mod showcase;
mod starter;

#[cfg(test)]
mod tests;

pub use archive::ArchiveKind;
pub use entry::{Content, Entry, EntryKind, Layer};
pub use large::{LARGE_TAG, large, spread, version};
pub use layout::{Image, ImageConfig, Layout, LayoutOptions, MediaTypes};
pub use showcase::{LONG_NAME, LONG_PATH, showcase};
pub use starter::{BUSYBOX, starter};
