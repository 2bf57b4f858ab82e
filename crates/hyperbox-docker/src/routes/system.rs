// SPDX-License-Identifier: MIT
//! The engine itself: ping, version, information, disk usage, login.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA};
use http::{Response, StatusCode};
use hyperbox_core::container::Phase;
use hyperbox_core::time::Timestamp;
use hyperbox_types::{Architecture, ErrorKind};
use serde_json::{Value, json};

use crate::answer::{Answer, json as json_answer, whole};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::go_json;
use crate::registry_auth::AuthConfig;
use crate::router::{Route, route};
use crate::version::ApiVersion;
use crate::wire::system::{Component, LoginResponse, Platform, Version};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/_ping" => ping),
    route!(Get "/version" => version),
    route!(Get "/info" => info),
    route!(Post "/auth" => login),
];

async fn ping(call: Call) -> ApiResult<Answer> {
    let mut response = Response::new(whole("OK"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    // 2 is BuildKit: clients build by sessions then. With 1 they send a plain POST /build.
    let builder = match call.door.build_connections {
        Some(_) => HeaderValue::from_static("2"),
        None => HeaderValue::from_static("1"),
    };
    headers.insert("builder-version", builder);
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    Ok(response)
}

/// Go's spelling of the kernel's name of an architecture.
fn go_architecture(kernel: &str) -> &'static str {
    match Architecture::new(kernel).as_str() {
        "amd64" => "amd64",
        "arm64" => "arm64",
        "arm" => "arm",
        "386" => "386",
        "riscv64" => "riscv64",
        "ppc64le" => "ppc64le",
        "s390x" => "s390x",
        _ => "unknown",
    }
}

async fn version(call: Call) -> ApiResult<Answer> {
    let facts = call.engine().system.facts();
    let arch = go_architecture(&facts.architecture);
    let engine = Component {
        name: "Engine".to_owned(),
        version: facts.version.clone(),
        details: BTreeMap::from([
            ("ApiVersion", ApiVersion::MAXIMUM.to_string()),
            ("Arch", arch.to_owned()),
            ("BuildTime", facts.build_time.clone()),
            ("Experimental", "false".to_owned()),
            ("GitCommit", facts.git_commit.clone()),
            ("GoVersion", String::new()),
            ("KernelVersion", facts.kernel.clone()),
            ("MinAPIVersion", ApiVersion::MINIMUM.to_string()),
            ("Os", "linux".to_owned()),
        ]),
    };
    let mut components = vec![engine];
    for runtime in &facts.runtimes {
        let known = call.engine().containers.runtime_version(&runtime.name).await;
        components.push(Component {
            name: runtime.name.clone(),
            version: known.version,
            details: BTreeMap::from([("GitCommit", known.commit)]),
        });
    }
    Ok(json_answer(&Version {
        platform: Platform { name: "HyperBox" },
        components,
        version: facts.version.clone(),
        api_version: ApiVersion::MAXIMUM.to_string(),
        minimum_api_version: ApiVersion::MINIMUM.to_string(),
        git_commit: facts.git_commit.clone(),
        go_version: "",
        os: "linux",
        arch,
        kernel_version: facts.kernel.clone(),
        build_time: facts.build_time.clone(),
    }))
}

async fn info(call: Call) -> ApiResult<Answer> {
    let engine = call.engine();
    let facts = engine.system.facts();
    let containers = engine.containers.list();
    let count = |wanted: &[Phase]| {
        containers
            .iter()
            .filter(|record| wanted.contains(&record.state.phase))
            .count()
    };
    let (running, paused) = (count(&[Phase::Running, Phase::Restarting]), count(&[Phase::Paused]));
    let runtimes: serde_json::Map<String, Value> = facts
        .runtimes
        .iter()
        .map(|runtime| {
            let program = runtime
                .program
                .as_ref()
                .map_or_else(|| runtime.name.clone(), |path| path.display().to_string());
            (runtime.name.clone(), json!({ "path": program }))
        })
        .collect();
    let mut info = json!({
        "ID": facts.id,
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": engine.images.list().len(),
        "Driver": facts.storage_driver,
        "DriverStatus": facts.storage_status,
        "Plugins": {
            "Volume": ["local"],
            "Network": engine.networks.drivers(),
            "Authorization": null,
            "Log": ["json-file", "local"],
        },
        "SystemTime": Timestamp::now().to_string(),
        "Runtimes": runtimes,
    });
    let rest = [
        host_facts(&call),
        registry_facts(&call),
        network_facts(&call),
        constants(),
    ];
    if let Value::Object(fields) = &mut info {
        fields.extend(rest.into_iter().flat_map(|value| match value {
            Value::Object(fields) => fields,
            _ => serde_json::Map::new(),
        }));
        suit(fields, call.version);
    }
    Ok(json_answer(&info))
}

fn host_facts(call: &Call) -> Value {
    let facts = call.engine().system.facts();
    json!({
        "Debug": facts.debug,
        "CgroupDriver": facts.cgroup_driver,
        "CgroupVersion": facts.cgroup_version.to_string(),
        "KernelVersion": facts.kernel,
        "OperatingSystem": facts.operating_system,
        "OSVersion": facts.os_version,
        "Architecture": facts.architecture,
        "NCPU": facts.cpus,
        "MemTotal": facts.memory.0,
        "DockerRootDir": facts.root_dir.display().to_string(),
        "Name": facts.name,
        "ServerVersion": facts.version,
        "DefaultRuntime": facts.default_runtime,
        "SecurityOptions": facts.security_options,
        "Warnings": if facts.warnings.is_empty() { Value::Null } else { json!(facts.warnings) },
    })
}

fn registry_facts(call: &Call) -> Value {
    let facts = call.engine().system.facts();
    let mut indexes = serde_json::Map::new();
    for host in &facts.insecure_registries {
        indexes.insert(
            host.clone(),
            json!({ "Mirrors": [], "Name": host, "Official": false, "Secure": false }),
        );
    }
    let hub = json!({ "Mirrors": facts.mirrors, "Name": "docker.io", "Official": true, "Secure": true });
    indexes.insert("docker.io".to_owned(), hub);
    json!({
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "IndexConfigs": indexes,
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "Mirrors": if facts.mirrors.is_empty() { Value::Null } else { json!(facts.mirrors) },
        },
    })
}

