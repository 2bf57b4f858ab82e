// SPDX-License-Identifier: MIT
//! Limits, devices and process limits. What contradicts itself or the machine is refused by the engine; here only what cannot be
//! expressed in its words.

use hyperbox_core::container::{BlockDeviceLimit, DeviceMapping, DeviceRequest, Resources, Rlimit};
use hyperbox_types::{ByteSize, Ulimit};

use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::{self, ThrottleDevice, WeightDevice};

/// Translates limits; 0, "" and absence mean no limit.
///
/// # Errors
/// 400 for negative numbers where none make sense.
pub(crate) fn from_wire(wire: &host_config::Resources) -> ApiResult<Resources> {
    let block_weight = u16::try_from(wire.blkio_weight)
        .map_err(|_| ApiError::bad_request("range of blkio weight is from 10 to 1000"))?;
    for (set, what) in [(wire.io_maximum_bandwidth, "bandwidth"), (wire.io_maximum_iops, "IOPs")] {
        if set != 0 {
            return Err(ApiError::bad_request(format!(
                "invalid option: QoS maximum {what} configuration is not supported on linux"
            )));
        }
    }
    if wire.memory < 0 {
        return Err(ApiError::bad_request("Minimum memory limit allowed is 6MB"));
    }
    Ok(Resources {
        memory: bytes("memory limit", wire.memory)?,
        memory_swap: Some(wire.memory_swap).filter(|swap| *swap != 0),
        memory_reservation: bytes("memory reservation", wire.memory_reservation.max(0))?,
        memory_swappiness: swappiness(wire.memory_swappiness)?,
        oom_kill_disable: wire.oom_kill_disable.unwrap_or(false),
        nano_cpus: positive("CPUs", wire.nano_cpus)?,
        cpu_shares: positive("CPU shares", wire.cpu_shares)?,
        cpu_period: positive("CPU period", wire.cpu_period)?,
        // -1 is the kernel's word for no limit.
        cpu_quota: Some(wire.cpu_quota).filter(|quota| *quota > 0),
        cpu_realtime_period: positive("CPU real-time period", wire.cpu_realtime_period)?,
        cpu_realtime_runtime: Some(wire.cpu_realtime_runtime).filter(|runtime| *runtime != 0),
        cpuset_cpus: text(&wire.cpuset_cpus),
        cpuset_mems: text(&wire.cpuset_mems),
        pids: wire.pids_limit.filter(|limit| *limit > 0),
        block_weight: Some(block_weight).filter(|weight| *weight != 0),
        block_weight_devices: weights(wire.blkio_weight_device.as_deref()),
        block_read_bytes: throttles(wire.blkio_device_read_bps.as_deref()),
        block_write_bytes: throttles(wire.blkio_device_write_bps.as_deref()),
        block_read_operations: throttles(wire.blkio_device_read_iops.as_deref()),
        block_write_operations: throttles(wire.blkio_device_write_iops.as_deref()),
        cgroup_parent: text(&wire.cgroup_parent),
        device_rules: wire.device_cgroup_rules.clone().unwrap_or_default(),
    })
}

fn swappiness(wire: Option<i64>) -> ApiResult<Option<u64>> {
    match wire {
        None | Some(-1) => Ok(None),
        Some(value @ 0..=100) => Ok(Some(value.unsigned_abs())),
        Some(value) => Err(ApiError::bad_request(format!(
            "Invalid value: {value}, valid memory swappiness range is 0-100"
        ))),
    }
}

fn positive(what: &str, value: i64) -> ApiResult<Option<u64>> {
    match u64::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(ApiError::bad_request(format!(
            "invalid {what} ({value}): value must be a positive integer"
        ))),
    }
}

fn bytes(what: &str, value: i64) -> ApiResult<Option<ByteSize>> {
    Ok(positive(what, value)?.map(ByteSize))
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn throttles(devices: Option<&[ThrottleDevice]>) -> Vec<BlockDeviceLimit> {
    let devices = devices.unwrap_or_default().iter();
    devices
        .map(|device| BlockDeviceLimit {
            path: device.path.as_str().into(),
            rate: device.rate,
        })
        .collect()
}

fn weights(devices: Option<&[WeightDevice]>) -> Vec<BlockDeviceLimit> {
    let devices = devices.unwrap_or_default().iter();
    devices
        .map(|device| BlockDeviceLimit {
            path: device.path.as_str().into(),
            rate: device.weight.into(),
        })
        .collect()
}

/// Translates devices that are asked for by what they can do.
pub(crate) fn device_requests(wire: &host_config::Resources) -> Vec<DeviceRequest> {
    let translate = |request: &host_config::DeviceRequest| DeviceRequest {
        driver: request.driver.clone(),
        ids: request.device_ids.clone().unwrap_or_default(),
        capabilities: request.capabilities.clone().unwrap_or_default(),
    };
    wire.device_requests.iter().flatten().map(translate).collect()
}

/// Translates devices of the host.
pub(crate) fn devices(wire: &host_config::Resources) -> Vec<DeviceMapping> {
    let translate = |device: &host_config::Device| {
        let or = |text: &str, default: &str| {
            if text.is_empty() {
                default.to_owned()
            } else {
                text.to_owned()
            }
        };
        DeviceMapping {
            host: device.path_on_host.as_str().into(),
            container: or(&device.path_in_container, &device.path_on_host).into(),
            permissions: or(&device.cgroup_permissions, "rwm"),
        }
    };
    wire.devices.iter().flatten().map(translate).collect()
}

/// Translates process limits.
///
/// # Errors
/// 400 for unknown names and a soft limit above the hard one.
pub(crate) fn rlimits(wire: &host_config::Resources) -> ApiResult<Vec<Rlimit>> {
    let translate = |limit: &host_config::Ulimit| {
        let name = limit.name.to_ascii_lowercase();
        let name = name.strip_prefix("rlimit_").unwrap_or(&name);
        let limit =
            Ulimit::new(name, limit.soft, limit.hard).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Rlimit {
            name: limit.name().to_owned(),
            soft: limit.soft(),
            hard: limit.hard(),
        })
    };
    wire.ulimits.iter().flatten().map(translate).collect()
}
