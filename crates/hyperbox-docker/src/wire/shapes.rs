// SPDX-License-Identifier: MIT
//! The types of all request bodies as Go's refusals name them ([`shape`](crate::go_json::shape)): `api/types` of Docker Engine 28.5.
//!
//! A table; what each field is for stands with the types that are read.

use super::config::CreateBody;
use super::container::UpdateBody;
use super::exec::{ExecCreateBody, ExecStartBody};
use super::image::PlatformDocument;
use super::network::{ConnectBody, DisconnectBody, NetworkCreateBody};
use super::volume::VolumeCreateBody;
use crate::go_json::shape::{Document, Integer, Root, Shape, Struct};
use crate::registry_auth::AuthConfig;

const fn integer(name: &'static str, least: i128, greatest: i128) -> Shape {
    Shape::Integer(Integer { name, least, greatest })
}

static BOOL: Shape = Shape::Bool;
static STRING: Shape = Shape::Text("string");
static WORDS: Shape = Shape::Words;
static INT: Shape = integer("int", i64::MIN as i128, i64::MAX as i128);
static INT64: Shape = integer("int64", i64::MIN as i128, i64::MAX as i128);
static DURATION: Shape = integer("time.Duration", i64::MIN as i128, i64::MAX as i128);
static UINT: Shape = integer("uint", 0, u64::MAX as i128);
static UINT16: Shape = integer("uint16", 0, u16::MAX as i128);
static UINT64: Shape = integer("uint64", 0, u64::MAX as i128);
static FILE_MODE: Shape = integer("fs.FileMode", 0, u32::MAX as i128);
static STRINGS: Shape = Shape::List("[]string", &STRING);
static LISTS: Shape = Shape::List("[][]string", &STRINGS);
static STRING_MAP: Shape = Shape::Map("map[string]string", &STRING);
static EMPTY: Shape = Shape::Struct(&NOTHING);
static SET: Shape = Shape::Map("map[string]struct {}", &EMPTY);
static PORT_SET: Shape = Shape::Map("nat.PortSet", &EMPTY);
static SIZE: Shape = Shape::Pair("[2]uint", &UINT);
static HEALTHCHECK_SHAPE: Shape = Shape::Struct(&HEALTHCHECK);
static HOST_CONFIG_SHAPE: Shape = Shape::Struct(&HOST_CONFIG);
static NETWORKING_SHAPE: Shape = Shape::Struct(&NETWORKING);
static LOG_CONFIG_SHAPE: Shape = Shape::Struct(&LOG_CONFIG);
static RESTART_POLICY_SHAPE: Shape = Shape::Struct(&RESTART_POLICY);
static RESTART_MODE: Shape = Shape::Text("container.RestartPolicyMode");
static PORT_BINDING_SHAPE: Shape = Shape::Struct(&PORT_BINDING);
static PORT_BINDINGS: Shape = Shape::List("[]nat.PortBinding", &PORT_BINDING_SHAPE);
static PORT_MAP: Shape = Shape::Map("nat.PortMap", &PORT_BINDINGS);
static NETWORK_MODE: Shape = Shape::Text("container.NetworkMode");
static CGROUPNS_MODE: Shape = Shape::Text("container.CgroupnsMode");
static IPC_MODE: Shape = Shape::Text("container.IpcMode");
static CGROUP_SPEC: Shape = Shape::Text("container.CgroupSpec");
static PID_MODE: Shape = Shape::Text("container.PidMode");
static UTS_MODE: Shape = Shape::Text("container.UTSMode");
static USERNS_MODE: Shape = Shape::Text("container.UsernsMode");
static ISOLATION: Shape = Shape::Text("container.Isolation");
static WEIGHT_SHAPE: Shape = Shape::Struct(&WEIGHT);
static WEIGHTS: Shape = Shape::List("[]*blkiodev.WeightDevice", &WEIGHT_SHAPE);
static THROTTLE_SHAPE: Shape = Shape::Struct(&THROTTLE);
static THROTTLES: Shape = Shape::List("[]*blkiodev.ThrottleDevice", &THROTTLE_SHAPE);
static DEVICE_SHAPE: Shape = Shape::Struct(&DEVICE);
static DEVICES: Shape = Shape::List("[]container.DeviceMapping", &DEVICE_SHAPE);
static DEVICE_REQUEST_SHAPE: Shape = Shape::Struct(&DEVICE_REQUEST);
static DEVICE_REQUESTS: Shape = Shape::List("[]container.DeviceRequest", &DEVICE_REQUEST_SHAPE);
static ULIMIT_SHAPE: Shape = Shape::Struct(&ULIMIT);
static ULIMITS: Shape = Shape::List("[]*units.Ulimit", &ULIMIT_SHAPE);
static MOUNT_SHAPE: Shape = Shape::Struct(&MOUNT);
static MOUNTS: Shape = Shape::List("[]mount.Mount", &MOUNT_SHAPE);
static MOUNT_TYPE: Shape = Shape::Text("mount.Type");
static CONSISTENCY: Shape = Shape::Text("mount.Consistency");
static PROPAGATION: Shape = Shape::Text("mount.Propagation");
static BIND_SHAPE: Shape = Shape::Struct(&BIND);
static VOLUME_SHAPE: Shape = Shape::Struct(&VOLUME);
static DRIVER_SHAPE: Shape = Shape::Struct(&DRIVER);
static IMAGE_SHAPE: Shape = Shape::Struct(&IMAGE);
static TMPFS_SHAPE: Shape = Shape::Struct(&TMPFS);
static CLUSTER_SHAPE: Shape = Shape::Struct(&CLUSTER);
static ENDPOINT_SHAPE: Shape = Shape::Struct(&ENDPOINT);
static ENDPOINTS: Shape = Shape::Map("map[string]*network.EndpointSettings", &ENDPOINT_SHAPE);
static ADDRESSES_SHAPE: Shape = Shape::Struct(&ADDRESSES);
static IPAM_SHAPE: Shape = Shape::Struct(&IPAM);
static SUBNET_SHAPE: Shape = Shape::Struct(&SUBNET);
static SUBNETS: Shape = Shape::List("[]network.IPAMConfig", &SUBNET_SHAPE);
static CONFIG_FROM_SHAPE: Shape = Shape::Struct(&CONFIG_FROM);
static CLUSTER_VOLUME_SHAPE: Shape = Shape::Struct(&CLUSTER_VOLUME);

