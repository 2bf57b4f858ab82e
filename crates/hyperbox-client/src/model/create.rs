// SPDX-License-Identifier: MIT
//! The body of `POST /containers/create` and of `/containers/{id}/update`: absent fields are not sent, but for the lists that Docker's
//! command line sends empty: engines show them as they came.

use std::collections::BTreeMap;

use hyperbox_types::Ulimit;
use serde::Serialize;

macro_rules! request_body {
    (
        $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty),* $(,)? }
        $(always { $($(#[$sent_doc:meta])* $sent:ident : $sent_type:ty),* $(,)? })?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct $name {
            $($(#[$field_doc])* #[serde(skip_serializing_if = "is_default")] pub $field: $type,)*
            $($($(#[$sent_doc])* pub $sent: $sent_type,)*)?
        }
    };
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An object without fields, as Go writes sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

request_body!(
    /// A container to create.
    Container {
        /// Host name.
        hostname: String,
        /// Domain name.
        domainname: String,
        /// User, `user[:group]`.
        user: String,
        /// Attach input.
        attach_stdin: bool,
        /// Attach output.
        attach_stdout: bool,
        /// Attach errors.
        attach_stderr: bool,
        /// Exposed ports, `80/tcp`.
        exposed_ports: BTreeMap<String, Empty>,
        /// Terminal.
        tty: bool,
        /// Input can be attached.
        open_stdin: bool,
        /// Input closes with the first client.
        stdin_once: bool,
        /// Environment.
        env: Vec<String>,
        /// Command; the image's when absent.
        cmd: Option<Vec<String>>,
        /// Health check; the image's when absent.
        healthcheck: Option<HealthCheck>,
        /// Image.
        image: String,
        /// Anonymous volumes.
        volumes: BTreeMap<String, Empty>,
        /// Working directory.
        working_dir: String,
        /// Entry point; the image's when absent, none when it holds one empty string.
        entrypoint: Option<Vec<String>>,
        /// Labels.
        labels: BTreeMap<String, String>,
        /// Signal that stops it.
        stop_signal: String,
        /// Seconds until it is killed.
        stop_timeout: Option<i64>,
        /// What the host gives.
        host_config: HostConfig,
        /// Where it is connected.
        networking_config: NetworkingConfig,
    }
);

request_body!(
    /// What the host gives a container.
    HostConfig {
        /// Bind mounts in short form.
        binds: Vec<String>,
        /// File that takes the id; kept by the daemon for inspection.
        #[serde(rename = "ContainerIDFile")]
        container_id_file: String,
        /// Log driver.
        log_config: LogConfig,
        /// `none`, `host`, `bridge`, a name.
        network_mode: String,
        /// Restart policy.
        restart_policy: RestartPolicy,
        /// Remove after exit.
        auto_remove: bool,
        /// Driver of anonymous volumes.
        volume_driver: String,
        /// Containers whose volumes are shared.
        volumes_from: Vec<String>,
        /// Mounts in long form.
        mounts: Vec<Mount>,
        /// Terminal size, rows first.
        console_size: Option<[u16; 2]>,
        /// OCI annotations.
        annotations: BTreeMap<String, String>,
        /// Added capabilities.
        cap_add: Vec<String>,
        /// Dropped capabilities.
        cap_drop: Vec<String>,
        /// Cgroup namespace.
        cgroupns_mode: String,
        /// Lines of the hosts file.
        extra_hosts: Vec<String>,
        /// Supplementary groups.
        group_add: Vec<String>,
        /// IPC namespace.
        ipc_mode: String,
        /// Links.
        links: Vec<String>,
        /// Preference of the out-of-memory killer.
        oom_score_adj: i64,
        /// PID namespace.
        pid_mode: String,
        /// All privileges.
        privileged: bool,
        /// Publish all exposed ports.
        publish_all_ports: bool,
        /// Root filesystem is read-only.
        readonly_rootfs: bool,
        /// Security options.
        security_opt: Vec<String>,
        /// Storage options.
        storage_opt: BTreeMap<String, String>,
        /// Temporary filesystems.
        tmpfs: BTreeMap<String, String>,
        /// UTS namespace.
        #[serde(rename = "UTSMode")]
        uts_mode: String,
        /// User namespace.
        userns_mode: String,
        /// Size of /dev/shm.
        shm_size: i64,
        /// Kernel parameters.
        sysctls: BTreeMap<String, String>,
        /// OCI runtime.
        runtime: String,
        /// Windows isolation.
        isolation: String,
        /// CPU weight.
        cpu_shares: i64,
        /// Memory limit.
        memory: i64,
        /// CPUs in units of 10⁻⁹.
        nano_cpus: i64,
        /// Parent cgroup.
        cgroup_parent: String,
        /// Block I/O weight.
        blkio_weight: u16,
        /// Period of the CPU quota.
        cpu_period: i64,
        /// CPU quota.
        cpu_quota: i64,
        /// Real-time period.
        cpu_realtime_period: i64,
        /// Real-time runtime.
        cpu_realtime_runtime: i64,
        /// CPUs.
        cpuset_cpus: String,
        /// Memory nodes.
        cpuset_mems: String,
        /// Rules of the device cgroup.
        device_cgroup_rules: Vec<String>,
        /// Devices by driver, such as GPUs.
        device_requests: Vec<DeviceRequest>,
        /// Soft memory limit.
        memory_reservation: i64,
        /// Memory and swap.
        memory_swap: i64,
        /// Tendency to swap.
        memory_swappiness: Option<i64>,
        /// No out-of-memory killer.
        oom_kill_disable: bool,
        /// Small init.
        init: Option<bool>,
        /// Number of processes.
        pids_limit: Option<i64>,
        /// Paths hidden in the container; an empty list hides none.
        masked_paths: Option<Vec<String>>,
        /// Paths that are read-only in the container; an empty list leaves all writable.
        readonly_paths: Option<Vec<String>>,
    }
    always {
        /// Published ports.
        port_bindings: BTreeMap<String, Vec<PublishedPort>>,
        /// Name servers.
        dns: Vec<String>,
        /// Resolver options.
        dns_options: Vec<String>,
        /// Search domains.
        dns_search: Vec<String>,
        /// Weights by device.
        blkio_weight_device: Vec<BlkioWeight>,
        /// Read limits in bytes.
        blkio_device_read_bps: Vec<ThrottleDevice>,
        /// Write limits in bytes.
        blkio_device_write_bps: Vec<ThrottleDevice>,
        /// Read limits in operations.
        #[serde(rename = "BlkioDeviceReadIOps")]
        blkio_device_read_iops: Vec<ThrottleDevice>,
        /// Write limits in operations.
        #[serde(rename = "BlkioDeviceWriteIOps")]
        blkio_device_write_iops: Vec<ThrottleDevice>,
        /// Devices.
        devices: Vec<DeviceMapping>,
        /// Resource limits.
        ulimits: Vec<Ulimit>,
    }
);

request_body!(
    /// Log driver.
    LogConfig {
        /// Its name.
        #[serde(rename = "Type")]
        kind: String,
        /// Its options.
        config: BTreeMap<String, String>,
    }
);

request_body!(
    /// When a container is started again.
    RestartPolicy {
        /// `no`, `always`, `unless-stopped`, `on-failure`.
        name: String,
        /// Attempts for `on-failure`.
        maximum_retry_count: i64,
    }
);

request_body!(
    /// A mount in long form.
    Mount {
        /// `bind`, `volume`, `tmpfs`, …
        #[serde(rename = "Type")]
        kind: String,
        /// Path or volume.
        source: String,
        /// Path in the container.
        target: String,
        /// Cannot be written.
        read_only: bool,
        /// Kept for old clients.
        consistency: String,
        /// For binds.
        bind_options: Option<BindOptions>,
        /// For volumes.
        volume_options: Option<VolumeOptions>,
        /// For images.
        image_options: Option<ImageOptions>,
        /// For temporary filesystems.
        tmpfs_options: Option<TmpfsOptions>,
    }
);

request_body!(
    /// Options of a bind mount.
    BindOptions {
        /// `rprivate`, `rshared`, …
        propagation: String,
        /// Without the mounts below.
        non_recursive: bool,
        /// Create the path when it is missing.
        create_mountpoint: bool,
        /// Mounts below stay writable.
        read_only_non_recursive: bool,
        /// Fail when mounts below cannot be made read-only.
        read_only_force_recursive: bool,
    }
);

request_body!(
    /// Options of a volume mount.
    VolumeOptions {
        /// Do not copy up from the image.
        no_copy: bool,
        /// Labels of a new volume.
        labels: BTreeMap<String, String>,
        /// Driver of a new volume.
        driver_config: Option<VolumeDriver>,
        /// Part of the volume.
        subpath: String,
    }
);

request_body!(
    /// Driver of a new volume.
    VolumeDriver {
        /// Its name.
        name: String,
        /// Its options.
        options: BTreeMap<String, String>,
    }
);

request_body!(
    /// Options of an image mount.
    ImageOptions {
        /// Part of the image.
        subpath: String,
    }
);

request_body!(
    /// Options of a temporary filesystem.
    TmpfsOptions {
        /// Limit in bytes.
        size_bytes: i64,
        /// Permissions.
        mode: u32,
    }
);

request_body!(
    /// A device of the host.
    DeviceMapping {
        /// Path on the host.
        path_on_host: String,
        /// Path in the container.
        path_in_container: String,
        /// Some of `rwm`.
        cgroup_permissions: String,
    }
);

request_body!(
    /// Devices by driver.
    DeviceRequest {
        /// Driver.
        driver: String,
        /// How many, -1 for all.
        count: i64,
        /// Which ones.
        #[serde(rename = "DeviceIDs")]
        device_ids: Vec<String>,
        /// Alternatives of abilities that must be there.
        capabilities: Vec<Vec<String>>,
    }
    always {
        /// Options.
        options: BTreeMap<String, String>,
    }
);

request_body!(
    /// Weight of a device.
    BlkioWeight {
        /// Path.
        path: String,
        /// Weight.
        weight: u16,
    }
);

request_body!(
    /// Limit of a device.
    ThrottleDevice {
        /// Path.
        path: String,
        /// Bytes or operations per second.
        rate: u64,
    }
);

/// Where a port is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublishedPort {
    /// Address on the host, empty for all.
    pub host_ip: String,
    /// Port on the host, empty for any.
    pub host_port: String,
}

request_body!(
    /// Health check; durations in nanoseconds.
    HealthCheck {
        /// `["NONE"]`, `["CMD-SHELL", command]`.
        test: Vec<String>,
        /// Time between checks.
        interval: i64,
        /// Time that one check may take.
        timeout: i64,
        /// Failures until unhealthy.
        retries: i64,
        /// Failures do not count at first.
        start_period: i64,
        /// Time between checks at first.
        start_interval: i64,
    }
);

/// The networks of a new container.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkingConfig {
    /// By name.
    pub endpoints_config: BTreeMap<String, Endpoint>,
}

request_body!(
    /// A new container's place in a network.
    Endpoint {
        /// Fixed addresses.
        #[serde(rename = "IPAMConfig")]
        ipam_config: Option<IpamConfig>,
        /// Links.
        links: Vec<String>,
        /// Hardware address.
        mac_address: String,
        /// Other names.
        aliases: Vec<String>,
        /// Options of the driver.
        driver_opts: BTreeMap<String, String>,
        /// Which network gives the default route.
        gw_priority: i64,
    }
);

request_body!(
    /// Fixed addresses.
    IpamConfig {
        /// IPv4.
        #[serde(rename = "IPv4Address")]
        ipv4_address: String,
        /// IPv6.
        #[serde(rename = "IPv6Address")]
        ipv6_address: String,
        /// Link-local.
        #[serde(rename = "LinkLocalIPs")]
        link_local_ips: Vec<String>,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_of_a_container_without_wishes() {
        let sent = serde_json::to_value(HostConfig::default()).expect("plain data");
        let fields = sent.as_object().expect("an object");
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "BlkioDeviceReadBps",
                "BlkioDeviceReadIOps",
                "BlkioDeviceWriteBps",
                "BlkioDeviceWriteIOps",
                "BlkioWeightDevice",
                "Devices",
                "Dns",
                "DnsOptions",
                "DnsSearch",
                "PortBindings",
                "Ulimits",
            ]
        );
        let empty =
            |value: &serde_json::Value| value.as_array().is_some_and(Vec::is_empty) || *value == serde_json::json!({});
        assert!(fields.values().all(empty), "{sent}");
    }
}
