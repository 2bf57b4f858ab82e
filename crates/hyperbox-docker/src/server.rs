// SPDX-License-Identifier: MIT
//! The HTTP server of the door: accepts connections, answers requests, lets streams leave HTTP, and drains at the end.
//!
//! One task per connection. Stopping goes in three steps: no new connections; connections in the middle of a request may finish it,
//! up to [`DoorConfig::drain`]; what is left (followed logs, attached streams) is dropped, which detaches and stops nothing.
//!
//! A browser must never reach the engine: a request with an `Origin` is refused on every transport, and on TCP a foreign `Host` too,
//! so that neither a cross-site request nor DNS rebinding gives a web page the rights of root.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, SERVER};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyperbox_core::Engine;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::answer::{Answer, failure, status, without_body};
use crate::call::{Call, Door};
use crate::client_io::{ClientIo, ClientStream, Listener};
use crate::error::{ApiError, ApiResult};
use crate::hijack::Takeover;
use crate::native::{self, NativeRoutes};
use crate::query::{self, Query, Space, decode, encode_path};
use crate::request_body::RequestBody;
use crate::request_line::RequestLine;
use crate::upgrades::BuildConnections;
use crate::version::{self, ApiVersion};
use crate::{malformed, router, routes};

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct DoorConfig {
    /// How long requests may go on after the shutdown began.
    pub drain: Duration,
    /// Names, besides addresses and `localhost`, under which TCP clients may call this daemon.
    pub allowed_hosts: Vec<String>,
    /// Builds images; without it such requests are answered as unsupported.
    pub builder: Option<hyperbox_build::Builder>,
    /// Speaks BuildKit's protocols; without it clients are told to build as before.
    pub build_connections: Option<Arc<dyn BuildConnections>>,
    /// Answers the native routes that are not this crate's own.
    pub native: Option<Arc<dyn NativeRoutes>>,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(5),
            allowed_hosts: Vec::new(),
            builder: None,
            build_connections: None,
            native: None,
        }
    }
}

/// How many headers a request may have. Docker counts bytes alone.
const HEADERS: usize = 1000;

/// Serves clients until `shutdown` is cancelled, then drains and returns.
pub async fn serve(listener: impl Listener, engine: Engine, config: DoorConfig, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let abandon = CancellationToken::new();
    let door = Arc::new(Door {
        engine,
        builder: config.builder.clone(),
        build_connections: config.build_connections.clone(),
        builds: crate::build::running::RunningBuilds::default(),
        sessions: tasks.clone(),
        abandon: abandon.clone(),
    });
    let config = Arc::new(config);
    loop {
        let stream = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    // Out of descriptors or memory, or the peer is gone already: neither is a reason to stop serving.
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let connection = connection(Arc::clone(&door), Arc::clone(&config), stream, shutdown.clone());
        door.spawn(connection);
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(config.drain, tasks.wait()).await.is_err() {
        tracing::debug!(
            connections = tasks.len(),
            "dropping connections that did not end in time"
        );
        abandon.cancel();
        tasks.wait().await;
    }
}

async fn connection(door: Arc<Door>, config: Arc<DoorConfig>, stream: ClientStream, shutdown: CancellationToken) {
    let network = stream.is_network();
    let (takeover, mut takeovers) = mpsc::channel::<Takeover>(1);
    let service = service_fn(move |request| {
        let (door, config, takeover) = (Arc::clone(&door), Arc::clone(&config), takeover.clone());
        async move { Ok::<_, Infallible>(answer(door, &config, network, takeover, request).await) }
    });
    let mut http = http1::Builder::new()
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(RequestLine::new(stream)), service)
        .with_upgrades();
    let mut draining = false;
    let takeover = loop {
        tokio::select! {
            biased;
            result = &mut http => {
                if let Err(error) = result {
                    tracing::debug!(error = &error as &dyn std::error::Error, "connection ended early");
                }
                return;
            }
            Some(takeover) = takeovers.recv() => break takeover,
            () = shutdown.cancelled(), if !draining => {
                draining = true;
                std::pin::Pin::new(&mut http).graceful_shutdown();
            }
        }
    };
    if let Some(parts) = http.into_parts() {
        let client = ClientIo::new(parts.io.into_inner().into_inner(), parts.read_buf);
        if client.write_all(&takeover.head).await.is_ok() {
            (takeover.session)(client).await;
        }
    }
}

async fn answer(
    door: Arc<Door>,
    config: &DoorConfig,
    network: bool,
    takeover: mpsc::Sender<Takeover>,
    request: Request<Incoming>,
) -> Answer {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let method = request.method().clone();
    // The path alone: a query may hold what is nobody's business.
    let span = tracing::debug_span!("request", request = number, %method, path = request.uri().path());
    async move {
        let head = request.method() == Method::HEAD;
        let expected = request.headers().contains_key(EXPECT);
        // From here on every way out, refusals included, leaves the rest of the body to be discarded.
        let request = request.map(|body| RequestBody::new(body, Arc::clone(&door), expected));
        let mut response = match route(door, config, network, takeover, request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(
                    status = error.status().as_u16(),
                    message = error.message(),
                    "request failed"
                );
                failure(&error)
            }
        };
        tracing::debug!(status = response.status().as_u16(), "answered");
        if head {
            response = without_body(response);
        }
        add_headers(response.headers_mut());
        response
    }
    .instrument(span)
    .await
}

