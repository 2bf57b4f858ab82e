// SPDX-License-Identifier: MIT
//! Files of containers in memory: directories, plain files and symbolic links, whoever's they are. Mounts are only looked at for
//! whether they refuse writes; links in the middle of a path are not followed.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use hyperbox_core::seam::{ContainerFiles, FileStream, FilesError, FilesView, PathStat, Replace, ViewRoot, WriteFiles};
use hyperbox_core::time::Timestamp;
use tar::EntryType;

/// A file of the fake.
#[derive(Debug, Clone)]
struct Node {
    mode: u32,
    content: Vec<u8>,
}

impl Node {
    fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

type Tree = BTreeMap<String, Node>;

/// Keeps the files of containers in memory. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct FakeFiles {
    /// By what identifies the container's own files.
    trees: Arc<Mutex<BTreeMap<String, Tree>>>,
}

impl FakeFiles {
    fn with_tree<T>(&self, view: &FilesView, work: impl FnOnce(&mut Tree) -> T) -> T {
        let key = match &view.root {
            ViewRoot::Running { pid } => pid.to_string(),
            ViewRoot::Idle(mount) => format!("{mount:?}"),
        };
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = Node {
            mode: 0o040_755,
            content: Vec::new(),
        };
        let fresh = || {
            Tree::from([
                (String::new(), directory.clone()),
                ("etc".to_owned(), directory.clone()),
            ])
        };
        work(trees.entry(key).or_insert_with(fresh))
    }
}

fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn find(tree: &Tree, path: &str) -> Result<(String, PathStat), FilesError> {
    let key = clean(path);
    let node = tree
        .get(&key)
        .ok_or_else(|| FilesError::NotFound { path: path.to_owned() })?;
    let name = key.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/");
    let stat = PathStat {
        name: name.to_owned(),
        size: node.content.len() as u64,
        mode: node.mode,
        modified_at: Timestamp(0),
        link_target: if node.is_link() {
            format!("/{}", clean(&String::from_utf8_lossy(&node.content)))
        } else {
            String::new()
        },
    };
    Ok((key, stat))
}

fn pack(tree: &Tree, root: &str, name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, node) in tree {
        let below = path == root || root.is_empty() || path.starts_with(&format!("{root}/"));
        let relative = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
        let shown = [name, relative]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/");
        if !below || shown.is_empty() {
            continue;
        }
        let mut header = tar::Header::new_ustar();
        header.set_mode(node.mode & 0o7777);
        let written = if node.is_directory() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, format!("{shown}/"), std::io::empty())
        } else if node.is_link() {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, shown, String::from_utf8_lossy(&node.content).as_ref())
        } else {
            header.set_size(node.content.len() as u64);
            builder.append_data(&mut header, shown, node.content.as_slice())
        };
        written.expect("writing to memory");
    }
    builder.into_inner().expect("writing to memory")
}

fn streamed(bytes: Vec<u8>) -> FileStream {
    let chunks: Vec<_> = bytes
        .chunks(512)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Box::pin(stream::iter(chunks))
}

fn refused(reason: impl Into<String>) -> FilesError {
    FilesError::Refused { reason: reason.into() }
}

fn unpack(tree: &mut Tree, into: &str, how: &WriteFiles, archive: &mut dyn Read) -> Result<(), FilesError> {
    let damaged = |source: std::io::Error| FilesError::Archive {
        reason: "damaged".to_owned(),
        source: Some(source),
    };
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name.split('/').any(|part| part == "..") {
            return Err(refused(format!("invalid entry name {name:?}")));
        }
        let key = clean(&format!("{into}/{name}"));
        let kind = match entry.header().entry_type() {
            EntryType::Directory => 0o040_000,
            EntryType::Symlink => 0o120_000,
            _ => 0o100_000,
        };
        let there = tree.get(&key).map(Node::is_directory);
        match (there, kind == 0o040_000) {
            (Some(true), true) => continue,
            (Some(was_directory), is_directory) => {
                if how.replace == Replace::SameKind && was_directory != is_directory {
                    let (old, new) = if was_directory {
                        ("directory", "non-directory")
                    } else {
                        ("non-directory", "directory")
                    };
                    return Err(refused(format!(
                        "cannot overwrite {old} {:?} with {new} {:?}",
                        clean(&name),
                        format!("/{}", clean(into))
                    )));
                }
                tree.retain(|path, _| path != &key && !path.starts_with(&format!("{key}/")));
            }
            (None, _) => {}
        }
        let mut content = Vec::new();
        if kind == 0o120_000 {
            content.extend_from_slice(&entry.link_name_bytes().unwrap_or_default());
        } else {
            entry.read_to_end(&mut content).map_err(damaged)?;
        }
        let mode = kind | (entry.header().mode().unwrap_or(0) & 0o7777);
        let mut above = String::new();
        for part in key
            .split('/')
            .collect::<Vec<_>>()
            .split_last()
            .map_or(&[][..], |(_, above)| above)
        {
            above = clean(&format!("{above}/{part}"));
            let directory = Node {
                mode: 0o040_755,
                content: Vec::new(),
            };
            tree.entry(above.clone()).or_insert(directory);
        }
        tree.insert(key, Node { mode, content });
    }
    Ok(())
}

