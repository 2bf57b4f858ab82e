// SPDX-License-Identifier: MIT
//! `blkio_config`: a service's share of block devices, and what it may read and write of each.

use serde::{Deserialize, Serialize};

/// The limits of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockLimits {
    /// Its share, from 10 to 1000; 0 for none of its own.
    pub weight: u16,
    /// Its shares of devices.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes that it may read in a second.
    pub device_read_bps: Vec<DeviceRate>,
    /// Bytes that it may write in a second.
    pub device_write_bps: Vec<DeviceRate>,
    /// Reads in a second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Writes in a second.
    pub device_write_iops: Vec<DeviceRate>,
}

/// The share of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceWeight {
    /// Which device.
    pub path: String,
    /// From 10 to 1000.
    pub weight: u16,
}

/// The most that is allowed of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DeviceRate {
    /// Which device.
    pub path: String,
    /// Bytes or operations in a second, in digits.
    pub rate: String,
}
