// SPDX-License-Identifier: MIT
//! What is in the store's directories besides blobs.
//!
//! An ingest is somebody's as long as its name is in the layout's table, which it enters before it exists and leaves after it is gone;
//! so the directory is read first and the table afterwards.

use std::io;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{ContentError, Stray, StrayOrigin};
use hyperbox_types::{ByteSize, Digest};

use super::{ALGORITHMS, Layout, failed};

/// Lists strays; `deleting` tells that the trash is being emptied, so that what is in it is none.
pub(super) fn find(layout: &Layout, deleting: bool) -> Result<Vec<Stray>, ContentError> {
    let mut found = Vec::new();
    let mut look = |directory: &Path, origin: StrayOrigin, is_ours: &dyn Fn(&str) -> bool| {
        let entries = entries(directory).map_err(failed("list", directory))?;
        let strays = entries.into_iter().filter(|path| !is_ours(&name(path)));
        found.extend(strays.map(|path| stray(&path, origin)));
        Ok(())
    };
    look(&layout.root, StrayOrigin::Foreign, &|name| {
        matches!(name, "blobs" | "ingest" | "trash")
    })?;
    look(&layout.root.join("blobs"), StrayOrigin::Foreign, &|name| {
        ALGORITHMS.iter().any(|algorithm| algorithm.as_str() == name)
    })?;
    for algorithm in ALGORITHMS {
        look(&layout.directory(algorithm), StrayOrigin::Foreign, &|name| {
            Digest::parse(&format!("{}:{name}", algorithm.as_str())).is_ok()
        })?;
    }
    look(&layout.ingest(), StrayOrigin::Unfinished, &|name| {
        layout.arriving().contains(name)
    })?;
    if !deleting {
        look(&layout.trash(), StrayOrigin::Unfinished, &|_| false)?;
    }
    Ok(found)
}

/// Removes an unfinished stray, if it still is one.
pub(super) fn remove(layout: &Layout, stray: &Stray) -> Result<(), ContentError> {
    let path = PathBuf::from(&stray.path);
    let own = [layout.ingest(), layout.trash()];
    let is_own = path.parent().is_some_and(|parent| own.iter().any(|own| own == parent));
    if !is_own || layout.arriving().contains(&name(&path)) {
        return Err(failed("remove", &path)(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    delete(&path).map_err(failed("remove", &path))
}

/// Deletes a file or a whole directory; what is not there is fine.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    let is_directory = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let deleted = if is_directory {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match deleted {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stray(path: &Path, origin: StrayOrigin) -> Stray {
    Stray {
        path: path.display().to_string(),
        size: ByteSize(std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())),
        origin,
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_core::seam::ContentStore as _;

    use crate::FileContent;

    use super::*;

    #[tokio::test]
    async fn strays_are_told_from_what_is_in_progress() {
        let root = tempfile::tempdir().unwrap();
        let store = FileContent::open(root.path()).unwrap();
        let mut writer = store.writer(&Digest::from_sha256([1; 32])).await.unwrap();
        writer.write(&vec![7; 3 << 20]).await.unwrap();
        assert!(store.strays().await.unwrap().is_empty());
        for name in [
            "foreign",
            "blobs/foreign",
            "blobs/sha256/foreign",
            "ingest/lost",
            "trash/lost",
        ] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        let strays = store.strays().await.unwrap();
        let count = |origin| strays.iter().filter(|stray| stray.origin == origin).count();
        assert_eq!(
            (count(StrayOrigin::Foreign), count(StrayOrigin::Unfinished)),
            (3, 2),
            "{strays:?}"
        );
        for stray in &strays {
            let removed = store.remove_stray(stray).await;
            assert_eq!(removed.is_ok(), stray.origin == StrayOrigin::Unfinished, "{stray:?}");
        }
        assert_eq!(store.strays().await.unwrap().len(), 3);
        drop(writer);
    }
}
