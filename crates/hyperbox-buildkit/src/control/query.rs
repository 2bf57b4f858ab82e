// SPDX-License-Identifier: MIT
//! Builds that are asked for by one request instead of by calls (`POST /build?version=2`): a solve and its course in one stream.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyperbox_build::{SessionBuild, SessionBuildNews};
use hyperbox_core::seam::FileStream;
use hyperbox_types::ContainerId;
use prost::Message as _;
use tokio_util::task::AbortOnDropHandle;

use super::{Control, watching};
use crate::proto::control::{CacheOptions, CacheOptionsEntry, SolveRequest, SolveResponse};
use crate::solve::UPLOADED;
use crate::transport::frame::payload;
use crate::transport::server::interrupted;
use crate::transport::status::{Code, Status};

/// Who reads the Dockerfile.
const FRONTEND: &str = "dockerfile.v0";
/// What a solve says of the image it made.
const IMAGE: &str = "containerimage.digest";

impl Control {
    /// Builds. The last news is how it ended; dropping the stream stops the build.
    pub(crate) fn build_as_asked(
        self: Arc<Self>,
        wanted: SessionBuild,
        context: Option<FileStream>,
    ) -> BoxStream<'static, SessionBuildNews> {
        let image = wanted.exporter == "moby";
        let request = match self.request(wanted, context.is_some()) {
            Ok(request) => request,
            Err(status) => return stream::iter([SessionBuildNews::Failed(status.message)]).boxed(),
        };
        let request = Arc::new(request);
        // Begun before it is watched: an earlier one of this name is not meant.
        let begun = match self.begin(&request) {
            Ok(begun) => begun,
            Err(status) => return stream::iter([SessionBuildNews::Failed(status.message)]).boxed(),
        };
        let statuses = watching::watch(&begun.build);
        let happening = statuses.map(|message| SessionBuildNews::Status(payload(message)));
        let solving = async move {
            let reference = request.reference.clone();
            let solved = async {
                // One message, as for those who call.
                self.carry_out(begun, &request)
                    .await?
                    .next()
                    .await
                    .unwrap_or_else(|| Ok(Bytes::new()))
            };
            let uploading = async {
                if let Some(context) = context {
                    // A build that does not want it fails for a reason of its own.
                    let _unwanted = self.uploads.offer(&reference, context).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                solved = solved => end(solved, image),
                () = uploading => SessionBuildNews::Done(None),
            }
        };
        // It goes on also while nobody reads.
        let solving = AbortOnDropHandle::new(tokio::spawn(solving));
        // What happened is told to its end, which comes with that of the solve, and how it ended after that.
        let (ended, how) = tokio::sync::oneshot::channel();
        let solving = stream::once(async move {
            let solved = solving.await;
            let solved = solved.unwrap_or_else(|_| SessionBuildNews::Failed(interrupted().message));
            // The receiver is in the same stream.
            let _told = ended.send(solved);
        });
        let course = stream::select(happening.map(Some), solving.map(|()| None)).filter_map(std::future::ready);
        let how = stream::once(how).filter_map(|how| std::future::ready(how.ok()));
        course.chain(how).boxed()
    }

    fn request(&self, wanted: SessionBuild, has_context: bool) -> Result<SolveRequest, Status> {
        let mut options = wanted.options;
        let reference = match wanted.id {
            id if id.is_empty() => invented()?,
            id => id,
        };
        if wanted.uploaded || has_context {
            options.insert("context".to_owned(), format!("{UPLOADED}{reference}"));
        }
        let hosts = wanted.extra_hosts.into_iter().map(|(name, address)| {
            let address = match (address.as_str(), self.worker.host_gateway) {
                ("host-gateway", Some(gateway)) => gateway.to_string(),
                ("host-gateway", None) => {
                    return Err(Status::new(
                        Code::Unknown,
                        "unable to derive the IP value for host-gateway",
                    ));
                }
                _ => address,
            };
            Ok(format!("{name}={address}"))
        });
        let hosts = hosts.collect::<Result<Vec<String>, Status>>()?.join(",");
        if !hosts.is_empty() {
            options.insert("add-hosts".to_owned(), hosts);
        }
        let inline = wanted.inline_cache.then(|| CacheOptionsEntry {
            kind: "inline".to_owned(),
            ..CacheOptionsEntry::default()
        });
        Ok(SolveRequest {
            reference,
            exporter_deprecated: wanted.exporter,
            exporter_attrs_deprecated: wanted.exporter_options,
            session: wanted.session,
            frontend: FRONTEND.to_owned(),
            frontend_attrs: options,
            cache: inline.map(|inline| CacheOptions {
                exports: vec![inline],
                ..CacheOptions::default()
            }),
            entitlements: wanted.entitlements,
            ..SolveRequest::default()
        })
    }
}

/// Names a build whose client did not.
fn invented() -> Result<String, Status> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Status::new(Code::Unavailable, error.to_string()))?;
    Ok(ContainerId::from_bytes(bytes).as_str().to_owned())
}

fn end(finished: Result<Bytes, Status>, image: bool) -> SessionBuildNews {
    let response = finished.and_then(|framed| {
        let decoded = SolveResponse::decode(payload(framed));
        decoded.map_err(|error| Status::new(Code::Internal, error.to_string()))
    });
    match response {
        Ok(mut response) => SessionBuildNews::Done(response.exporter_response.remove(IMAGE).filter(|_| image)),
        Err(status) => SessionBuildNews::Failed(status.message),
    }
}
