// SPDX-License-Identifier: MIT
//! Steps in a directory: an archive as `docker load` takes it, and an index that says which image of it holds the steps.
//!
//! The directory is the client's, and what is in it may come out of a repository that somebody else wrote, while the daemon may write
//! anywhere: no link in it is followed, and nothing is opened but plain files. What is written gets names that nobody has (`O_EXCL`)
//! and replaces what was there when all of it is on the disk. It goes when the build fails or is cancelled; a crash leaves it. Two
//! builds that keep their steps in one directory at the same moment may leave the index of one and the archive of the other: then
//! nothing is taken over from there.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use hyperbox_core::image::ArchiveStream;
use hyperbox_types::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

const ARCHIVE: &str = "layers.tar";
const INDEX: &str = "hyperbox-cache.json";

/// No index is longer (bytes).
const LONGEST_INDEX: u64 = 64 << 20;

/// What a directory says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Index {
    /// The image of the archive that holds the steps.
    pub(super) image: Digest,
    /// Which steps they are.
    #[serde(default)]
    pub(super) cache: Value,
}

/// Opens the archive of a directory, and reads its index.
///
/// # Errors
/// I/O classes; whatever is no plain file.
pub(super) async fn open(directory: PathBuf) -> io::Result<(Index, File)> {
    let opened = blocking(move || {
        let directory = open_directory(&directory)?;
        let index = plain_file(&directory, INDEX)?;
        let mut text = Vec::new();
        index.take(LONGEST_INDEX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LONGEST_INDEX {
            return Err(io::Error::other(format!("{INDEX} is too long")));
        }
        let index: Index = serde_json::from_slice(&text)?;
        Ok((index, plain_file(&directory, ARCHIVE)?))
    });
    let (index, archive) = opened.await?;
    Ok((index, File::from_std(archive)))
}

/// Writes an archive and its index into a directory that is there. The index is written last: a directory without it holds nothing.
///
/// # Errors
/// I/O classes, those of the archive included; what was there before is still there then.
pub(super) async fn keep(directory: PathBuf, index: &Index, mut archive: ArchiveStream) -> io::Result<()> {
    let directory = Arc::new(blocking(move || open_directory(&directory)).await?);
    let mut layers = Staged::create(&directory, ARCHIVE).await?;
    while let Some(piece) = archive.next().await {
        layers.file.write_all(&piece?).await?;
    }
    let mut told = Staged::create(&directory, INDEX).await?;
    told.file.write_all(&serde_json::to_vec(index)?).await?;
    // Both are on the disk before either replaces anything.
    layers.finish().await?;
    told.finish().await?;
    layers.commit()?;
    told.commit()
}

/// The directory that is named, not one that a link leads to.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn plain_file(directory: &OwnedFd, name: &str) -> io::Result<std::fs::File> {
    // Nobody waits for the other end of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other(format!("{name} is no plain file"))),
    }
}

/// A file that is not under its name yet, and goes unless it gets there.
#[derive(Debug)]
struct Staged {
    directory: Arc<OwnedFd>,
    name: &'static str,
    /// What it is called until then.
    staged: Option<String>,
    file: File,
}

impl Staged {
    async fn create(directory: &Arc<OwnedFd>, name: &'static str) -> io::Result<Self> {
        let directory = Arc::clone(directory);
        blocking(move || {
            let mut random = [0; 8];
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
            let staged = format!(".{name}.{:016x}", u64::from_ne_bytes(random));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
            let file = rustix::fs::openat(&directory, &staged, flags, mode)?;
            Ok(Self {
                directory,
                name,
                staged: Some(staged),
                file: File::from_std(file.into()),
            })
        })
        .await
    }

    /// Brings all of it onto the disk.
    async fn finish(&mut self) -> io::Result<()> {
        // What was written may still be on its way, and only flushing tells that it failed.
        self.file.flush().await?;
        self.file.sync_all().await
    }

