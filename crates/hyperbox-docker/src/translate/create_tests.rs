// SPDX-License-Identifier: MIT
//! What Docker's own command line sends, as recorded from version 28.2 (`tests/data`), against the wishes that come out of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hyperbox_core::container::{
    Bind, ContainerSpec, DeviceMapping, EndpointWish, HealthCheck, HealthTest, MountRequest, MountSource,
    NamespaceMode, NetworkMode, Propagation, RestartPolicy, Rlimit, SeccompChoice,
};
use hyperbox_types::{ByteSize, Signal, VolumeName};
use serde_json::{Value, json};

use super::complete::Defaults;
use super::create::{Translated, translate};
use super::networking::modernize;
use crate::call::parse_json;
use crate::error::ApiResult;
use crate::version::ApiVersion;
use crate::wire::config::CreateBody;

fn recorded(text: &str) -> Translated {
    let recording: Value = serde_json::from_str(text).expect("a recording");
    create(&recording["body"]).expect("accepted")
}

fn create(body: &Value) -> ApiResult<Translated> {
    let mut body: CreateBody = parse_json(body.to_string().as_bytes())?;
    modernize(&mut body, ApiVersion::MAXIMUM)?;
    translate(
        body,
        None,
        &Defaults {
            runtime: "hyperbox".to_owned(),
            cgroup_v2: true,
            ..Defaults::default()
        },
    )
}

