// SPDX-License-Identifier: MIT
//! `HostConfig`: what a container may use and what it shares.

use serde_json::{Map, Value, json};

use super::{MissingContainer, Surroundings, mounts, networks, shared};
use crate::model::{BlockLimits, Deploy, DeviceRate, DeviceRequest, Model, Service, Ulimit};

/// `HostConfig` of a container.
pub(crate) fn host_config(
    model: &Model,
    service: &Service,
    surroundings: &Surroundings,
) -> Result<Value, MissingContainer> {
    let (binds, mounts) = mounts::mounts(model, service, surroundings);
    let mut host = Map::new();
    let mut say = |key: &str, value: Value| {
        host.insert(key.to_owned(), value);
    };
    say("Binds", json!(binds));
    say("Mounts", json!(mounts));
    say("Tmpfs", tmpfs(service));
    say("VolumesFrom", json!(volumes_from(service, surroundings)?));
    say("NetworkMode", json!(networks::mode(model, service, surroundings)?));
    say("PortBindings", port_bindings(service));
    say("RestartPolicy", restart_policy(service));
    say("ExtraHosts", json!(extra_hosts(service)));
    say("Dns", json!(service.dns));
    say("DnsOptions", json!(service.dns_opt));
    say("DnsSearch", json!(service.dns_search));
    say("CapAdd", json!(capabilities(&service.cap_add)));
    say("CapDrop", json!(capabilities(&service.cap_drop)));
    say("SecurityOpt", json!(service.security_opt));
    say("GroupAdd", json!(service.group_add));
    say("Privileged", json!(service.privileged));
    say("ReadonlyRootfs", json!(service.read_only));
    say("Sysctls", json!(service.sysctls));
    say("StorageOpt", json!(service.storage_opt));
    say("Annotations", json!(service.annotations));
    say("DeviceCgroupRules", json!(service.device_cgroup_rules));
    say("Devices", devices(service));
    say("DeviceRequests", device_requests(service));
    say("Ulimits", ulimits(service));
    if let Some(init) = service.init {
        say("Init", json!(init));
    }
    if let Some(runtime) = &service.runtime {
        say("Runtime", json!(runtime));
    }
    for (key, what, mode) in [
        ("IpcMode", "IPC namespace", &service.ipc),
        ("PidMode", "PID namespace", &service.pid),
        ("UTSMode", "UTS namespace", &service.uts),
        ("UsernsMode", "user namespace", &service.userns_mode),
        ("CgroupnsMode", "cgroup namespace", &service.cgroup),
    ] {
        if let Some(mode) = mode {
            say(key, json!(shared::namespace(what, mode, surroundings)?));
        }
    }
    if let Some(parent) = service.cgroup_parent.as_ref().or(surroundings.cgroup_parent.as_ref()) {
        say("CgroupParent", json!(parent));
    }
    if let Some(logging) = &service.logging {
        say(
            "LogConfig",
            json!({ "Type": logging.driver.clone().unwrap_or_default(), "Config": logging.options }),
        );
    }
    for (key, value) in limits(service) {
        say(key, value);
    }
    Ok(Value::Object(host))
}

/// Limits, which may be said of the service or of its deployment.
fn limits(service: &Service) -> Vec<(&'static str, Value)> {
    let deploy = service.deploy.clone().unwrap_or_default();
    let limits = deploy.resources.limits;
    let reserved = deploy.resources.reservations;
    let bytes = |said: &Option<String>| said.as_deref().and_then(|text| text.parse::<i64>().ok());
    let mut list = Vec::new();
    let mut say = |key, value: Option<i64>| list.extend(value.map(|value| (key, json!(value))));
    say("Memory", bytes(&service.mem_limit).or_else(|| bytes(&limits.memory)));
    say(
        "MemoryReservation",
        bytes(&service.mem_reservation).or_else(|| bytes(&reserved.memory)),
    );
    say("MemorySwap", bytes(&service.memswap_limit));
    say("MemorySwappiness", bytes(&service.mem_swappiness));
    say("NanoCpus", service.cpus.or(limits.cpus).map(nanoseconds));
    say("CpuShares", service.cpu_shares);
    say("CpuPeriod", service.cpu_period);
    say("CpuQuota", service.cpu_quota);
    say("CpuRealtimePeriod", service.cpu_rt_period);
    say("CpuRealtimeRuntime", service.cpu_rt_runtime);
    say("PidsLimit", service.pids_limit.or(limits.pids));
    say("ShmSize", bytes(&service.shm_size));
    say("OomScoreAdj", service.oom_score_adj);
    if service.oom_kill_disable {
        list.push(("OomKillDisable", json!(true)));
    }
    if let Some(cpus) = &service.cpuset {
        list.push(("CpusetCpus", json!(cpus)));
    }
    list.extend(service.blkio_config.as_ref().map(block_limits).unwrap_or_default());
    list
}