    /// Gives what is finished its name.
    fn commit(mut self) -> io::Result<()> {
        if let Some(staged) = &self.staged {
            rustix::fs::renameat(&self.directory, staged, &self.directory, self.name)?;
        }
        self.staged = None;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(staged) = &self.staged
            && let Err(error) = rustix::fs::unlinkat(&self.directory, staged, AtFlags::empty())
        {
            tracing::warn!(file = %staged, %error, "a file of a cache that was not finished stays");
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(io::Error::other("it was interrupted")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use bytes::Bytes;
    use futures_util::stream;
    use serde_json::json;

    use super::*;

    fn index() -> Index {
        Index {
            image: Digest::from_sha256([7; 32]),
            cache: json!({ "version": 1 }),
        }
    }

    fn archive(pieces: Vec<io::Result<Bytes>>) -> ArchiveStream {
        Box::pin(stream::iter(pieces))
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_is_kept_is_found() {
        let place = tempfile::tempdir().unwrap();
        for text in ["first", "second"] {
            let pieces = vec![Ok(Bytes::from(text))];
            keep(place.path().to_owned(), &index(), archive(pieces)).await.unwrap();
        }
        assert_eq!(names(place.path()), [INDEX, ARCHIVE]);
        assert_eq!(fs::read_to_string(place.path().join(ARCHIVE)).unwrap(), "second");
        let (found, _) = open(place.path().to_owned()).await.unwrap();
        assert_eq!(found, index());
    }

    #[tokio::test]
    async fn links_are_replaced_and_what_they_lead_to_stays() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        fs::create_dir(&directory).unwrap();
        let victim = place.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for name in [ARCHIVE, INDEX, "layers.tar.new", "hyperbox-cache.json.new"] {
            symlink(&victim, directory.join(name)).unwrap();
        }
        let pieces = vec![Ok(Bytes::from("layers"))];
        keep(directory.clone(), &index(), archive(pieces)).await.unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(fs::symlink_metadata(directory.join(ARCHIVE)).unwrap().is_file());
        // A directory that a link leads to is another one.
        let link = place.path().join("link");
        symlink(&directory, &link).unwrap();
        keep(link.clone(), &index(), archive(Vec::new())).await.unwrap_err();
        open(link).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_not_finished() {
        let place = tempfile::tempdir().unwrap();
        let directory = Arc::new(open_directory(place.path()).unwrap());
        let mut staged = Staged::create(&directory, ARCHIVE).await.unwrap();
        // A file that refuses every byte, but can be synchronised.
        let path = place.path().join(staged.staged.as_ref().unwrap());
        staged.file = File::from_std(fs::File::open(path).unwrap());
        staged.file.write_all(b"lost").await.unwrap();
        staged.finish().await.unwrap_err();
        drop(staged);
        assert_eq!(names(place.path()), [""; 0]);
    }

    #[tokio::test]
    async fn what_fails_or_is_cancelled_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let pieces = vec![Ok(Bytes::from("half")), Err(io::Error::other("lost"))];
        keep(place.path().to_owned(), &index(), archive(pieces))
            .await
            .unwrap_err();
        assert_eq!(names(place.path()), [""; 0]);
        let (begun, waits) = tokio::sync::oneshot::channel::<()>();
        let mut begun = Some(begun);
        let endless = stream::poll_fn(move |_| {
            drop(begun.take());
            std::task::Poll::Pending
        });
        let keeping = tokio::spawn(async move {
            let (place, index) = (place, index());
            let kept = keep(place.path().to_owned(), &index, Box::pin(endless));
            tokio::select! {
                kept = kept => kept.unwrap(),
                _ = waits => {}
            }
            place
        });
        let place = keeping.await.unwrap();
        assert_eq!(names(place.path()), [""; 0]);
    }

    #[tokio::test]
    async fn only_plain_files_of_some_length_are_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(INDEX);
        fs::write(place.path().join(ARCHIVE), "").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let error = open(place.path().to_owned()).await.unwrap_err();
        assert!(error.to_string().contains("no plain file"), "{error}");
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        open(place.path().to_owned()).await.unwrap_err();
        fs::remove_file(&path).unwrap();
        let file = fs::File::create(&path).unwrap();
        file.set_len(LONGEST_INDEX + 1).unwrap();
        let error = open(place.path().to_owned()).await.unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