macro_rules! recording {
    ($name:literal) => {
        recorded(include_str!(concat!("../../tests/data/", $name, ".json")))
    };
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[test]
fn plain_run() {
    let spec = recording!("run-plain").spec;
    let expected = ContainerSpec {
        image: "busybox".to_owned(),
        command: Some(words("true")),
        auto_remove: true,
        networks: BTreeMap::from([("bridge".to_owned(), EndpointWish::default())]),
        ..ContainerSpec::default()
    };
    assert_eq!(spec, expected);
}

#[test]
fn terminal() {
    let Translated { spec, document, .. } = recording!("run-terminal");
    assert!(spec.terminal && spec.open_stdin && spec.stdin_once && spec.auto_remove);
    assert_eq!(spec.command, Some(words("sh")));
    assert!(document.attach_stdin && document.attach_stdout && document.attach_stderr);
}

#[test]
fn detached_with_published_ports() {
    let spec = recording!("run-detached").spec;
    let ports: Vec<_> = spec
        .ports
        .iter()
        .map(|port| (port.container.to_string(), port.host_address, port.host_ports))
        .collect();
    let localhost = "127.0.0.1".parse().ok();
    let port = |text: &str, address, host| (text.to_owned(), address, host);
    assert_eq!(
        ports,
        [
            port("53/udp", None, Some((53, 53))),
            port("80/tcp", localhost, Some((8080, 8080))),
            port("9090/tcp", None, None),
        ]
    );
    assert_eq!(spec.restart, RestartPolicy::OnFailure { maximum_retries: 2 });
    assert_eq!((spec.labels["demo"].as_str(), spec.labels["empty"].as_str()), ("1", ""));
    assert_eq!(
        spec.health,
        Some(HealthCheck {
            test: HealthTest::Shell("true".to_owned()),
            interval: Some(Duration::from_secs(1)),
            timeout: Some(Duration::from_secs(2)),
            start_period: Some(Duration::from_secs(5)),
            start_interval: Some(Duration::from_millis(500)),
            retries: Some(4),
        })
    );
    assert!(spec.exposed_ports.contains(&"53/udp".to_owned()));
}

#[test]
fn limits() {
    let Translated { spec, document, .. } = recording!("run-limits");
    let resources = &spec.resources;
    assert_eq!(resources.memory, Some(ByteSize(64 << 20)));
    assert_eq!(resources.memory_swap, Some(128 << 20));
    assert_eq!(resources.memory_reservation, Some(ByteSize(32 << 20)));
    assert_eq!(resources.memory_swappiness, Some(10));
    assert_eq!(
        (resources.nano_cpus, resources.cpu_shares),
        (Some(500_000_000), Some(512))
    );
    assert_eq!(
        (resources.cpuset_cpus.as_deref(), resources.cpuset_mems.as_deref()),
        (Some("0"), Some("0"))
    );
    assert_eq!((resources.pids, resources.block_weight), (Some(50), Some(300)));
    assert_eq!(resources.block_read_bytes[0].rate, 1 << 20);
    assert_eq!(resources.block_write_operations[0].rate, 10);
    assert_eq!(resources.cgroup_parent.as_deref(), Some("/x"));
    let rlimit = |name: &str, soft, hard| Rlimit {
        name: name.to_owned(),
        soft,
        hard,
    };
    assert_eq!(spec.rlimits, [rlimit("core", -1, -1), rlimit("nofile", 100, 200)]);
    assert_eq!(
        (spec.oom_score_adjustment, spec.shm_size),
        (Some(100), Some(ByteSize(8 << 20)))
    );
    assert_eq!(document.host_config.resources.memory, 64 << 20);
}

#[test]
fn quota() {
    let resources = recording!("run-quota").spec.resources;
    assert_eq!(
        (resources.cpu_period, resources.cpu_quota),
        (Some(100_000), Some(50_000))
    );
    assert_eq!((resources.memory_swap, resources.oom_kill_disable), (Some(-1), true));
    assert_eq!((resources.pids, resources.memory_swappiness), (None, None));
}

#[test]
fn privileges() {
    let Translated { spec, document, .. } = recording!("run-security");
    let security = &spec.security;
    assert_eq!(security.capabilities_add, words("NET_ADMIN SYS_TIME"));
    assert_eq!(security.capabilities_drop, words("ALL"));
    assert!(security.no_new_privileges && spec.read_only_root);
    assert_eq!(
        security.seccomp,
        SeccompChoice::Custom(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned())
    );
    assert_eq!(security.apparmor.as_deref(), Some("unconfined"));
    assert_eq!(security.label_options, words("disable"));
    assert_eq!(
        (spec.user.as_str(), spec.additional_groups.clone()),
        ("1000:1000", words("7 audio"))
    );
    let device = |host: &str, container: &str, permissions: &str| DeviceMapping {
        host: host.into(),
        container: container.into(),
        permissions: permissions.to_owned(),
    };
    assert_eq!(
        spec.devices,
        [
            device("/dev/null", "/dev/x", "r"),
            device("/dev/zero", "/dev/zero", "rwm")
        ]
    );
    assert_eq!(spec.resources.device_rules, ["c 1:3 rwm"]);
    assert!(
        document
            .host_config
            .masked_paths
            .expect("completed")
            .contains(&"/proc/kcore".to_owned())
    );
}

#[test]
fn privileged_and_the_hosts_namespaces() {
    let spec = recording!("run-privileged").spec;
    assert!(spec.security.privileged);
    // The command line translates `systempaths=unconfined` itself.
    assert_eq!(
        (spec.security.masked_paths, spec.security.read_only_paths),
        (Some(Vec::new()), Some(Vec::new()))
    );
    assert_eq!(spec.security.seccomp, SeccompChoice::Unconfined);
    let modes = spec.namespaces;
    for mode in [modes.pid, modes.ipc, modes.uts, modes.cgroup, modes.user] {
        assert_eq!(mode, NamespaceMode::Host);
    }
    assert_eq!(spec.network, NetworkMode::Host);
}

#[test]
fn namespaces_of_other_containers() {
    let spec = recording!("run-namespaces").spec;
    assert_eq!(spec.namespaces.pid, NamespaceMode::Container("a".to_owned()));
    assert_eq!(spec.namespaces.ipc, NamespaceMode::Container("b".to_owned()));
    assert_eq!(spec.network, NetworkMode::Container("c".to_owned()));
    assert_eq!(spec.namespaces.cgroup, NamespaceMode::Private);
    assert_eq!((spec.runtime.as_str(), spec.init), ("crun", true));
}

#[test]
fn mounts_in_all_forms() {
    let spec = recording!("run-mounts").spec;
    let bind = |path: &str, create, propagation, non_recursive| {
        MountSource::Bind(Bind {
            path: path.into(),
            create,
            non_recursive,
            propagation,
        })
    };
    let volume = |name: Option<&str>, no_copy, labels: &[(&str, &str)]| MountSource::Volume {
        name: name.map(|name| VolumeName::parse(name).expect(name)),
        no_copy,
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        options: BTreeMap::new(),
        subpath: Default::default(),
    };
    let tmpfs = |size, mode, options: &str| MountSource::Tmpfs {
        size,
        mode,
        options: words(options),
    };
    let private = Propagation::Rprivate;
    let expected = [
        (bind("/tmp", true, private, false), "/host", true),
        (volume(Some("data"), false, &[]), "/data", false),
        (volume(Some("data2"), true, &[]), "/data2", true),
        (bind("/rw", true, Propagation::Rshared, false), "/rw", false),
        (bind("/tmp", false, Propagation::Rslave, false), "/b", true),
        (volume(Some("named"), true, &[("a", "b")]), "/n", false),
        (volume(None, false, &[]), "/anonymous", false),
        (tmpfs(Some(ByteSize(1 << 20)), Some(0o1770), ""), "/t", false),
        (bind("/tmp", false, private, true), "/nr", false),
        (tmpfs(None, None, "noexec nosuid nodev"), "/t2", false),
        (tmpfs(None, None, "size=64k noexec mode=700 nosuid nodev"), "/t3", false),
    ];
    let expected: Vec<MountRequest> = expected
        .into_iter()
        .map(|(source, target, read_only)| MountRequest {
            source,
            target: target.into(),
            read_only,
        })
        .collect();
    assert_eq!(spec.mounts, expected);
    assert_eq!(spec.anonymous_volumes, [std::path::PathBuf::from("/anon")]);
}

#[test]
fn process() {
    let spec = recording!("run-process").spec;
    assert_eq!(spec.entrypoint, Some(words("/bin/sh")));
    assert_eq!(spec.command, Some(vec!["-c".to_owned(), "echo ".to_owned()]));
    assert_eq!(spec.env, ["FROM_FILE=1", "B=two words", "A=b", "EMPTY="]);
    assert_eq!((spec.working_dir.as_str(), spec.hostname.as_str()), ("/work", "h"));
    assert_eq!(spec.domainname, "d.example");
    assert_eq!(
        (spec.stop_signal, spec.stop_timeout),
        (Some(Signal::INT), Some(Duration::from_secs(3)))
    );
    assert!(spec.open_stdin && spec.stdin_once && !spec.terminal);
}

#[test]
fn names_and_kernel_parameters() {
    let spec = recording!("run-network").spec;
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    let mut hosts = spec.extra_hosts.clone();
    hosts.sort();
    assert_eq!(
        hosts,
        [pair("a", "1.2.3.4"), pair("gw", "host-gateway"), pair("six", "::1")]
    );
    assert_eq!(spec.dns_servers, ["1.1.1.1".parse::<IpAddr>().expect("address")]);
    assert_eq!(
        (spec.dns_search, spec.dns_options),
        (words("example.org"), words("ndots:2"))
    );
    assert_eq!(spec.sysctls["net.ipv4.ip_forward"], "1");
    assert_eq!(spec.annotations["k"], "v");
    assert_eq!(spec.network, NetworkMode::None);
}

#[test]
fn user_defined_network() {
    let Translated { spec, document, .. } = recording!("run-user-network");
    assert_eq!(spec.network, NetworkMode::Named("front".to_owned()));
    let front = &spec.networks["front"];
    assert_eq!(front.ipv4, Some("10.1.2.3".parse().expect("address")));
    assert_eq!(front.mac_address.as_deref(), Some("02:42:ac:11:00:09"));
    assert_eq!(front.aliases, ["web"]);
    assert_eq!(document.host_config.network_mode, "front");
}

#[test]
fn logging() {
    let spec = recording!("run-logs").spec;
    assert_eq!(spec.log.driver, "json-file");
    assert_eq!(spec.log.options["max-size"], "1m");
    assert_eq!(spec.health.map(|health| health.test), Some(HealthTest::Disabled));
}

#[test]
fn host_configuration_is_completed() {
    let host = recording!("run-plain").document.host_config;
    assert_eq!(
        (host.network_mode.as_str(), host.ipc_mode.as_str()),
        ("bridge", "private")
    );
    assert_eq!((host.shm_size, host.restart_policy.name.as_str()), (64 << 20, "no"));
    assert_eq!(
        (host.resources.pids_limit, host.resources.memory_swappiness),
        (None, None)
    );
    assert_eq!(host.log_config.driver, "json-file");
    assert_eq!(
        (host.runtime.as_str(), host.cgroupns_mode.as_str()),
        ("hyperbox", "private")
    );
}

#[test]
fn refusals_have_dockers_texts() {
    for (host, message) in [
        (
            json!({"RestartPolicy": {"Name": "bogus"}}),
            "invalid restart policy: unknown policy 'bogus'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -3}}),
            "invalid restart policy: maximum retry count cannot be negative",
        ),
        (
            json!({"MemorySwappiness": 101}),
            "Invalid value: 101, valid memory swappiness range is 0-100",
        ),
        (
            json!({"NetworkMode": "container:"}),
            "invalid network mode: invalid container format container:<name|id>",
        ),
        (json!({"PidMode": "bogus"}), "invalid PID mode: bogus"),
        (json!({"PidMode": "container:"}), "invalid PID mode: container:"),
        (json!({"IpcMode": "bogus"}), "invalid IPC mode: bogus"),
        (json!({"UTSMode": "bogus"}), "invalid UTS mode: bogus"),
        (json!({"CgroupnsMode": "bogus"}), "invalid cgroup namespace mode: bogus"),
        (json!({"ShmSize": -1}), "SHM size can not be less than 0"),
        (
            json!({"OomScoreAdj": 2000}),
            "Invalid value 2000, range for oom score adj is [-1000, 1000]",
        ),
        (json!({"ExtraHosts": ["bogus"]}), "bad format for add-host: \"bogus\""),
        (
            json!({"ExtraHosts": ["a:bogus"]}),
            "invalid IP address in add-host: \"bogus\"",
        ),
        (
            json!({"CpuShares": -1}),
            "invalid CPU shares (-1): value must be a positive integer",
        ),
        (
            json!({"LogConfig": {"Type": "bogus"}}),
            "error looking up logging plugin bogus: plugin \"bogus\" not found",
        ),
        (
            json!({"LogConfig": {"Type": "json-file", "Config": {"bogus": "1"}}}),
            "unknown log opt 'bogus' for json-file log driver",
        ),
        (json!({"SecurityOpt": ["bogus"]}), "invalid --security-opt 1: \"bogus\""),
        (
            json!({"SecurityOpt": ["bogus=1"]}),
            "invalid --security-opt 2: \"bogus=1\"",
        ),
        (
            json!({"Isolation": "hyperv"}),
            "invalid isolation (hyperv): linux only supports 'default'",
        ),
        (
            json!({"PortBindings": {"x": [{}]}}),
            "invalid port specification: \"x\"",
        ),
        (
            json!({"PortBindings": {"80": [{"HostPort": "99999"}]}}),
            "invalid port specification: \"99999\"",
        ),
        (
            json!({"Tmpfs": {"x": ""}}),
            "invalid mount path: 'x' mount path must be absolute",
        ),
    ] {
        let error = create(&json!({"Image": "x", "HostConfig": host})).expect_err(message);
        assert_eq!(error.message(), message);
    }
    for (config, message) in [
        (json!({}), "config cannot be empty in order to create a container"),
        (json!({"Image": "x", "StopSignal": "BOGUS"}), "invalid signal: BOGUS"),
        (json!({"Image": "x", "Env": ["=x"]}), "invalid environment variable: =x"),
        (json!({"Image": "x", "Env": [""]}), "invalid environment variable: "),
    ] {
        assert_eq!(create(&config).expect_err(message).message(), message);
    }
    let host = json!({"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}});
    let accepted = create(&json!({"Image": "x", "HostConfig": host})).expect("accepted");
    assert_eq!(
        accepted.warnings,
        ["Published ports are discarded when using host network mode"]
    );
}

#[test]
fn words_may_be_one_text() {
    let spec = create(&json!({"Image": "x", "Cmd": "a b", "Entrypoint": ["a", "b"]}))
        .expect("accepted")
        .spec;
    assert_eq!(spec.command, Some(vec!["a b".to_owned()]));
    assert_eq!(spec.entrypoint, Some(words("a b")));
    let cleared = create(&json!({"Image": "x", "Entrypoint": [""], "Cmd": []}))
        .expect("accepted")
        .spec;
    assert_eq!((cleared.entrypoint, cleared.command), (Some(Vec::new()), None));
}