fn block_limits(limits: &BlockLimits) -> Vec<(&'static str, Value)> {
    let rates = |rates: &[DeviceRate]| -> Value {
        let rate =
            |rate: &DeviceRate| json!({ "Path": rate.path, "Rate": rate.rate.parse::<u64>().unwrap_or_default() });
        rates.iter().map(rate).collect()
    };
    let weights = limits.weight_device.iter();
    let weights: Value = weights
        .map(|device| json!({ "Path": device.path, "Weight": device.weight }))
        .collect();
    vec![
        ("BlkioWeight", json!(limits.weight)),
        ("BlkioWeightDevice", weights),
        ("BlkioDeviceReadBps", rates(&limits.device_read_bps)),
        ("BlkioDeviceWriteBps", rates(&limits.device_write_bps)),
        ("BlkioDeviceReadIOps", rates(&limits.device_read_iops)),
        ("BlkioDeviceWriteIOps", rates(&limits.device_write_iops)),
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "processors are counted, not atoms")]
fn nanoseconds(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn tmpfs(service: &Service) -> Value {
    let map: Map<String, Value> = service
        .tmpfs
        .iter()
        .map(|text| match text.split_once(':') {
            Some((path, options)) => (path.to_owned(), json!(options)),
            None => (text.clone(), json!("")),
        })
        .collect();
    Value::Object(map)
}

fn volumes_from(service: &Service, surroundings: &Surroundings) -> Result<Vec<String>, MissingContainer> {
    let sources = service.volumes_from.iter().map(|source| {
        if let Some(container) = source.strip_prefix("container:") {
            return Ok(container.to_owned());
        }
        let (name, mode) = source.split_once(':').unwrap_or((source, "rw"));
        let container = shared::container("volume", name, surroundings)?;
        Ok(format!("{container}:{mode}"))
    });
    sources.collect()
}

fn port_bindings(service: &Service) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in &service.ports {
        let key = format!("{}/{}", port.target, port.protocol);
        let binding = json!({
            "HostIp": port.host_ip.clone().unwrap_or_default(),
            "HostPort": port.published.clone().unwrap_or_default(),
        });
        if let Value::Array(list) = bindings.entry(key).or_insert_with(|| json!([])) {
            list.push(binding);
        }
    }
    Value::Object(bindings)
}

/// What the service says, or what its deployment says in other words.
fn restart_policy(service: &Service) -> Value {
    if let Some(restart) = &service.restart {
        let (name, count) = restart.split_once(':').unwrap_or((restart, "0"));
        return json!({ "Name": name, "MaximumRetryCount": count.parse::<i64>().unwrap_or_default() });
    }
    let policy = service
        .deploy
        .as_ref()
        .and_then(|deploy: &Deploy| deploy.restart_policy.clone());
    let Some(policy) = policy else {
        return json!({ "Name": "no", "MaximumRetryCount": 0 });
    };
    let name = match policy.condition.as_deref() {
        Some("none") => "no",
        Some("on-failure") => "on-failure",
        Some("unless-stopped") => "unless-stopped",
        _ => "always",
    };
    // Docker refuses a count beside any other policy.
    let count = if name == "on-failure" {
        policy.max_attempts.unwrap_or_default()
    } else {
        0
    };
    json!({ "Name": name, "MaximumRetryCount": count })
}

/// `host:address`, as the API wants them.
fn extra_hosts(service: &Service) -> Vec<String> {
    service
        .extra_hosts
        .iter()
        .map(|host| host.replacen('=', ":", 1))
        .collect()
}

/// `NET_ADMIN` and `net_admin` as `CAP_NET_ADMIN`; `ALL` as it is.
fn capabilities(names: &[String]) -> Vec<String> {
    names
        .iter()
        .map(|name| name.to_ascii_uppercase())
        .map(|name| {
            if name == "ALL" || name.starts_with("CAP_") {
                name
            } else {
                format!("CAP_{name}")
            }
        })
        .collect()
}

fn is_cdi(source: &str) -> bool {
    !source.starts_with('/') && source.contains('=')
}

fn devices(service: &Service) -> Value {
    let list: Vec<Value> = service
        .devices
        .iter()
        .filter(|device| !is_cdi(&device.source))
        .map(|device| {
            json!({
                "PathOnHost": device.source,
                "PathInContainer": device.target.as_ref().unwrap_or(&device.source),
                "CgroupPermissions": device.permissions.as_deref().unwrap_or("rwm"),
            })
        })
        .collect();
    json!(list)
}

fn device_requests(service: &Service) -> Value {
    let cdi: Vec<&String> = service
        .devices
        .iter()
        .map(|device| &device.source)
        .filter(|source| is_cdi(source))
        .collect();
    let reserved = service
        .deploy
        .as_ref()
        .map(|deploy| deploy.resources.reservations.devices.as_slice());
    let gpus = service.gpus.iter().map(|request| {
        let mut request = request.clone();
        request.capabilities.push("gpu".to_owned());
        request
    });
    let mut list: Vec<Value> = reserved
        .unwrap_or_default()
        .iter()
        .cloned()
        .chain(gpus)
        .map(|request| device_request(&request))
        .collect();
    if !cdi.is_empty() {
        list.push(json!({ "Driver": "cdi", "DeviceIDs": cdi }));
    }
    json!(list)
}

fn device_request(request: &DeviceRequest) -> Value {
    json!({
        "Driver": request.driver.clone().unwrap_or_default(),
        "Count": request.count.unwrap_or_default(),
        "DeviceIDs": request.device_ids,
        "Capabilities": [request.capabilities],
        "Options": request.options,
    })
}

fn ulimits(service: &Service) -> Value {
    let list: Vec<Value> = service
        .ulimits
        .iter()
        .map(|(name, limit)| {
            let (soft, hard) = match limit {
                Ulimit::Single(both) => (both, both),
                Ulimit::Both { soft, hard } => (soft, hard),
            };
            json!({ "Name": name, "Soft": soft, "Hard": hard })
        })
        .collect();
    json!(list)
}
