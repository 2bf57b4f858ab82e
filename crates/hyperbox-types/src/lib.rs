// SPDX-License-Identifier: MIT
//! The nouns of HyperBox: ids, digests, image references, sizes, states, error kinds and wire messages.
//!
//! Everything here is plain data. No I/O, no clock, no environment, no async: each crate of the workspace, on every
//! platform, may depend on this one. A value of one of these types is valid by construction (constructors parse), so
//! code further in never checks again.

pub mod build;
pub mod check;
mod digest;
mod error;
mod id;
pub mod image_diff;
mod name;
pub mod optimize;
mod platform;
mod port;
pub mod project;
mod reference;
mod rootfs;
pub mod run;
pub mod shim;
mod signal;
mod size;
pub mod stream;
pub mod trace;
mod ulimit;

pub use digest::{DiffId, Digest, DigestAlgorithm, InvalidDigest};
pub use error::{ErrorKind, Hint};
pub use id::{ContainerId, ExecId, ImageId, InvalidId, NetworkId};
pub use name::{ContainerName, InvalidName, NetworkName, VolumeName};
pub use platform::{Architecture, InvalidPlatform, Platform};
pub use port::{ContainerPort, InvalidPort, Protocol, UnknownProtocol};
pub use reference::{ImageReference, InvalidReference, RegistryHost, Repository, Tag};
pub use rootfs::{RootMount, SUBPATH_OPTION, WritableLayer};
pub use signal::{InvalidSignal, Signal};
pub use size::{ByteSize, InvalidSize};
pub use ulimit::{InvalidUlimit, Ulimit};