/// Types of objects: `NAME "Go's name" + EMBEDDED { "Field": TYPE, … }`.
macro_rules! structs {
    ($($name:ident $go:literal $(+ $embedded:ident)? { $($field:literal : $shape:ident),* $(,)? })*) => {
        $(static $name: Struct = Struct {
            name: $go,
            fields: &[$(($field, &$shape)),*],
            embedded: structs!(@embedded $($embedded)?),
        };)*
    };
    (@embedded) => { None };
    (@embedded $embedded:ident) => { Some(&$embedded) };
}

structs! {
    NOTHING "struct {}" {}
    HEALTHCHECK "v1.HealthcheckConfig" {
        "Test": STRINGS, "Interval": DURATION, "Timeout": DURATION, "StartPeriod": DURATION, "StartInterval":
        DURATION, "Retries": INT,
    }
    CONFIG "container.Config" {
        "Hostname": STRING, "Domainname": STRING, "User": STRING, "AttachStdin": BOOL, "AttachStdout": BOOL,
        "AttachStderr": BOOL, "ExposedPorts": PORT_SET, "Tty": BOOL, "OpenStdin": BOOL, "StdinOnce": BOOL, "Env":
        STRINGS, "Cmd": WORDS, "Healthcheck": HEALTHCHECK_SHAPE, "ArgsEscaped": BOOL, "Image": STRING, "Volumes": SET,
        "WorkingDir": STRING, "Entrypoint": WORDS, "NetworkDisabled": BOOL, "MacAddress": STRING, "OnBuild": STRINGS,
        "Labels": STRING_MAP, "StopSignal": STRING, "StopTimeout": INT, "Shell": WORDS,
    }
    CREATE "container.CreateRequest" + CONFIG {
        "HostConfig": HOST_CONFIG_SHAPE, "NetworkingConfig": NETWORKING_SHAPE,
    }
    LOG_CONFIG "container.LogConfig" { "Type": STRING, "Config": STRING_MAP }
    RESTART_POLICY "container.RestartPolicy" { "Name": RESTART_MODE, "MaximumRetryCount": INT }
    PORT_BINDING "nat.PortBinding" { "HostIp": STRING, "HostPort": STRING }
    HOST_CONFIG "container.HostConfig" + RESOURCES {
        "Binds": STRINGS, "ContainerIDFile": STRING, "LogConfig": LOG_CONFIG_SHAPE, "NetworkMode": NETWORK_MODE,
        "PortBindings": PORT_MAP, "RestartPolicy": RESTART_POLICY_SHAPE, "AutoRemove": BOOL, "VolumeDriver": STRING,
        "VolumesFrom": STRINGS, "ConsoleSize": SIZE, "Annotations": STRING_MAP, "CapAdd": WORDS, "CapDrop": WORDS,
        "CgroupnsMode": CGROUPNS_MODE, "Dns": STRINGS, "DnsOptions": STRINGS, "DnsSearch": STRINGS, "ExtraHosts":
        STRINGS, "GroupAdd": STRINGS, "IpcMode": IPC_MODE, "Cgroup": CGROUP_SPEC, "Links": STRINGS, "OomScoreAdj":
        INT, "PidMode": PID_MODE, "Privileged": BOOL, "PublishAllPorts": BOOL, "ReadonlyRootfs": BOOL, "SecurityOpt":
        STRINGS, "StorageOpt": STRING_MAP, "Tmpfs": STRING_MAP, "UTSMode": UTS_MODE, "UsernsMode": USERNS_MODE,
        "ShmSize": INT64, "Sysctls": STRING_MAP, "Runtime": STRING, "Isolation": ISOLATION, "Mounts": MOUNTS,
        "MaskedPaths": STRINGS, "ReadonlyPaths": STRINGS, "Init": BOOL,
    }
    RESOURCES "container.Resources" {
        "CpuShares": INT64, "Memory": INT64, "NanoCpus": INT64, "CgroupParent": STRING, "BlkioWeight": UINT16,
        "BlkioWeightDevice": WEIGHTS, "BlkioDeviceReadBps": THROTTLES, "BlkioDeviceWriteBps": THROTTLES,
        "BlkioDeviceReadIOps": THROTTLES, "BlkioDeviceWriteIOps": THROTTLES, "CpuPeriod": INT64, "CpuQuota": INT64,
        "CpuRealtimePeriod": INT64, "CpuRealtimeRuntime": INT64, "CpusetCpus": STRING, "CpusetMems": STRING,
        "Devices": DEVICES, "DeviceCgroupRules": STRINGS, "DeviceRequests": DEVICE_REQUESTS, "KernelMemory": INT64,
        "KernelMemoryTCP": INT64, "MemoryReservation": INT64, "MemorySwap": INT64, "MemorySwappiness": INT64,
        "OomKillDisable": BOOL, "PidsLimit": INT64, "Ulimits": ULIMITS, "CpuCount": INT64, "CpuPercent": INT64,
        "IOMaximumIOps": UINT64, "IOMaximumBandwidth": UINT64,
    }
    WEIGHT "blkiodev.WeightDevice" { "Path": STRING, "Weight": UINT16 }
    THROTTLE "blkiodev.ThrottleDevice" { "Path": STRING, "Rate": UINT64 }
    DEVICE "container.DeviceMapping" { "PathOnHost": STRING, "PathInContainer": STRING, "CgroupPermissions": STRING }
    DEVICE_REQUEST "container.DeviceRequest" {
        "Driver": STRING, "Count": INT, "DeviceIDs": STRINGS, "Capabilities": LISTS, "Options": STRING_MAP,
    }
    ULIMIT "units.Ulimit" { "Name": STRING, "Hard": INT64, "Soft": INT64 }
    MOUNT "mount.Mount" {
        "Type": MOUNT_TYPE, "Source": STRING, "Target": STRING, "ReadOnly": BOOL, "Consistency": CONSISTENCY,
        "BindOptions": BIND_SHAPE, "VolumeOptions": VOLUME_SHAPE, "ImageOptions": IMAGE_SHAPE, "TmpfsOptions":
        TMPFS_SHAPE, "ClusterOptions": CLUSTER_SHAPE,
    }
    BIND "mount.BindOptions" {
        "Propagation": PROPAGATION, "NonRecursive": BOOL, "CreateMountpoint": BOOL, "ReadOnlyNonRecursive": BOOL,
        "ReadOnlyForceRecursive": BOOL,
    }
    VOLUME "mount.VolumeOptions" {
        "NoCopy": BOOL, "Labels": STRING_MAP, "Subpath": STRING, "DriverConfig": DRIVER_SHAPE,
    }
    DRIVER "mount.Driver" { "Name": STRING, "Options": STRING_MAP }
    IMAGE "mount.ImageOptions" { "Subpath": STRING }
    TMPFS "mount.TmpfsOptions" { "SizeBytes": INT64, "Mode": FILE_MODE, "Options": LISTS }
    CLUSTER "mount.ClusterOptions" {}
    NETWORKING "network.NetworkingConfig" { "EndpointsConfig": ENDPOINTS }
    ENDPOINT "network.EndpointSettings" {
        "IPAMConfig": ADDRESSES_SHAPE, "Links": STRINGS, "Aliases": STRINGS, "MacAddress": STRING, "DriverOpts":
        STRING_MAP, "GwPriority": INT, "NetworkID": STRING, "EndpointID": STRING, "Gateway": STRING, "IPAddress":
        STRING, "IPPrefixLen": INT, "IPv6Gateway": STRING, "GlobalIPv6Address": STRING, "GlobalIPv6PrefixLen": INT,
        "DNSNames": STRINGS,
    }
    ADDRESSES "network.EndpointIPAMConfig" { "IPv4Address": STRING, "IPv6Address": STRING, "LinkLocalIPs": STRINGS }
    NETWORK_CREATE "network.CreateRequest" {
        "Name": STRING, "CheckDuplicate": BOOL, "Driver": STRING, "Scope": STRING, "EnableIPv4": BOOL, "EnableIPv6":
        BOOL, "IPAM": IPAM_SHAPE, "Internal": BOOL, "Attachable": BOOL, "Ingress": BOOL, "ConfigOnly": BOOL,
        "ConfigFrom": CONFIG_FROM_SHAPE, "Options": STRING_MAP, "Labels": STRING_MAP,
    }
    IPAM "network.IPAM" { "Driver": STRING, "Options": STRING_MAP, "Config": SUBNETS }
    SUBNET "network.IPAMConfig" {
        "Subnet": STRING, "IPRange": STRING, "Gateway": STRING, "AuxiliaryAddresses": STRING_MAP,
    }
    CONFIG_FROM "network.ConfigReference" { "Network": STRING }
    CONNECT "network.ConnectOptions" { "Container": STRING, "EndpointConfig": ENDPOINT_SHAPE }
    DISCONNECT "network.DisconnectOptions" { "Container": STRING, "Force": BOOL }
    VOLUME_CREATE "volume.CreateOptions" {
        "Name": STRING, "Driver": STRING, "DriverOpts": STRING_MAP, "Labels": STRING_MAP, "ClusterVolumeSpec":
        CLUSTER_VOLUME_SHAPE,
    }
    CLUSTER_VOLUME "volume.ClusterVolumeSpec" {}
    EXEC "container.ExecOptions" {
        "User": STRING, "Privileged": BOOL, "Tty": BOOL, "ConsoleSize": SIZE, "AttachStdin": BOOL, "AttachStderr":
        BOOL, "AttachStdout": BOOL, "DetachKeys": STRING, "Env": STRINGS, "WorkingDir": STRING, "Cmd": STRINGS,
        "Detach": BOOL,
    }
    EXEC_START "container.ExecStartOptions" { "Detach": BOOL, "Tty": BOOL, "ConsoleSize": SIZE }
    UPDATE "container.UpdateConfig" + RESOURCES { "RestartPolicy": RESTART_POLICY_SHAPE }
    PLATFORM "v1.Platform" {
        "architecture": STRING, "os": STRING, "os.version": STRING, "os.features": STRINGS, "variant": STRING,
    }
    AUTH "registry.AuthConfig" {
        "username": STRING, "password": STRING, "auth": STRING, "email": STRING, "serveraddress": STRING,
        "identitytoken": STRING, "registrytoken": STRING,
    }
}

