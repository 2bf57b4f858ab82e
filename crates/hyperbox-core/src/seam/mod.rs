// SPDX-License-Identifier: MIT
//! The seams: what the engine needs from its mechanisms, and nothing of how they do it.
//!
//! Each trait has its life cycle in prose above it and a conformance suite in `hyperbox-testkit`, which every implementation
//! and every fake passes.

mod content;
mod files;
mod groups;
mod host;
mod host_network;
mod names;
mod network;
mod optimize;
mod peers;
mod ports;
mod records;
mod registry;
mod sandbox;
mod snapshot;
mod task;
mod volume;

pub(crate) use content::io_kind;
pub use content::{BlobInfo, ContentError, ContentStore, ContentWriter, Stray, StrayOrigin};
pub use files::{
    ContainerFiles, FileStream, FilesError, FilesView, PathStat, Replace, ViewMount, ViewRoot, ViewSource, WriteFiles,
};
pub use groups::{ControlGroups, GroupError, GroupLimits, GroupUsage};
pub use host::{DeviceNode, Host, HostError, LinkCounters, PathKind, ProcessInfo, ProcessorSets};
pub use host_network::{BoundPort, HostNetwork};
pub use names::{Announcement, NameServer, NameService, ResolverSettings};
pub use network::{
    AddressPool, DefaultRoutes, Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish,
    PoolWish, Sandbox, SandboxRequest,
};
pub use optimize::{Busy, LayerOptimizer, Optimized, Pace, SharedUsage};
pub use peers::Peers;
pub use ports::{PortPublisher, PortRequest, PublishRequest, PublishedPort};
pub use records::{Change, Records, RecordsError, Table};
pub use registry::{
    BlobStream, Credentials, Descriptor, Download, FetchedManifest, PushOutcome, Registry, RegistryError,
    RegistryFault, SearchResult,
};
pub use sandbox::{NameSockets, Routes, Sandboxes};
pub use snapshot::{
    ActiveKey, Compression, FileChange, FileChangeKind, LayerCheck, SnapshotError, Snapshotter, StagedLayer, Usage,
};
pub use task::{
    AttachIo, LaunchTask, LogEntry, LogQuery, LogStream, PendingAttach, Reattached, RuntimeInfo, RuntimeVersion, Task,
    TaskError, TaskExit, TaskRuntime, TaskStatus,
};
pub use volume::{VolumeDriver, VolumeError, VolumeMount};
