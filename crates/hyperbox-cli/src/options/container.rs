// SPDX-License-Identifier: MIT
//! From the options of `run` and `create` to the body of the request.

use std::collections::BTreeMap;

use hyperbox_client::model::{Container, DeviceRequest, HostConfig, LogConfig, NetworkingConfig};

use super::flags::ContainerFlags;
use super::volume::Volume;
use super::{device, environment, health, mount, network, pairs, port, restart_policy, security, volume};

/// What the parser needs from outside.
pub(crate) struct Surroundings<'a> {
    /// The client's working directory, for relative sources.
    pub(crate) current: &'a str,
    /// Reads a file; the error is a sentence.
    pub(crate) read: &'a dyn Fn(&str) -> Result<String, String>,
    /// Reads a variable.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Builds the request.
pub(crate) fn build(flags: &ContainerFlags, around: &Surroundings<'_>) -> Result<Container, String> {
    let (image, command) = flags.image_and_command.split_first().ok_or("no image")?;
    check_modes(flags)?;
    let restart = restart_policy(&flags.restart)?;
    if flags.rm && !matches!(restart.name.as_str(), "" | "no") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    let ports = port::parse(&flags.publish, &flags.expose)?;
    let mut volumes = Vec::new();
    for text in &flags.volume {
        volumes.push(volume::parse(text, around.current)?);
    }
    let mut networks = Vec::new();
    for text in &flags.network {
        networks.push(
            network::parse(text)
                .map_err(|reason| format!("invalid argument {text:?} for \"--network\" flag: {reason}"))?,
        );
    }
    let (network_mode, endpoints) = network::combine(
        networks,
        &network::ShortOptions {
            ip: flags.ip.as_deref(),
            ip6: flags.ip6.as_deref(),
            mac: flags.mac_address.as_deref(),
            aliases: &flags.network_alias,
            links: &flags.link,
            link_local: &flags.link_local_ip,
        },
    )?;
    let attached = |stream: &str| flags.attach.iter().any(|name| name == stream);
    let none_chosen = flags.attach.is_empty();
    let attach_stdin = attached("stdin") || (none_chosen && flags.interactive);
    let files = |names: &[String]| -> Result<Vec<(String, String)>, String> {
        names
            .iter()
            .map(|name| Ok((name.clone(), (around.read)(name)?)))
            .collect()
    };
    let mut host_config = host_config(flags, around)?;
    host_config.network_mode = network_mode;
    host_config.restart_policy = restart;
    host_config.port_bindings = ports.bindings;
    let mut anonymous = BTreeMap::new();
    for entry in volumes {
        match entry {
            Volume::Anonymous(target) => drop(anonymous.insert(target, Default::default())),
            Volume::Bind(bind) => host_config.binds.push(bind),
        }
    }
    Ok(Container {
        hostname: flags.hostname.clone().unwrap_or_default(),
        domainname: flags.domainname.clone().unwrap_or_default(),
        user: flags.user.clone().unwrap_or_default(),
        attach_stdin,
        attach_stdout: attached("stdout") || none_chosen,
        attach_stderr: attached("stderr") || none_chosen,
        exposed_ports: ports.exposed,
        tty: flags.tty,
        open_stdin: flags.interactive,
        stdin_once: flags.interactive && attach_stdin,
        env: environment::variables(&files(&flags.env_file)?, &flags.env, around.variable)?,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: health_check(flags)?,
        image: image.clone(),
        volumes: anonymous,
        working_dir: flags.workdir.clone().unwrap_or_default(),
        // An empty entry point removes the image's.
        entrypoint: flags.entrypoint.as_ref().map(|entrypoint| vec![entrypoint.clone()]),
        labels: environment::labels(&files(&flags.label_file)?, &flags.label)?,
        stop_signal: flags.stop_signal.clone().unwrap_or_default(),
        stop_timeout: flags.stop_timeout,
        host_config,
        networking_config: NetworkingConfig {
            endpoints_config: endpoints,
        },
    })
}

