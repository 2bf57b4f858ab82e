// SPDX-License-Identifier: MIT
//! How far the kernel reads ahead in a mounted layer: as far as in the filesystem that holds its data, else a layer would be read in smaller
//! pieces than the same files in directories.
//!
//! A mount without a block device has a backing device information of its own (`super_setup_bdi()` in `fs/super.c`), with the kernel's
//! default of 128 KiB. It is named `erofs-N` below `/sys/class/bdi`, and nothing tells which `N` belongs to which mount: it is the one that
//! was not there before. Two that came at once are both left alone. All of this is a hint: where it cannot be followed, reading goes on
//! in smaller pieces.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the kernel tells and takes such things.
const DEVICES: &str = "/sys/class/bdi";
/// `VM_READAHEAD_PAGES` in KiB: what a mount has by itself.
const DEFAULT: u64 = 128;

/// Mounts something, whose data are in the file `data`, and has it read ahead as far as that file's filesystem.
pub(super) fn mounting<T, E>(data: Option<&PathBuf>, mount: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let Some(wanted) = data.and_then(|data| below(data)).filter(|wanted| *wanted > DEFAULT) else {
        return mount();
    };
    let before = mounted();
    let done = mount()?;
    if let Some(name) = only_new(&before, &mounted()) {
        let path = Path::new(DEVICES).join(name).join("read_ahead_kb");
        if let Err(error) = std::fs::write(&path, wanted.to_string()) {
            tracing::debug!(path = %path.display(), %error, "a layer is read in small pieces");
        }
    }
    Ok(done)
}

/// Returns how many KiB are read ahead in a file's filesystem, where it tells.
fn below(file: &Path) -> Option<u64> {
    let device = std::fs::metadata(file).ok()?.dev();
    let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let path = Path::new(DEVICES).join(name).join("read_ahead_kb");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Lists what is mounted as EROFS without a block device.
fn mounted() -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(DEVICES) else {
        return BTreeSet::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("erofs-")).collect()
}

/// Returns the one that came, unless several did.
fn only_new<'a>(before: &BTreeSet<String>, after: &'a BTreeSet<String>) -> Option<&'a str> {
    let mut new = after.iter().filter(|name| !before.contains(*name));
    let first = new.next()?;
    new.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_came_alone_is_taken() {
        let names = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        for (before, after, expected) in [
            (&[][..], &[][..], None),
            (&[], &["erofs-1"], Some("erofs-1")),
            (&["erofs-1"], &["erofs-1"], None),
            (&["erofs-1"], &["erofs-1", "erofs-2"], Some("erofs-2")),
            (&["erofs-1"], &["erofs-2"], Some("erofs-2")),
            (&["erofs-1"], &["erofs-2", "erofs-3"], None),
        ] {
            assert_eq!(
                only_new(&names(before), &names(after)),
                expected,
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn whatever_is_known_of_it_the_mount_is_made() {
        let nowhere = PathBuf::from("/nowhere");
        for data in [None, Some(&nowhere), Some(&PathBuf::from("/proc/self/exe"))] {
            assert_eq!(mounting(data, || Ok::<_, ()>(7)), Ok(7));
            assert_eq!(mounting(data, || Err::<(), _>(8)), Err(8));
        }
    }
}