#[async_trait]
impl ContainerFiles for FakeFiles {
    async fn stat(&self, view: FilesView, path: &str) -> Result<PathStat, FilesError> {
        tokio::task::yield_now().await;
        self.with_tree(&view, |tree| find(tree, path).map(|(_, stat)| stat))
    }

    async fn read(&self, view: FilesView, path: &str) -> Result<(PathStat, FileStream), FilesError> {
        tokio::task::yield_now().await;
        self.with_tree(&view, |tree| {
            let (key, stat) = find(tree, path)?;
            let bytes = pack(tree, &key, &stat.name);
            Ok((stat, streamed(bytes)))
        })
    }

    async fn write(
        &self,
        view: FilesView,
        path: &str,
        how: WriteFiles,
        mut archive: Box<dyn Read + Send>,
    ) -> Result<(), FilesError> {
        let absolute = format!("/{}", clean(path));
        let mount = view
            .mounts
            .iter()
            .filter(|mount| std::path::Path::new(&absolute).starts_with(&mount.target));
        let read_only = mount
            .max_by_key(|mount| mount.target.components().count())
            .map(|mount| mount.read_only);
        let checked = self.with_tree(&view, |tree| {
            let (key, stat) = find(tree, path)?;
            match read_only {
                _ if stat.mode & 0o170_000 != 0o040_000 => Err(refused("extraction point is not a directory")),
                Some(true) => Err(refused("mounted volume is marked read-only")),
                None if how.read_only_root => Err(refused("container rootfs is marked read-only")),
                Some(false) | None => Ok(key),
            }
        })?;
        let mut bytes = Vec::new();
        let read = tokio::task::spawn_blocking(move || archive.read_to_end(&mut bytes).map(|_| bytes)).await;
        let bytes = read
            .map_err(std::io::Error::other)
            .and_then(|read| read)
            .map_err(|source| FilesError::Io {
                operation: "read",
                path: "the archive".to_owned(),
                source,
            })?;
        self.with_tree(&view, |tree| unpack(tree, &checked, &how, &mut bytes.as_slice()))
    }

    async fn find_user(&self, view: FilesView, user: &str) -> Result<(u32, u32), FilesError> {
        tokio::task::yield_now().await;
        let text = |tree: &Tree, path: &str| {
            let node = tree.get(path);
            node.map(|node| String::from_utf8_lossy(&node.content).into_owned())
                .unwrap_or_default()
        };
        let (passwd, group) = self.with_tree(&view, |tree| (text(tree, "etc/passwd"), text(tree, "etc/group")));
        let (name, wish) = user.split_once(':').unwrap_or((user, ""));
        let ids = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
            let named = fields.first() == Some(&name) || fields.get(2) == Some(&name);
            named.then(|| Some((number(2)?, number(3)?))).flatten()
        };
        let unknown = |what: &str, name: &str, file: &str| {
            refused(format!(
                "unable to find {what} {name}: no matching entries in {file} file"
            ))
        };
        let own = passwd.lines().find_map(ids).or_else(|| Some((name.parse().ok()?, 0)));
        let (uid, gid) = own.ok_or_else(|| unknown("user", name, "passwd"))?;
        if wish.is_empty() {
            return Ok((uid, gid));
        }
        let line = group.lines().find(|line| line.split(':').next() == Some(wish));
        let found = line.and_then(|line| line.split(':').nth(2)).unwrap_or(wish);
        Ok((uid, found.parse().map_err(|_| unknown("group", wish, "group"))?))
    }

    async fn export(&self, view: FilesView) -> Result<FileStream, FilesError> {
        tokio::task::yield_now().await;
        Ok(streamed(self.with_tree(&view, |tree| pack(tree, "", ""))))
    }
}