fn health_check(flags: &ContainerFlags) -> Result<Option<hyperbox_client::model::HealthCheck>, String> {
    health::check(health::HealthOptions {
        none: flags.no_healthcheck,
        command: flags.health_cmd.as_deref(),
        interval: flags.health_interval.as_deref(),
        timeout: flags.health_timeout.as_deref(),
        start_period: flags.health_start_period.as_deref(),
        start_interval: flags.health_start_interval.as_deref(),
        retries: flags.health_retries,
    })
}

fn host_config(flags: &ContainerFlags, around: &Surroundings<'_>) -> Result<HostConfig, String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let security = security::parse(&flags.security_opt, around.read)?;
    let mut mounts = Vec::new();
    for option in &flags.mount {
        mounts.push(
            mount::parse(option, around.current)
                .map_err(|reason| format!("invalid argument {option:?} for \"--mount\" flag: {reason}"))?,
        );
    }
    let mut devices = Vec::new();
    for option in &flags.device {
        devices.push(device::mapping(option)?);
    }
    let (cap_add, cap_drop) = security::capabilities(&flags.cap_add, &flags.cap_drop);
    Ok(HostConfig {
        container_id_file: text(&flags.cidfile),
        log_config: log_config(flags)?,
        auto_remove: flags.rm,
        volume_driver: text(&flags.volume_driver),
        volumes_from: flags.volumes_from.clone(),
        mounts,
        annotations: pairs(&flags.annotation),
        cap_add,
        cap_drop,
        cgroupns_mode: text(&flags.cgroupns),
        dns: flags.dns.clone(),
        dns_options: flags.dns_option.clone(),
        dns_search: flags.dns_search.clone(),
        extra_hosts: flags.add_host.clone(),
        group_add: flags.group_add.clone(),
        ipc_mode: text(&flags.ipc),
        links: flags.link.clone(),
        oom_score_adj: flags.oom_score_adj.unwrap_or_default(),
        pid_mode: text(&flags.pid),
        privileged: flags.privileged,
        publish_all_ports: flags.publish_all,
        readonly_rootfs: flags.read_only,
        security_opt: security.options,
        masked_paths: security.unconfined_paths.then(Vec::new),
        readonly_paths: security.unconfined_paths.then(Vec::new),
        storage_opt: storage_options(&flags.storage_opt)?,
        tmpfs: flags.tmpfs.iter().map(|option| volume::tmpfs(option)).collect(),
        uts_mode: text(&flags.uts),
        userns_mode: text(&flags.userns),
        shm_size: flags.shm_size.unwrap_or_default(),
        sysctls: pairs(&flags.sysctl),
        runtime: text(&flags.runtime),
        isolation: text(&flags.isolation),
        devices,
        device_cgroup_rules: flags.device_cgroup_rule.clone(),
        device_requests: flags.gpus.as_deref().map(gpus).transpose()?.into_iter().collect(),
        init: flags.init,
        ulimits: flags.ulimit.clone(),
        ..resources(flags)
    })
}

fn resources(flags: &ContainerFlags) -> HostConfig {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    HostConfig {
        cpu_shares: flags.cpu_shares.unwrap_or_default(),
        memory: flags.memory.unwrap_or_default(),
        nano_cpus: flags.cpus.unwrap_or_default(),
        cgroup_parent: text(&flags.cgroup_parent),
        blkio_weight: flags.blkio_weight.unwrap_or_default(),
        blkio_weight_device: flags.blkio_weight_device.clone(),
        blkio_device_read_bps: flags.device_read_bps.clone(),
        blkio_device_write_bps: flags.device_write_bps.clone(),
        blkio_device_read_iops: flags.device_read_iops.clone(),
        blkio_device_write_iops: flags.device_write_iops.clone(),
        cpu_period: flags.cpu_period.unwrap_or_default(),
        cpu_quota: flags.cpu_quota.unwrap_or_default(),
        cpu_realtime_period: flags.cpu_rt_period.unwrap_or_default(),
        cpu_realtime_runtime: flags.cpu_rt_runtime.unwrap_or_default(),
        cpuset_cpus: text(&flags.cpuset_cpus),
        cpuset_mems: text(&flags.cpuset_mems),
        memory_reservation: flags.memory_reservation.unwrap_or_default(),
        memory_swap: flags.memory_swap.unwrap_or_default(),
        memory_swappiness: flags.memory_swappiness.filter(|value| *value != -1),
        oom_kill_disable: flags.oom_kill_disable,
        pids_limit: flags.pids_limit,
        ..HostConfig::default()
    }
}

