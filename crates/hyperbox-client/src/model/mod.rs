// SPDX-License-Identifier: MIT
//! What the daemon sends and takes, with only the fields that clients of this crate use.
//!
//! Answers are read tolerantly: unknown fields are skipped, missing ones and `null` become empty.

mod container;
mod create;
mod image;
mod network;
mod progress;
mod stats;
mod system;
mod usage;

pub use container::{
    ChangedFile, ContainerConfig, ContainerState, ContainerSummary, Created, CreatedContainer, EndpointSummary,
    ExecState, MountPoint, NetworkSettings, PortBinding, PortSummary, State, Top, UpdateWarnings, WaitError,
    WaitResult,
};
pub use create::{
    BindOptions, BlkioWeight, Container, DeviceMapping, DeviceRequest, Empty, Endpoint, HealthCheck, HostConfig,
    ImageOptions, IpamConfig, LogConfig, Mount, NetworkingConfig, PublishedPort, RestartPolicy, ThrottleDevice,
    TmpfsOptions, VolumeDriver, VolumeOptions,
};
pub use image::{
    FoundRepository, History, ImageSummary, ManifestImage, ManifestPlatform, ManifestSize, ManifestSummary,
    RemovedImage,
};
pub use network::{
    AddressPool, ConfigReference, ConnectNetwork, CreateNetwork, CreatedNetwork, DisconnectNetwork, Ipam,
    NetworkSummary,
};
pub use progress::{Progress, ProgressDetail, ProgressError};
pub use stats::{BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats};
pub use system::{AuthRequest, AuthStatus, CreateVolume, Ping, Pruned, Volume, VolumeList, VolumeUsage};
pub use usage::{BuildCache, DiskUsage};

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default value: Go writes it for empty lists and maps.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
