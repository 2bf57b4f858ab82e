// SPDX-License-Identifier: MIT
//! What every [`ContainerFiles`] does with directories, plain files and symbolic links; owners, xattrs, mounts and hostile trees are
//! for the real ones' own tests.

use std::io::{Cursor, Read};
use std::sync::Arc;

use futures_util::StreamExt;
use hyperbox_core::seam::{ContainerFiles, FileStream, FilesView, Replace, WriteFiles};
use hyperbox_types::ErrorKind;
use tar::EntryType;

/// An implementation with one container whose files are a root and `/etc`, both directories.
pub struct Subject {
    /// The implementation.
    pub files: Arc<dyn ContainerFiles>,
    /// Makes a view of the container.
    pub view: Box<dyn Fn() -> FilesView + Send + Sync>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Subject")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Runs the suite; `make` makes a container nobody else uses.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn run(make: impl Fn() -> Subject) {
    what_is_written_is_read(&make()).await;
    what_is_missing_is_not_found(&make()).await;
    only_directories_are_written_into(&make()).await;
    kinds_are_kept_when_asked(&make()).await;
    damaged_archives_are_refused(&make()).await;
    users_are_looked_up(&make()).await;
    a_reader_may_leave(&make()).await;
}

/// An entry of an archive: name and content; a name with a slash at its end is a directory, `->` makes a link.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o640 });
        let written = if let Some((name, target)) = name.split_once("->") {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target)
        } else if name.ends_with('/') {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, name, std::io::empty())
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes())
        };
        written.expect("writing to memory");
    }
    builder.into_inner().expect("writing to memory")
}

async fn write(subject: &Subject, path: &str, how: WriteFiles, bytes: Vec<u8>) -> Result<(), ErrorKind> {
    let reader = Box::new(Cursor::new(bytes));
    let written = subject.files.write((subject.view)(), path, how, reader).await;
    written.map_err(|error| error.kind())
}

async fn fill(subject: &Subject, path: &str, entries: &[(&str, &str)]) {
    write(subject, path, WriteFiles::default(), archive(entries))
        .await
        .expect("a good archive");
}

/// Returns names and contents of an archive.
async fn entries(mut stream: FileStream) -> Vec<(String, String)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.expect("a whole archive"));
    }
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let mut list = Vec::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8_lossy(&entry.path_bytes())
            .trim_end_matches('/')
            .to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        list.push((name, content));
    }
    list.sort();
    list
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs
        .iter()
        .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
    owned.collect()
}

async fn what_is_written_is_read(subject: &Subject) {
    fill(
        subject,
        "/",
        &[("srv/", ""), ("srv/file", "content"), ("srv/link->file", "")],
    )
    .await;
    let stat = subject.files.stat((subject.view)(), "/srv/file").await.expect("stat");
    assert_eq!((stat.name.as_str(), stat.size, stat.mode), ("file", 7, 0o100_640));
    let stat = subject.files.stat((subject.view)(), "/srv/link").await.expect("stat");
    assert_eq!(stat.mode & 0o170_000, 0o120_000, "the link itself");
    let root = subject.files.stat((subject.view)(), "/").await.expect("stat");
    assert_eq!((root.name.as_str(), root.mode & 0o170_000), ("/", 0o040_000));
    let (stat, stream) = subject.files.read((subject.view)(), "/srv").await.expect("read");
    assert_eq!(stat.name, "srv");
    let expected = pairs(&[("srv", ""), ("srv/file", "content"), ("srv/link", "")]);
    assert_eq!(entries(stream).await, expected);
    let exported = entries(subject.files.export((subject.view)()).await.expect("export")).await;
    assert!(
        exported.contains(&("srv/file".to_owned(), "content".to_owned())),
        "{exported:?}"
    );
    assert!(
        exported
            .iter()
            .all(|(name, _)| !name.is_empty() && !name.starts_with('/')),
        "{exported:?}"
    );
}

async fn what_is_missing_is_not_found(subject: &Subject) {
    let stat = subject.files.stat((subject.view)(), "/nosuch").await;
    assert_eq!(stat.expect_err("missing").kind(), ErrorKind::NotFound);
    let read = subject.files.read((subject.view)(), "/nosuch/below").await;
    assert_eq!(read.map(drop).expect_err("missing").kind(), ErrorKind::NotFound);
    let written = write(subject, "/nosuch", WriteFiles::default(), archive(&[("x", "")])).await;
    assert_eq!(written, Err(ErrorKind::NotFound));
}

