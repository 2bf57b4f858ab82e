// SPDX-License-Identifier: MIT
//! Fakes of the seams: small, honest, deliberately concurrent.
//!
//! *Honest*: they keep the contracts of `hyperbox_core::seam` and pass the same conformance suites as the real mechanisms, within
//! what needs no kernel. *Concurrent*: async calls yield before they act, so that a service which relies on a call being atomic
//! with the next line fails its tests. A clone of a fake shares its state: cloning, dropping the engine and building a new one on
//! the clone is a restart of the daemon.
//!
//! Each fake can be told to fail; a told failure happens once and before anything was done.

mod content;
mod fault;
mod files;
mod groups;
mod host;
mod host_network;
mod names;
mod network;
mod peers;
mod ports;
mod records;
mod registry;
mod sandbox;
mod snapshot;
mod task;
mod volume;

#[cfg(test)]
mod tests;

pub use content::MemoryContent;
pub use files::FakeFiles;
pub use groups::FakeGroups;
pub use host::FakeHost;
pub use host_network::FakeHostNetwork;
pub use names::FakeNames;
pub use network::FakeNetwork;
pub use peers::FakePeers;
pub use ports::FakePorts;
pub use records::{HeldSync, MemoryRecords};
pub use registry::FakeRegistry;
pub use sandbox::FakeSandboxes;
pub use snapshot::FakeSnapshotter;
pub use task::{FakeTask, FakeTaskRuntime, LaunchedTask, Script};
pub use volume::FakeVolumes;
