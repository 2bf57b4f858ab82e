// SPDX-License-Identifier: MIT
//! Swarm and plugins: the answers of an engine that takes part in no swarm and has no plugins.
//!
//! As with Docker, a request is judged first: its body, then its version, its filters and flags.

use std::fmt::Display;

use http::StatusCode;
use serde::Deserialize;

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::go_json::shape::{Document, Root, Shape, Struct};
use crate::query::parse_integer;
use crate::router::{Route, route};
use crate::translate::image::parse_reference;

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/swarm/init" => init),
    route!(Post "/swarm/join" => join),
    route!(Post "/swarm/leave" => not_part),
    route!(Get "/swarm" => refuse),
    route!(Get "/swarm/unlockkey" => refuse),
    route!(Post "/swarm/update" => update_swarm),
    route!(Post "/swarm/unlock" => unlock),
    route!(Get "/nodes" => refuse_list),
    route!(Get "/nodes/{id}" => refuse),
    route!(Delete "/nodes/{id}" => refuse),
    route!(Post "/nodes/{id}/update" => update_node),
    route!(Get "/services" => refuse_list),
    route!(Post "/services/create" => create_service),
    route!(Get "/services/{id}" => refuse_service),
    route!(Delete "/services/{id}" => refuse),
    route!(Post "/services/{id}/update" => update_service),
    route!(Get "/services/{id}/logs" => refuse_logs),
    route!(Get "/tasks" => refuse_list),
    route!(Get "/tasks/{id}" => refuse),
    route!(Get "/tasks/{id}/logs" => refuse_logs),
    route!(Get "/secrets" => refuse_list),
    route!(Post "/secrets/create" => create_secret),
    route!(Get "/secrets/{id}" => refuse),
    route!(Delete "/secrets/{id}" => refuse),
    route!(Post "/secrets/{id}/update" => update_secret),
    route!(Get "/configs" => refuse_list),
    route!(Post "/configs/create" => create_config),
    route!(Get "/configs/{id}" => refuse),
    route!(Delete "/configs/{id}" => refuse),
    route!(Post "/configs/{id}/update" => update_config),
    route!(Put "/volumes/{name}" => no_cluster_volume),
    route!(Get "/plugins" => no_plugins),
    route!(Get "/plugins/{name:*}/json" => no_such_plugin),
    route!(Post "/plugins/pull" => pull_plugin),
    route!(Get "/plugins/privileges" => privileges),
    route!(Post "/plugins/{name:*}/enable" => enable_plugin),
    route!(Post "/plugins/{name:*}/disable" => no_such_plugin),
    route!(Post "/plugins/{name:*}/push" => no_such_plugin),
    route!(Post "/plugins/{name:*}/set" => set_plugin),
    route!(Post "/plugins/{name:*}/upgrade" => upgrade_plugin),
    route!(Post "/plugins/create" => unsupported_plugins),
    route!(Delete "/plugins/{name:*}" => no_such_plugin),
];

static TEXT: Shape = Shape::Text("string");
static ARGUMENTS: Root = Root {
    label: "",
    document: &Shape::List("[]string", &TEXT),
};
static PRIVILEGES: Root = Root {
    label: "",
    document: &Shape::List(
        "types.PluginPrivileges",
        &Shape::Struct(&Struct {
            name: "types.PluginPrivilege",
            fields: &[],
            embedded: None,
        }),
    ),
};

/// The type of a body of which only one field is of interest, or none.
macro_rules! root {
    ($label:literal, $name:literal, $fields:expr) => {
        Root {
            label: $label,
            document: &Shape::Struct(&Struct {
                name: $name,
                fields: $fields,
                embedded: None,
            }),
        }
    };
}

static SWARM: Root = root!("Spec", "swarm.Spec", &[]);
static UNLOCK: Root = root!("UnlockRequest", "swarm.UnlockRequest", &[("UnlockKey", &TEXT)]);
static NODE: Root = root!("NodeSpec", "swarm.NodeSpec", &[]);
static SERVICE: Root = root!("ServiceSpec", "swarm.ServiceSpec", &[]);
static SECRET: Root = root!("SecretSpec", "swarm.SecretSpec", &[]);
static CONFIG: Root = root!("ConfigSpec", "swarm.ConfigSpec", &[]);

/// What a node that is to be in a swarm listens on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listening {
    listen_addr: String,
}

/// The body of `POST /swarm/init`.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct InitBody(Listening);

/// The body of `POST /swarm/join`.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct JoinBody(Listening);

impl Document for InitBody {
    const ROOT: &'static Root = &root!("InitRequest", "swarm.InitRequest", &[("ListenAddr", &TEXT)]);
}

impl Document for JoinBody {
    const ROOT: &'static Root = &root!("JoinRequest", "swarm.JoinRequest", &[("ListenAddr", &TEXT)]);
}

/// Docker's refusal on a node that is no manager.
pub(super) fn not_a_manager() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}