async fn only_directories_are_written_into(subject: &Subject) {
    fill(subject, "/", &[("file", "old")]).await;
    let one = || archive(&[("x", "")]);
    let refused = Err(ErrorKind::InvalidArgument);
    assert_eq!(write(subject, "/file", WriteFiles::default(), one()).await, refused);
    let read_only = WriteFiles {
        read_only_root: true,
        ..WriteFiles::default()
    };
    assert_eq!(write(subject, "/", read_only, one()).await, refused);
    let stat = subject.files.stat((subject.view)(), "/x").await;
    assert_eq!(stat.expect_err("nothing was written").kind(), ErrorKind::NotFound);
}

async fn kinds_are_kept_when_asked(subject: &Subject) {
    fill(
        subject,
        "/",
        &[("directory/", ""), ("directory/kept", "kept"), ("file", "old")],
    )
    .await;
    let same = WriteFiles {
        replace: Replace::SameKind,
        ..WriteFiles::default()
    };
    let refused = Err(ErrorKind::InvalidArgument);
    let over = |entries: &[(&str, &str)]| archive(entries);
    assert_eq!(
        write(subject, "/", same.clone(), over(&[("directory", "x")])).await,
        refused
    );
    assert_eq!(write(subject, "/", same.clone(), over(&[("file/", "")])).await, refused);
    assert_eq!(write(subject, "/", same, over(&[("file", "newer")])).await, Ok(()));
    let (_, stream) = subject.files.read((subject.view)(), "/file").await.expect("read");
    assert_eq!(entries(stream).await, pairs(&[("file", "newer")]));
    fill(subject, "/", &[("directory", "a file now")]).await;
    let (_, stream) = subject.files.read((subject.view)(), "/directory").await.expect("read");
    assert_eq!(entries(stream).await, pairs(&[("directory", "a file now")]));
}

async fn damaged_archives_are_refused(subject: &Subject) {
    let mut cut = archive(&[("file", "0123456789")]);
    cut.truncate(515);
    let mut nonsense = archive(&[("file", "x")]);
    nonsense[..100].fill(0xff);
    for bytes in [cut, nonsense] {
        let written = write(subject, "/", WriteFiles::default(), bytes).await;
        assert_eq!(written, Err(ErrorKind::InvalidArgument));
    }
}

async fn users_are_looked_up(subject: &Subject) {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:::\n";
    fill(
        subject,
        "/etc",
        &[("passwd", passwd), ("group", "root:x:0:\nstaff:x:50:web\n")],
    )
    .await;
    for (user, expected) in [
        ("web", Ok((33, 34))),
        ("33", Ok((33, 34))),
        ("web:staff", Ok((33, 50))),
        ("7:9", Ok((7, 9))),
        (
            "nobody",
            Err("unable to find user nobody: no matching entries in passwd file"),
        ),
        (
            "web:nosuch",
            Err("unable to find group nosuch: no matching entries in group file"),
        ),
    ] {
        let found = subject.files.find_user((subject.view)(), user).await;
        let found = found.map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{user}");
    }
}

async fn a_reader_may_leave(subject: &Subject) {
    let large = "x".repeat(1 << 20);
    fill(subject, "/", &[("large", &large), ("small", "y")]).await;
    let (_, mut stream) = subject.files.read((subject.view)(), "/large").await.expect("read");
    stream.next().await.expect("a beginning").expect("bytes");
    drop(stream);
    let (_, stream) = subject.files.read((subject.view)(), "/small").await.expect("read");
    assert_eq!(entries(stream).await, pairs(&[("small", "y")]));
}

#[cfg(test)]
mod tests {
    use hyperbox_core::seam::ViewRoot;
    use hyperbox_types::RootMount;

    use super::{Subject, run};
    use crate::fake::FakeFiles;

    #[tokio::test]
    async fn the_fake_conforms() {
        run(|| {
            let view = || hyperbox_core::seam::FilesView {
                root: ViewRoot::Idle(RootMount::Bind {
                    source: "/".into(),
                    read_only: false,
                }),
                mounts: Vec::new(),
                turn: Box::new(()),
            };
            Subject {
                files: std::sync::Arc::new(FakeFiles::default()),
                view: Box::new(view),
            }
        })
        .await;
    }
}