fn log_config(flags: &ContainerFlags) -> Result<LogConfig, String> {
    let kind = flags.log_driver.clone().unwrap_or_default();
    if kind == "none" && !flags.log_opt.is_empty() {
        return Err("invalid logging opts for driver none".to_owned());
    }
    Ok(LogConfig {
        kind,
        config: pairs(&flags.log_opt),
    })
}

fn storage_options(options: &[String]) -> Result<BTreeMap<String, String>, String> {
    if options.iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(pairs(options))
}

/// Checks what Docker's client checks before the daemon sees it.
fn check_modes(flags: &ContainerFlags) -> Result<(), String> {
    let shares = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    let mode = |value: &Option<String>| value.clone().unwrap_or_default();
    let pid = mode(&flags.pid);
    if !matches!(pid.as_str(), "" | "host" | "private") && !shares(&pid) {
        return Err("--pid: invalid PID mode".to_owned());
    }
    if !matches!(mode(&flags.uts).as_str(), "" | "host") {
        return Err("--uts: invalid UTS mode".to_owned());
    }
    if !matches!(mode(&flags.userns).as_str(), "" | "host") {
        return Err("--userns: invalid USER mode".to_owned());
    }
    if !matches!(mode(&flags.cgroupns).as_str(), "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".to_owned());
    }
    let swappiness = flags.memory_swappiness.unwrap_or(-1);
    if swappiness != -1 && !(0..=100).contains(&swappiness) {
        return Err(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        ));
    }
    if !matches!(flags.pull.as_str(), "always" | "missing" | "never") {
        return Err(format!(
            "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
            flags.pull
        ));
    }
    Ok(())
}

