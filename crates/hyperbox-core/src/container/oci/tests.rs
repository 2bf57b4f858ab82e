// SPDX-License-Identifier: MIT
//! The OCI configuration of typical containers.

use super::*;
use crate::container::{DeviceMapping, Phase, Rlimit, Security};
use crate::seam::HostError;
use crate::time::Timestamp;
use hyperbox_types::{ContainerId, ContainerName, Digest, ImageId};

#[derive(Debug)]
struct TestHost;

impl Host for TestHost {
    fn devices(&self, path: &Path) -> std::result::Result<Vec<DeviceNode>, HostError> {
        let node = |path: &str, minor| DeviceNode {
            path: path.into(),
            block: false,
            major: 10,
            minor,
            mode: 0o660,
            uid: 0,
            gid: 0,
        };
        Ok(match path.to_str() {
            Some("/dev/snd") => vec![node("/dev/snd/a", 1), node("/dev/snd/b", 2)],
            _ => vec![node("/dev/fuse", 229)],
        })
    }
    fn all_devices(&self) -> std::result::Result<Vec<DeviceNode>, HostError> {
        self.devices(Path::new("/dev/snd"))
    }
    fn path_kind(&self, path: &Path) -> std::result::Result<PathKind, HostError> {
        Ok(if path == Path::new("/dev/snd") {
            PathKind::Directory
        } else {
            PathKind::Other
        })
    }
    fn create_directory(&self, _: &Path) -> std::result::Result<(), HostError> {
        Ok(())
    }
    fn remove_directory(&self, _: &Path) -> std::result::Result<(), HostError> {
        Ok(())
    }
    fn rewrite_file(&self, _: &Path, _: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn processor_sets(&self) -> crate::seam::ProcessorSets {
        crate::seam::ProcessorSets::default()
    }

    fn network_namespace(&self, pid: u32) -> std::result::Result<std::os::fd::OwnedFd, HostError> {
        Err(HostError {
            operation: "open",
            path: pid.to_string(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
    fn processes(&self, _: &[u32]) -> Vec<crate::seam::ProcessInfo> {
        Vec::new()
    }
    fn link_counters(&self, _: u32) -> Vec<crate::seam::LinkCounters> {
        Vec::new()
    }
    fn system_cpu_ns(&self) -> u64 {
        0
    }
    fn online_cpus(&self) -> u32 {
        2
    }
    fn has_block_weights(&self) -> bool {
        true
    }
    fn hostname(&self) -> String {
        "machine".to_owned()
    }
    fn hosts_file(&self) -> String {
        String::new()
    }
    fn memory_bytes(&self) -> u64 {
        1 << 30
    }
    fn capabilities(&self) -> Vec<String> {
        ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"].map(str::to_owned).to_vec()
    }
}

fn record(spec: ContainerSpec) -> ContainerRecord {
    ContainerRecord {
        id: ContainerId::from_bytes([7; 32]),
        name: ContainerName::parse("web").expect("name"),
        created_at: Timestamp(0),
        image_id: ImageId(Digest::from_sha256([0; 32])),
        layers: Vec::new(),
        spec,
        mounts: Vec::new(),
        run_at_once: false,
        door_document: Value::Null,
        state: crate::container::ContainerState {
            phase: Phase::Created,
            ..Default::default()
        },
    }
}

fn configured(spec: ContainerSpec) -> Value {
    configuration(&record(spec), &surroundings()).expect("valid")
}

fn filter_of(spec: ContainerSpec) -> Option<Arc<str>> {
    seccomp(&record(spec), &surroundings()).expect("valid")
}

static NO_SOURCES: MountSources = MountSources {
    volumes: BTreeMap::new(),
    images: BTreeMap::new(),
};

fn surroundings() -> Surroundings<'static> {
    Surroundings {
        host: &TestHost,
        cgroup_parent: "/hyperbox",
        kernel: (6, 18),
        files: None,
        sources: &NO_SOURCES,
        pid_provider: Some(NamespaceProvider {
            id: ContainerId::from_bytes([9; 32]),
            pid: 42,
        }),
        ipc_provider: None,
        cgroup_v2: true,
    }
}

fn namespace<'a>(configuration: &'a Value, kind: &str) -> Option<&'a Value> {
    let list = configuration["linux"]["namespaces"].as_array().expect("namespaces");
    list.iter().find(|namespace| namespace["type"] == kind)
}

#[test]
fn result_is_an_oci_configuration() {
    let spec = ContainerSpec {
        command: Some(vec!["sh".to_owned()]),
        ..ContainerSpec::default()
    };
    let configuration = configured(spec);
    let parsed: oci_spec::runtime::Spec = serde_json::from_value(configuration.clone()).expect("OCI specification");
    assert_eq!(parsed.hostname().as_deref(), Some("070707070707"));
    assert_eq!(
        configuration["linux"]["cgroupsPath"],
        format!("/hyperbox/{}", "07".repeat(32))
    );
    assert_eq!(
        configuration["process"]["capabilities"]["bounding"],
        json!(["CAP_CHOWN", "CAP_KILL"])
    );
    assert_eq!(
        configuration["process"]["env"],
        json!([DEFAULT_PATH, "HOSTNAME=070707070707"])
    );
}

#[test]
fn containers_alike_share_a_filter() {
    let first = filter_of(ContainerSpec::default()).expect("a filter");
    let parsed: oci_spec::runtime::LinuxSeccomp = serde_json::from_str(&first).expect("OCI specification");
    assert!(parsed.syscalls().as_ref().is_some_and(|rules| !rules.is_empty()));
    let second = filter_of(ContainerSpec::default()).expect("a filter");
    assert!(Arc::ptr_eq(&first, &second));
    let with = |security: Security| ContainerSpec {
        security,
        ..ContainerSpec::default()
    };
    let more = filter_of(with(Security {
        capabilities_add: vec!["SYS_ADMIN".to_owned()],
        ..Security::default()
    }));
    assert_ne!(more, Some(first));
    let own = filter_of(with(Security {
        seccomp: SeccompChoice::Custom(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned()),
        ..Security::default()
    }));
    assert!(own.is_some_and(|text| text.contains("SCMP_ACT_ALLOW")));
    let unconfined = filter_of(with(Security {
        seccomp: SeccompChoice::Unconfined,
        ..Security::default()
    }));
    assert_eq!(unconfined, None);
}

#[test]
fn privileged_hides_nothing() {
    let security = Security {
        privileged: true,
        ..Security::default()
    };
    let spec = ContainerSpec {
        security,
        ..ContainerSpec::default()
    };
    assert_eq!(filter_of(spec.clone()), None);
    let configuration = configured(spec);
    let linux = &configuration["linux"];
    assert!(linux.get("maskedPaths").is_none());
    assert_eq!(
        linux["resources"]["devices"],
        json!([{ "allow": true, "access": "rwm" }])
    );
    assert_eq!(linux["devices"].as_array().map(Vec::len), Some(2));
}

#[test]
fn namespaces_follow_their_modes() {
    let mut spec = ContainerSpec::default();
    spec.namespaces.pid = NamespaceMode::Container("other".to_owned());
    spec.namespaces.ipc = NamespaceMode::Host;
    spec.network = NetworkMode::Host;
    let configuration = configured(spec);
    assert_eq!(
        namespace(&configuration, "pid").expect("joined")["path"],
        "/proc/42/ns/pid"
    );
    assert!(namespace(&configuration, "ipc").is_none());
    assert!(namespace(&configuration, "network").is_none());
    assert!(namespace(&configuration, "uts").is_some() && namespace(&configuration, "cgroup").is_some());
}

#[test]
fn devices_of_a_directory_keep_their_names() {
    let mapping = DeviceMapping {
        host: "/dev/snd".into(),
        container: "/sound".into(),
        permissions: "rw".into(),
    };
    let configuration = configured(ContainerSpec {
        devices: vec![mapping],
        ..ContainerSpec::default()
    });
    let paths: Vec<_> = configuration["linux"]["devices"]
        .as_array()
        .expect("devices")
        .iter()
        .map(|device| &device["path"])
        .collect();
    assert_eq!(paths, ["/sound/a", "/sound/b"]);
}

#[test]
fn unlimited_rlimits_are_the_largest_number() {
    let limit = Rlimit {
        name: "nofile".to_owned(),
        soft: 10,
        hard: -1,
    };
    let configuration = configured(ContainerSpec {
        rlimits: vec![limit],
        ..ContainerSpec::default()
    });
    assert_eq!(
        configuration["process"]["rlimits"],
        json!([{ "type": "RLIMIT_NOFILE", "soft": 10, "hard": u64::MAX }])
    );
}

#[test]
fn environment_merges_by_name() {
    let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
    merge_environment(
        &mut env,
        &["B=3".to_owned(), "A".to_owned(), "C=4".to_owned(), "D".to_owned()],
    );
    assert_eq!(env, ["B=3", "C=4"]);
}

#[test]
fn the_machine_keeps_its_name() {
    let mut spec = ContainerSpec {
        domainname: "example.org".to_owned(),
        ..ContainerSpec::default()
    };
    let own = configured(spec.clone());
    assert_eq!(own["hostname"], "070707070707");
    assert_eq!(own["domainname"], "example.org");
    spec.namespaces.uts = NamespaceMode::Host;
    let shared = configured(spec);
    assert_eq!(shared["hostname"], Value::Null);
    assert_eq!(shared["domainname"], "example.org", "for the runtime to refuse");
}

#[test]
fn own_networks_have_dockers_kernel_parameters() {
    let of = |network, wished: &[(&str, &str)]| {
        let sysctls = wished
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let spec = ContainerSpec {
            network,
            sysctls: sysctls.collect(),
            ..ContainerSpec::default()
        };
        configured(spec)["linux"]["sysctl"].clone()
    };
    let port = "net.ipv4.ip_unprivileged_port_start";
    assert_eq!(
        of(NetworkMode::Default, &[])["net.ipv4.ping_group_range"],
        "0 2147483647"
    );
    assert_eq!(of(NetworkMode::None, &[])[port], "0");
    assert_eq!(of(NetworkMode::Default, &[(port, "80")])[port], "80", "a wish wins");
    assert_eq!(of(NetworkMode::Host, &[]), Value::Null);
    assert_eq!(of(NetworkMode::Container("other".into()), &[]), Value::Null);
}
