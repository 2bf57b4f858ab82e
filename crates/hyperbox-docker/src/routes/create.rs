// SPDX-License-Identifier: MIT
//! `POST /containers/create`, and what it shares with `POST /hyperbox/v1/run`.

use http::StatusCode;
use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerSpec, Created, Purpose};
use hyperbox_types::run::TerminalSize;
use hyperbox_types::{ContainerName, Platform};

use crate::answer::{Answer, json_with};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};
use crate::translate::complete::Defaults;
use crate::translate::create::translate;
use crate::translate::network::KnownNetworks;
use crate::translate::networking::{modernize, refuse_conflicts};
use crate::translate::volumes_from::inherit;
use crate::version::ApiVersion;
use crate::wire::config::CreateBody;
use crate::wire::container::CreateResponse;
use crate::wire::host_config::HostConfig;

pub(super) const ROUTES: &[Route] = &[route!(Post "/containers/create" => create)];

async fn create(mut call: Call) -> ApiResult<Answer> {
    let body: CreateBody = call.json().await?;
    let made = create_container(
        call.engine(),
        Purpose::Keep,
        call.query.text("name"),
        call.query.text("platform"),
        call.version,
        body,
    )
    .await?;
    let response = CreateResponse {
        id: made.created.id.to_string(),
        warnings: made.created.warnings,
    };
    Ok(json_with(StatusCode::CREATED, &response))
}

/// A container that was made for a client.
#[derive(Debug)]
pub(crate) struct Made {
    /// Id, name, warnings.
    pub created: Created,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
    /// Whether its input ends with its first client.
    pub stdin_once: bool,
}

/// Translates and creates.
pub(crate) async fn create_container(
    engine: &Engine,
    purpose: Purpose,
    name: &str,
    platform: &str,
    version: ApiVersion,
    mut body: CreateBody,
) -> ApiResult<Made> {
    let name = parse_name(name)?;
    let platform = parse_platform(platform)?;
    let console = body.host_config.console_size.clone();
    let facts = engine.system.facts();
    let defaults = Defaults {
        runtime: facts.default_runtime.clone(),
        cgroup_v2: facts.cgroup_version == 2,
        networks: KnownNetworks(engine.networks.list()),
    };
    refuse_conflicts(&body)?;
    let warnings = modernize(&mut body, version)?;
    name_by_id(engine, &mut body.host_config);
    let mut wish = translate(body, platform, &defaults)?;
    for (target, _) in &mut wish.spec.links {
        *target = link_target(engine, target)?;
    }
    for from in &wish.volumes_from {
        let record = engine
            .containers
            .get(&from.container)
            .map_err(|error| ApiError::from(error).with_status(StatusCode::BAD_REQUEST))?;
        inherit(&mut wish.spec.mounts, &record, from.read_only);
    }
    check_platform(engine, &wish.spec)?;
    let (auto_remove, stdin_once, terminal) = (wish.spec.auto_remove, wish.spec.stdin_once, wish.spec.terminal);
    let mut created = engine
        .containers
        .create_for(purpose, name, wish.spec, wish.document.to_value())
        .await?;
    created.warnings.extend(wish.warnings.into_iter().chain(warnings));
    if let Some(size) = terminal_size(&console).filter(|_| terminal) {
        engine.containers.resize(created.id.as_str(), size).await?;
    }
    Ok(Made {
        created,
        auto_remove,
        stdin_once,
    })
}

/// Containers whose namespaces are joined are kept by id: their names may change. What is not found is left to the engine to refuse.
fn name_by_id(engine: &Engine, host: &mut HostConfig) {
    for mode in [&mut host.network_mode, &mut host.pid_mode, &mut host.ipc_mode] {
        if let Some(reference) = mode.strip_prefix("container:")
            && let Ok(record) = engine.containers.get(reference)
        {
            *mode = format!("container:{}", record.id);
        }
    }
    // A network that is named by the beginning of its id.
    if let Ok(network) = engine.networks.get(&host.network_mode)
        && network.name.as_str() != host.network_mode
    {
        host.network_mode = network.id.to_string();
    }
}

/// Returns the id of a container that is linked to.
fn link_target(engine: &Engine, reference: &str) -> ApiResult<String> {
    let found = engine.containers.get(reference);
    let record = found.map_err(|error| {
        let reason = error.message();
        ApiError::bad_request(format!("could not get container for {reference}: {reason}"))
    })?;
    Ok(record.id.to_string())
}

/// Docker's `[height, width]`; zeros mean unknown.
pub(super) fn terminal_size(console: &[u32]) -> Option<TerminalSize> {
    let [rows, columns] = console else { return None };
    let size = TerminalSize {
        rows: u16::try_from(*rows).ok()?,
        columns: u16::try_from(*columns).ok()?,
    };
    (size.rows != 0 && size.columns != 0).then_some(size)
}

/// Parses a name, with or without Docker's leading slash; an empty one leaves the choice to the engine.
pub(super) fn parse_name(text: &str) -> ApiResult<Option<ContainerName>> {
    let name = text.strip_prefix('/').unwrap_or(text);
    if name.is_empty() {
        return Ok(None);
    }
    ContainerName::parse(name).map(Some).map_err(|_| invalid_name(text))
}

/// Refuses a name in Docker's words.
pub(super) fn invalid_name(text: &str) -> ApiError {
    let shown: String = text.chars().take(80).collect();
    ApiError::bad_request(format!(
        "Invalid container name ({shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    ))
}

/// Parses a platform; an empty text means any.
pub(super) fn parse_platform(text: &str) -> ApiResult<Option<Platform>> {
    match text {
        "" => Ok(None),
        text if text.split('/').count() > 3 => Err(ApiError::bad_request(format!(
            "{text:?}: cannot parse platform specifier: invalid argument"
        ))),
        text if text.split('/').any(|part| !is_component(part)) => Err(ApiError::bad_request(component_fault(text))),
        text => Platform::parse(text)
            .ok()
            .filter(|platform| text.contains('/') || is_known(platform))
            .map(Some)
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "{text:?}: unknown operating system or architecture: invalid argument"
                ))
            }),
    }
}

/// What containerd accepts as one part of a platform (`platforms/platforms.go`, `specifierRe` and `osRe`).
fn is_component(part: &str) -> bool {
    let part = part.split_once('(').map_or(part, |(name, _)| name);
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn component_fault(text: &str) -> String {
    let (os, rest) = text.split_once('/').unwrap_or((text, ""));
    if is_component(os) {
        let part = rest.split('/').find(|part| !is_component(part)).unwrap_or_default();
        return format!(
            "{part:?} is an invalid component of {text:?}: platform specifier component must match \
             \"^[A-Za-z0-9_.-]+$\": invalid argument"
        );
    }
    format!(
        "{os:?} is an invalid OS component of {text:?}: OSAndVersion specifier component must match {:?}: invalid argument",
        r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$"
    )
}

/// One word alone has to say which of both it is (`platforms/database.go` of containerd).
fn is_known(platform: &Platform) -> bool {
    const ARCHITECTURES: &[&str] = &[
        "386", "amd64", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc",
        "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm",
    ];
    platform.os != "linux" || ARCHITECTURES.contains(&platform.architecture.as_str())
}

/// An image that is here for another platform is as good as none: the client may pull the right one.
fn check_platform(engine: &Engine, spec: &ContainerSpec) -> ApiResult<()> {
    let Some(wanted) = &spec.platform else { return Ok(()) };
    let image = engine.images.get(&spec.image)?;
    if wanted.rank(&image.platform).is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {} was found but its platform ({}) does not match the specified platform ({wanted})",
        spec.image, image.platform
    )))
}