async fn route(
    door: Arc<Door>,
    config: &DoorConfig,
    network: bool,
    takeover: mpsc::Sender<Takeover>,
    mut request: Request<RequestBody>,
) -> ApiResult<Answer> {
    if let Some(refusal) = malformed::refusal(request.version(), request.uri().path(), request.headers()) {
        return Ok(refusal);
    }
    refuse_browsers(request.headers(), network, config)?;
    if request.method() == Method::OPTIONS {
        return Ok(status(StatusCode::OK));
    }
    let path = decode(request.uri().path(), Space::Literal);
    if let Some(clean) = router::cleaned(&path) {
        return Ok(moved(&clean));
    }
    let (wish, path) = version::split(&path);
    let native = config.native.as_ref().filter(|native| native.has(path));
    // What is no route is not found in any version, as with Docker.
    let (route, parameters) = match router::find(routes::all(), request.method(), path) {
        Some((route, parameters)) => (Some(route), parameters),
        None if native.is_some() => (None, router::Parameters::default()),
        None => return Err(ApiError::page_not_found()),
    };
    let version = version::choose(wish)?;
    let text = request.uri().query().unwrap_or_default();
    if route.is_some_and(|route| !WITHOUT_QUERY.contains(&route.pattern)) {
        query::check(text)?;
    }
    let query = Query::parse(text);
    let upgrade = request
        .headers()
        .contains_key(http::header::UPGRADE)
        .then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let call = Call {
        door,
        version,
        parameters,
        query,
        head,
        body,
        upgrade,
        takeover,
    };
    match (native, route) {
        (Some(native), _) => native::answer(native, call, path).await,
        (None, Some(route)) => (route.handler)(call).await,
        (None, None) => Err(ApiError::page_not_found()),
    }
}

/// Routes that never look at their query, and so never refuse one.
const WITHOUT_QUERY: [&str; 6] = [
    "/_ping",
    "/info",
    "/version",
    "/auth",
    "/exec/{id}/json",
    "/containers/{id}/changes",
];

/// Docker's answer to a path with empty or dotted segments.
fn moved(path: &str) -> Answer {
    let mut answer = status(StatusCode::MOVED_PERMANENTLY);
    let location = HeaderValue::try_from(encode_path(path)).ok();
    answer
        .headers_mut()
        .extend(location.map(|location| (LOCATION, location)));
    answer
}

fn refuse_browsers(headers: &HeaderMap, network: bool, config: &DoorConfig) -> ApiResult<()> {
    if headers.contains_key(ORIGIN) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "requests that come from web pages are refused",
        ));
    }
    if !network {
        return Ok(());
    }
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host_name(host);
    let known = name.is_empty()
        || name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || config
            .allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name));
    if known {
        return Ok(());
    }
    let message = format!("requests for host {name:?} are refused");
    Err(ApiError::new(StatusCode::FORBIDDEN, message)
        .with_hint("add the name to the allowed hosts of the daemon's configuration"))
}

fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn add_headers(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 3] = [
        HeaderName::from_static("api-version"),
        HeaderName::from_static("ostype"),
        HeaderName::from_static("docker-experimental"),
    ];
    let version = HeaderValue::try_from(ApiVersion::MAXIMUM.to_string()).unwrap_or(HeaderValue::from_static("1.51"));
    let values = [
        version,
        HeaderValue::from_static("linux"),
        HeaderValue::from_static("false"),
    ];
    headers.extend(NAMES.into_iter().zip(values));
    let server = HeaderValue::from_static(concat!("HyperBox/", env!("CARGO_PKG_VERSION"), " (linux)"));
    headers.insert(SERVER, server);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_kept_out() {
        let config = DoorConfig {
            allowed_hosts: vec!["box.example".to_owned()],
            ..DoorConfig::default()
        };
        for (network, host, origin, allowed) in [
            (false, "docker", None, true),
            (false, "docker", Some("http://evil.example"), false),
            (true, "127.0.0.1:2375", None, true),
            (true, "[::1]:2375", None, true),
            (true, "localhost:2375", None, true),
            (true, "BOX.example:2375", None, true),
            (true, "evil.example", None, false),
            (true, "127.0.0.1.evil.example", None, false),
            (true, "127.0.0.1:2375", Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(
                refuse_browsers(&headers, network, &config).is_ok(),
                allowed,
                "{host} {origin:?}"
            );
        }
    }
}
