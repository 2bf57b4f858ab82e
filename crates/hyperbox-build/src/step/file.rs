// SPDX-License-Identifier: MIT
//! Steps that change files and run nothing: COPY, ADD, WORKDIR.

use std::sync::Arc;

use crate::context::Tree;

/// A step that changes files.
#[derive(Debug, Clone)]
pub enum FileStep {
    /// COPY, and ADD.
    Copy(CopyStep),
    /// WORKDIR.
    MakeDirectory(MakeDirectory),
}

/// COPY or ADD.
#[derive(Debug, Clone)]
pub struct CopyStep {
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// Absolute path in the root filesystem; a slash at its end says that it is a directory. Cleaned of `.` and `..`.
    pub destination: String,
    /// Owner and group, as written after `--chown`; `None` is 0:0 for everything.
    pub owner: Option<FileOwner>,
    /// Mode as written after `--chmod`, digits or symbols; `None` keeps the source's.
    pub mode: Option<String>,
    /// Whether the layer is made as on an empty root filesystem.
    pub link: bool,
    /// Whether directories above the sources are made too.
    pub parents: bool,
    /// Patterns of what is left out, relative to each source's root.
    pub excludes: Vec<String>,
    /// Whether it is ADD: archives among files are unpacked, addresses are fetched.
    pub add: Option<AddFile>,
}

/// Where something to copy is.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// In a tree.
    Tree {
        /// The context, the stage or the image.
        tree: Arc<dyn Tree>,
        /// A path or a pattern, as written, variables replaced.
        path: String,
    },
    /// A file of this name with this text; mode 0644.
    Text {
        /// Its name.
        name: String,
        /// What is in it, variables replaced.
        content: String,
    },
    /// An address: HTTP or git. Only of ADD.
    Remote {
        /// As written, variables replaced.
        address: String,
        /// The SHA-256 of the file behind it, where the build has looked ([`super::FileSteps::look_up`]).
        content: Option<[u8; 32]>,
    },
}

/// What ADD has besides COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddFile {
    /// The digest that what is fetched must have.
    pub checksum: Option<String>,
    /// Whether `.git` stays in what is cloned.
    pub keep_git_directory: bool,
    /// What becomes of archives.
    pub unpacking: Unpacking,
}

/// What becomes of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unpacking {
    /// Those of the tree are unpacked, those that were fetched are not.
    #[default]
    Local,
    /// All are.
    Always,
    /// None is.
    Never,
}

/// `user[:group]`, names or numbers; names mean what `/etc/passwd` and `/etc/group` of the root filesystem say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOwner(pub String);

/// A directory that shall be there, with those above it, mode 0755. One that is there stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeDirectory {
    /// Absolute path.
    pub path: String,
    /// Whom new directories belong to; `None` is 0:0.
    pub owner: Option<FileOwner>,
}