/// The pools only when the user chose them, and what clients before 1.50 ask of the kernel's bridges.
fn network_facts(call: &Call) -> Value {
    let mut facts = serde_json::Map::new();
    let pools = &call.engine().system.facts().default_address_pools;
    if !pools.is_empty() {
        let pools = pools.iter().map(|(base, size)| json!({ "Base": base, "Size": size }));
        facts.insert("DefaultAddressPools".to_owned(), pools.collect());
    }
    if !call.version.at_least(50) {
        // Docker no longer looks: nothing depends on them any more.
        for field in ["BridgeNfIptables", "BridgeNfIp6tables"] {
            facts.insert(field.to_owned(), false.into());
        }
    }
    Value::Object(facts)
}

/// What is the same on every machine, because the engine brings it along or does without.
fn constants() -> Value {
    json!({
        "MemoryLimit": true, "SwapLimit": true, "CpuCfsPeriod": true, "CpuCfsQuota": true, "CPUShares": true,
        "CPUSet": true, "PidsLimit": true, "OomKillDisable": false, "IPv4Forwarding": true,
        "NFd": -1, "NGoroutines": -1, "NEventsListener": 0,
        "LoggingDriver": "json-file",
        "OSType": "linux",
        "GenericResources": null,
        "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
        "Labels": [],
        "ExperimentalBuild": false,
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "hyperbox-shim",
        "ContainerdCommit": { "ID": "" }, "RuncCommit": { "ID": "" }, "InitCommit": { "ID": "" },
        "FirewallBackend": { "Driver": "nftables" },
        "CDISpecDirs": [],
    })
}

/// Gives the information the shape that it has in a version of the API.
fn suit(info: &mut serde_json::Map<String, Value>, version: ApiVersion) {
    if !version.at_least(25)
        && let Some(Value::Array(options)) = info.get_mut("SecurityOptions")
    {
        // Names alone, without what they are set to.
        for option in options {
            let text = option.as_str().unwrap_or_default();
            let name = text.split(',').find_map(|pair| pair.strip_prefix("name="));
            *option = name.unwrap_or(text).into();
        }
    }
    if !version.at_least(47)
        && let Some(Value::Object(registries)) = info.get_mut("RegistryConfig")
    {
        for field in [
            "AllowNondistributableArtifactsCIDRs",
            "AllowNondistributableArtifactsHostnames",
        ] {
            registries.insert(field.to_owned(), Value::Null);
        }
    }
    if !version.at_least(49) {
        info.remove("FirewallBackend");
    }
}

async fn login(mut call: Call) -> ApiResult<Answer> {
    // Of any media type, with anything behind it, and refused without the words that other routes put in front.
    let auth: AuthConfig =
        go_json::leading_document(&call.bytes().await?).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let server = auth.serveraddress.clone();
    let host = server.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let host = if matches!(host, "" | "index.docker.io") {
        "docker.io"
    } else {
        host
    };
    let credentials = auth.credentials().unwrap_or_default();
    let token = call.engine().images.login(host, &credentials).await.map_err(|error| {
        // Docker's own status for a refused password is 500; only a token server's refusal is told as one.
        let denied = error.kind() == ErrorKind::PermissionDenied && error.message().contains("unauthorized:");
        let refused = error.kind() == ErrorKind::PermissionDenied && !denied;
        let error = ApiError::from(error);
        if denied {
            error.with_status(StatusCode::UNAUTHORIZED)
        } else if refused {
            error.with_status(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            error
        }
    })?;
    Ok(json_answer(&LoginResponse {
        identity_token: token.unwrap_or_default(),
        status: "Login Succeeded",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_suits_the_version() {
        let all = json!({
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
            "RegistryConfig": { "Mirrors": null },
            "FirewallBackend": { "Driver": "nftables" },
        });
        let none = json!({
            "Mirrors": null,
            "AllowNondistributableArtifactsCIDRs": null,
            "AllowNondistributableArtifactsHostnames": null,
        });
        let without_firewall =
            json!({ "SecurityOptions": all["SecurityOptions"], "RegistryConfig": { "Mirrors": null } });
        let with_artifacts = json!({ "SecurityOptions": all["SecurityOptions"], "RegistryConfig": none });
        for (version, expected) in [
            ("1.51", &all),
            ("1.49", &all),
            ("1.48", &without_firewall),
            ("1.47", &without_firewall),
            ("1.46", &with_artifacts),
            ("1.25", &with_artifacts),
            (
                "1.24",
                &json!({ "SecurityOptions": ["seccomp", "rootless"], "RegistryConfig": none }),
            ),
        ] {
            let mut info = all.as_object().expect("an object").clone();
            suit(&mut info, crate::version::choose(Some(version)).expect("known"));
            assert_eq!(&Value::Object(info), expected, "{version}");
        }
    }
}