impl Document for CreateBody {
    const ROOT: &'static Root = &Root {
        label: "",
        document: &Shape::Struct(&CREATE),
    };
}

impl Document for UpdateBody {
    const ROOT: &'static Root = &Root {
        label: "UpdateConfig",
        document: &Shape::Struct(&UPDATE),
    };
}

impl Document for ExecCreateBody {
    const ROOT: &'static Root = &Root {
        label: "ExecOptions",
        document: &Shape::Struct(&EXEC),
    };
}

impl Document for ExecStartBody {
    const ROOT: &'static Root = &Root {
        label: "ExecStartOptions",
        document: &Shape::Struct(&EXEC_START),
    };
}

impl Document for VolumeCreateBody {
    const ROOT: &'static Root = &Root {
        label: "CreateOptions",
        document: &Shape::Struct(&VOLUME_CREATE),
    };
}

impl Document for NetworkCreateBody {
    const ROOT: &'static Root = &Root {
        label: "CreateRequest",
        document: &Shape::Struct(&NETWORK_CREATE),
    };
}

impl Document for ConnectBody {
    const ROOT: &'static Root = &Root {
        label: "ConnectOptions",
        document: &Shape::Struct(&CONNECT),
    };
}

impl Document for DisconnectBody {
    const ROOT: &'static Root = &Root {
        label: "DisconnectOptions",
        document: &Shape::Struct(&DISCONNECT),
    };
}

impl Document for AuthConfig {
    const ROOT: &'static Root = &Root {
        label: "",
        document: &Shape::Struct(&AUTH),
    };
}

impl Document for PlatformDocument {
    const ROOT: &'static Root = &Root {
        label: "Platform",
        document: &Shape::Struct(&PLATFORM),
    };
}