async fn refuse(_: Call) -> ApiResult<Answer> {
    Err(not_a_manager())
}

async fn not_part(_: Call) -> ApiResult<Answer> {
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not part of a swarm",
    ))
}

async fn init(mut call: Call) -> ApiResult<Answer> {
    let InitBody(listening) = call.json_or_default().await?;
    no_swarm(&listening)
}

async fn join(mut call: Call) -> ApiResult<Answer> {
    let JoinBody(listening) = call.json_or_default().await?;
    no_swarm(&listening)
}

fn no_swarm(listening: &Listening) -> ApiResult<Answer> {
    if listening.listen_addr.is_empty() {
        return Err(ApiError::bad_request("invalid ListenAddr \"\": invalid empty address"));
    }
    Err(ApiError::not_implemented("swarm mode is not supported by HyperBox"))
}

/// Refuses after the filters have been read; which ones there are, only a manager knows.
async fn refuse_list(call: Call) -> ApiResult<Answer> {
    Filters::parse(call.query.text("filters"))?;
    Err(not_a_manager())
}

async fn refuse_service(call: Call) -> ApiResult<Answer> {
    truth(&call, "insertDefaults")
        .map_err(|text| {
            let reason = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            ApiError::bad_request(format!("invalid value for insertDefaults: {text}: {reason}"))
        })
        .and(Err(not_a_manager()))
}

async fn refuse_logs(call: Call) -> ApiResult<Answer> {
    if !call.query.flag("stdout") && !call.query.flag("stderr") {
        return Err(ApiError::bad_request(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    Err(not_a_manager())
}

async fn update_swarm(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&SWARM).await?;
    require_version(&call, "swarm")?;
    for flag in ["rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"] {
        truth(&call, flag).map_err(|text| ApiError::bad_request(format!("invalid value for {flag}: {text}")))?;
    }
    Err(not_a_manager())
}

async fn unlock(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&UNLOCK).await?;
    Err(not_a_manager())
}

async fn update_node(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&NODE).await?;
    require_version(&call, "node")?;
    Err(not_a_manager())
}

async fn create_service(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&SERVICE).await?;
    Err(not_a_manager())
}

async fn update_service(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&SERVICE).await?;
    require_version(&call, "service")?;
    Err(not_a_manager())
}

async fn create_secret(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&SECRET).await?;
    Err(not_a_manager())
}

async fn update_secret(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&SECRET).await?;
    version(&call).map_err(|_| ApiError::bad_request("invalid secret version"))?;
    Err(not_a_manager())
}

async fn create_config(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&CONFIG).await?;
    Err(not_a_manager())
}

async fn update_config(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&CONFIG).await?;
    version(&call).map_err(|_| ApiError::bad_request("invalid config version"))?;
    Err(not_a_manager())
}

/// Refuses a request whose parameter `version` is no number.
fn require_version(call: &Call, what: &str) -> ApiResult<()> {
    let text = call.query.text("version");
    version(call).map_err(|reason| ApiError::bad_request(format!("invalid {what} version '{text}': {reason}")))
}

fn version(call: &Call) -> Result<(), impl Display + use<>> {
    parse_integer::<u64>("ParseUint", call.query.text("version")).map(drop)
}

/// Refuses a parameter that is there and no truth value (Go's `strconv.ParseBool`); the error is its text.
fn truth(call: &Call, name: &str) -> Result<(), String> {
    match call.query.text(name) {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(()),
        text => Err(text.to_owned()),
    }
}

async fn no_cluster_volume(_: Call) -> ApiResult<Answer> {
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    ))
}

async fn no_plugins(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["capability", "enabled"])?;
    filters.boolean("enabled")?;
    Ok(json(&[(); 0]))
}

async fn no_such_plugin(call: Call) -> ApiResult<Answer> {
    Err(ApiError::not_found(format!(
        "plugin {:?} not found",
        call.parameter("name")
    )))
}

async fn enable_plugin(call: Call) -> ApiResult<Answer> {
    parse_integer::<i64>("Atoi", call.query.text("timeout")).map_err(ApiError::bad_request)?;
    no_such_plugin(call).await
}

async fn set_plugin(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&ARGUMENTS).await?;
    no_such_plugin(call).await
}

async fn upgrade_plugin(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&PRIVILEGES).await?;
    parse_reference(call.query.text("remote"))?;
    let name = call.parameter("name");
    let tag = if name.contains([':', '@']) { "" } else { ":latest" };
    Err(ApiError::not_found(format!("plugin \"{name}{tag}\" not found")))
}

async fn pull_plugin(mut call: Call) -> ApiResult<Answer> {
    call.judge_json(&PRIVILEGES).await?;
    privileges(call).await
}

async fn privileges(call: Call) -> ApiResult<Answer> {
    parse_reference(call.query.text("remote"))?;
    unsupported_plugins(call).await
}

async fn unsupported_plugins(_: Call) -> ApiResult<Answer> {
    Err(ApiError::not_implemented("plugins are not supported by HyperBox"))
}
