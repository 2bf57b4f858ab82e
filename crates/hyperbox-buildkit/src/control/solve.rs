// SPDX-License-Identifier: MIT
//! `Control.Solve`: the call that lasts as long as its build.

use std::collections::HashMap;
use std::sync::Arc;

use super::Control;
use super::builds::{Begun, Build, Outcome};
use crate::proto::control::{SolveRequest, SolveResponse};
use crate::proto::ops;
use crate::solve::{Finished, Solving, solve};
use crate::transport::server::{Replies, one};
use crate::transport::status::{Code, Status};

/// What steps would be allowed that keep all privileges.
const INSECURE: &str = "security.insecure";

impl Control {
    /// Waits until the gateway's client returns a result; builds itself for clients that name the frontend here.
    ///
    /// # Errors
    /// How the build failed.
    pub(super) async fn control_solve(&self, request: SolveRequest) -> Result<Replies, Status> {
        let request = Arc::new(request);
        let begun = self.begin(&request)?;
        self.carry_out(begun, &request).await
    }

    /// Begins a build, which ends when what is returned goes.
    ///
    /// # Errors
    /// Without a reference, or with that of a build that goes on.
    pub(super) fn begin(&self, request: &Arc<SolveRequest>) -> Result<Begun, Status> {
        if request.reference.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "a solve needs a reference"));
        }
        self.builds.begin(Arc::clone(request))
    }

    /// Carries a build out that has begun: also what is refused has begun, for those who watch it.
    ///
    /// # Errors
    /// As [`Control::control_solve`].
    pub(super) async fn carry_out(&self, begun: Begun, request: &SolveRequest) -> Result<Replies, Status> {
        check(request)?;
        let record = self.history.begin(request, &begun.build);
        let outcome = match request.frontend.as_str() {
            "" => begun.build.outcome().await,
            frontend => self.directly(&begun.build, request, frontend).await,
        };
        record.end(&outcome);
        outcome.map(|exporter_response| one(&SolveResponse { exporter_response }))
    }

    async fn directly(&self, build: &Build, request: &SolveRequest, frontend: &str) -> Outcome {
        let inputs = HashMap::new();
        let finished = self
            .solve(build, request, frontend, &request.frontend_attrs, &inputs)
            .await?;
        Ok(finished.response)
    }

    /// Builds.
    ///
    /// # Errors
    /// As [`solve`].
    pub(super) async fn solve(
        &self,
        build: &Build,
        request: &SolveRequest,
        frontend: &str,
        options: &HashMap<String, String>,
        inputs: &HashMap<String, ops::Definition>,
    ) -> Result<Finished, Status> {
        let solving = Solving {
            builder: &self.builder,
            sessions: self.sessions.as_ref(),
            results: &self.results,
            course: &build.course,
            request,
            frontend,
            options,
            inputs,
            uploads: &self.uploads,
        };
        tokio::select! {
            biased;
            finished = solve(solving) => finished,
            // Whoever asked for the build does not wait any more.
            () = build.course.ended() => Err(crate::transport::server::interrupted()),
        }
    }
}

/// Refuses what is not done here.
fn check(request: &SolveRequest) -> Result<(), Status> {
    let definition = request.definition.as_ref();
    if definition.is_some_and(|definition| !definition.def.is_empty()) {
        return Err(Status::new(
            Code::Unknown,
            "LLB definitions are not supported: only Dockerfiles are built here",
        ));
    }
    if request.entitlements.iter().any(|wanted| wanted == INSECURE) {
        // Docker's default; `hb build --allow` asks this daemon for it in its own words.
        return Err(Status::new(
            Code::Unknown,
            format!("granting entitlement {INSECURE} is not allowed by build daemon configuration"),
        ));
    }
    Ok(())
}
