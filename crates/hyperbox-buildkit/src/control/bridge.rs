// SPDX-License-Identifier: MIT
//! The service `moby.buildkit.v1.frontend.LLBBridge`, which clients use that run the frontend's client themselves.

use std::sync::Arc;

use http::HeaderMap;

use super::Control;
use super::builds::Build;
use crate::proto::caps::ApiCap;
use crate::proto::control::{Empty, SolveRequest as ControlSolveRequest};
use crate::proto::gateway::{
    BuildResult, EvaluateRequest, InputsResponse, PongResponse, Ref, ReturnRequest, SolveRequest, SolveResponse,
};
use crate::solve::definition;
use crate::transport::server::{Call, Replies, one};
use crate::transport::status::{Code, Status};

/// The header that names the build.
const BUILD: &str = "buildkit-controlapi-buildid";

/// The methods that there are.
const METHODS: [&str; 5] = ["Ping", "Inputs", "Solve", "Evaluate", "Return"];

/// What clients may use (`frontend/gateway/pb/caps.go`). Without `return` they would wait for another way to end.
const CAPABILITIES: [&str; 6] = [
    "solve.base",
    "return",
    "proto.refarray",
    "reference.output",
    "gateway.solve.metadata",
    "gateway.evaluate",
];

/// Answers a call. All are about a build: clients begin it beside everything else that they call, and are answered when it is known.
///
/// # Errors
/// As the methods; [`Code::NotFound`] when the build does not come; [`Code::Unimplemented`] for methods that only frontends of other
/// languages need.
pub(super) async fn answer(control: &Control, mut call: Call) -> Result<Replies, Status> {
    let method = call.path.rsplit('/').next().unwrap_or_default();
    if !METHODS.contains(&method) {
        return Err(Status::unimplemented(&call.path));
    }
    let (build, asked) = build(control, &call.headers).await?;
    match method {
        "Solve" => {
            let request = call.messages.only().await?;
            let answer = solve(control, &build, &asked, request).await?;
            Ok(one(&answer))
        }
        "Evaluate" => {
            let request: EvaluateRequest = call.messages.only().await?;
            // Everything is built when it is solved.
            known(&build, &request.reference)?;
            Ok(one(&Empty {}))
        }
        "Return" => {
            finish(&build, call.messages.only().await?);
            Ok(one(&Empty {}))
        }
        "Inputs" => Ok(one(&InputsResponse::default())),
        _ => Ok(one(&pong(control))),
    }
}

async fn build(control: &Control, headers: &HeaderMap) -> Result<(Arc<Build>, Arc<ControlSolveRequest>), Status> {
    let name = headers.get(BUILD).and_then(|value| value.to_str().ok());
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err(Status::new(
            Code::InvalidArgument,
            format!("the header {BUILD} is missing"),
        ));
    };
    control.builds.begun(name).await
}

fn pong(control: &Control) -> PongResponse {
    let capability = |id: &str| ApiCap {
        id: id.to_owned(),
        enabled: true,
    };
    PongResponse {
        frontend_api_caps: CAPABILITIES.iter().map(|id| capability(id)).collect(),
        llb_caps: Vec::new(),
        workers: vec![control.worker.record()],
    }
}

async fn solve(
    control: &Control,
    build: &Build,
    asked: &ControlSolveRequest,
    request: SolveRequest,
) -> Result<SolveResponse, Status> {
    let inputs = &request.frontend_inputs;
    let finished = control
        .solve(build, asked, &request.frontend, &request.frontend_opt, inputs)
        .await?;
    let finished = Arc::new(finished);
    // An answer about a Dockerfile is nothing that a linked target could build upon.
    let reference = finished.base.is_some().then(|| {
        let id = control.results.name();
        control.results.add(&id, &finished);
        build.keep(&id, Arc::clone(&finished));
        Ref {
            def: Some(definition(&id)),
            id,
        }
    });
    Ok(SolveResponse {
        result: Some(BuildResult {
            ref_deprecated: None,
            reference,
            metadata: finished.metadata.clone(),
        }),
    })
}

fn known(build: &Build, id: &str) -> Result<(), Status> {
    match build.kept(id) {
        Some(_) => Ok(()),
        None => Err(Status::new(Code::NotFound, format!("no such reference {id:?}"))),
    }
}

/// Ends a build as its client says.
fn finish(build: &Build, request: ReturnRequest) {
    if let Some(error) = request.error {
        build.finish(Err(Status::of_message(error)));
        return;
    }
    let reference = request.result.and_then(|result| {
        let named = result.reference.map(|reference| reference.id);
        named.or(result.ref_deprecated)
    });
    let finished = reference.and_then(|id| build.kept(&id));
    build.finish(Ok(finished
        .map(|finished| finished.response.clone())
        .unwrap_or_default()));
}