/// Parses `all`, a number, or `count=…,device=…,driver=…,capabilities=…,options=…`.
fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let count = |text: &str| match text {
        "all" => Ok(-1),
        text => text
            .parse::<i64>()
            .map_err(|_| format!("invalid count ({text}): value must be either \"all\" or an integer")),
    };
    for field in mount::csv(text)? {
        match field.split_once('=') {
            None => request.count = count(&field)?,
            Some(("count", value)) => request.count = count(value)?,
            Some(("driver", value)) => value.clone_into(&mut request.driver),
            Some(("device", value)) => request.device_ids = value.split(',').map(str::to_owned).collect(),
            Some(("capabilities", value)) => {
                request.capabilities = vec![value.split(',').map(str::to_owned).collect()];
            }
            Some(("options", value)) => {
                request.options = pairs(&value.split(',').map(str::to_owned).collect::<Vec<_>>());
            }
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if request.count == 0 && request.device_ids.is_empty() {
        request.count = 1;
    }
    match request.capabilities.first_mut() {
        None => request.capabilities = vec![vec!["gpu".to_owned()]],
        Some(first) if !first.iter().any(|name| name == "gpu") => first.push("gpu".to_owned()),
        Some(_) => {}
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn json(words: &[&str]) -> Result<serde_json::Value, String> {
        let matches = ContainerFlags::augment_args(Command::new("run"))
            .no_binary_name(true)
            .disable_help_flag(true)
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        let flags = ContainerFlags::from_arg_matches(&matches).unwrap();
        let around = Surroundings {
            current: "/work",
            read: &|path| Err(format!("open {path}: no such file or directory")),
            variable: &|_| None,
        };
        build(&flags, &around).map(|container| serde_json::to_value(container).unwrap())
    }

    #[test]
    fn words_after_the_image_belong_to_the_command() {
        let value = json(&["-it", "--rm", "-eA=b", "busybox", "-d", "--name", "x"]).unwrap();
        assert_eq!(value["Cmd"], serde_json::json!(["-d", "--name", "x"]));
        assert_eq!(value["Env"], serde_json::json!(["A=b"]));
        assert_eq!(
            (&value["Tty"], &value["OpenStdin"], &value["StdinOnce"]),
            (&true.into(), &true.into(), &true.into())
        );
        assert_eq!(value["HostConfig"]["AutoRemove"], true);
        assert_eq!(value["HostConfig"]["NetworkMode"], "default");
    }

    #[test]
    fn options_reach_their_fields() {
        let value = json(&[
            "-m",
            "64m",
            "--memory-swap",
            "-1",
            "--cpus=1.5",
            "-p",
            "127.0.0.1:80:8080",
            "-v",
            "/data",
            "-v",
            "a:/b:ro",
            "--tmpfs",
            "/t:size=1m",
            "--entrypoint",
            "",
            "--init",
            "--ulimit",
            "nofile=1:2",
            "--device",
            "/dev/null:rw",
            "--health-cmd",
            "x",
            "--security-opt",
            "seccomp=unconfined",
            "--sig-less=x",
            "busybox",
        ]);
        assert!(value.unwrap_err().contains("--sig-less"));
        let value = json(&[
            "-m",
            "64m",
            "--memory-swap",
            "-1",
            "--cpus=1.5",
            "-p",
            "127.0.0.1:80:8080",
            "-v",
            "/data",
            "-v",
            "a:/b:ro",
            "--tmpfs",
            "/t:size=1m",
            "--entrypoint",
            "",
            "--init",
            "--ulimit",
            "nofile=1:2",
            "--device",
            "/dev/null:rw",
            "--health-cmd",
            "x",
            "--security-opt",
            "seccomp=unconfined",
            "--rm=false",
            "--dns",
            "1.1.1.1",
            "busybox",
        ])
        .unwrap();
        let host = &value["HostConfig"];
        assert_eq!(
            (&host["Memory"], &host["MemorySwap"], &host["NanoCpus"]),
            (&(64 << 20).into(), &(-1).into(), &1_500_000_000.into())
        );
        assert_eq!(host["PortBindings"]["8080/tcp"][0]["HostPort"], "80");
        assert_eq!(host["Binds"], serde_json::json!(["a:/b:ro"]));
        assert_eq!(value["Volumes"], serde_json::json!({"/data": {}}));
        assert_eq!(value["Entrypoint"], serde_json::json!([""]));
        assert_eq!(host["Init"], true);
        assert_eq!(
            host["Ulimits"],
            serde_json::json!([{"Name": "nofile", "Soft": 1, "Hard": 2}])
        );
        assert_eq!(host["Devices"][0]["CgroupPermissions"], "rw");
        assert_eq!(host["SecurityOpt"], serde_json::json!(["seccomp=unconfined"]));
        assert_eq!(value["Healthcheck"]["Test"], serde_json::json!(["CMD-SHELL", "x"]));
        assert!(host.get("AutoRemove").is_none());
    }

    #[test]
    fn refused_combinations() {
        for (words, reason) in [
            (
                &["--restart", "always", "--rm", "b"][..],
                "conflicting options: cannot specify both --restart and --rm",
            ),
            (&["--pid", "foo", "b"], "--pid: invalid PID mode"),
            (&["--uts", "foo", "b"], "--uts: invalid UTS mode"),
            (&["--userns", "foo", "b"], "--userns: invalid USER mode"),
            (&["--cgroupns", "foo", "b"], "--cgroupns: invalid CGROUP mode"),
            (
                &["--pull", "foo", "b"],
                "invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\"",
            ),
            (&["--env-file", "/nope", "b"], "open /nope: no such file or directory"),
            (
                &["--log-driver", "none", "--log-opt", "a=b", "b"],
                "invalid logging opts for driver none",
            ),
            (&["--device", "a:b:c", "b"], "bad mode specified: c"),
            (&["--storage-opt", "foo", "b"], "invalid storage option"),
        ] {
            assert_eq!(json(words).unwrap_err(), reason, "{words:?}");
        }
    }
}
