// SPDX-License-Identifier: MIT
//! A daemon in miniature, and a client of its projects.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyperbox_api::{Dependencies, IsolationConfig, Projects};
use hyperbox_core::Engine;
use hyperbox_docker::{DoorConfig, serve};
use hyperbox_testkit::fake::{FakeGroups, FakeHostNetwork};
use hyperbox_testkit::world::{World as Fakes, pull};
use hyperbox_types::project::PROJECTS_PATH;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// The image that every world has.
pub(crate) const IMAGE: &str = "localhost:5000/app";

/// The daemon and what it stands on.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) fakes: Fakes,
    pub(crate) groups: FakeGroups,
    pub(crate) socket: PathBuf,
    network: FakeHostNetwork,
    shutdown: CancellationToken,
    directory: Arc<tempfile::TempDir>,
}

impl World {
    /// Starts a daemon with one image that is there already.
    pub(crate) async fn start() -> Self {
        let fakes = Fakes::new();
        let config = json!({ "Cmd": ["serve"], "Env": ["PATH=/bin"], "Volumes": { "/cache": {} } });
        let reference = fakes.publish(IMAGE, &config);
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let world = Self::on(fakes, FakeGroups::default(), FakeHostNetwork::default(), directory).await;
        pull(&world.engine, &reference).await.unwrap();
        world
    }

    async fn on(fakes: Fakes, groups: FakeGroups, network: FakeHostNetwork, directory: Arc<tempfile::TempDir>) -> Self {
        let engine = fakes.engine().await;
        let projects = Projects::open(Dependencies {
            engine: engine.clone(),
            records: Arc::new(fakes.records.clone()),
            isolation: IsolationConfig {
                cgroup_parent: "/hyperbox".to_owned(),
                groups: Arc::new(groups.clone()),
                network: Arc::new(network.clone()),
            },
        })
        .unwrap();
        let socket = directory.path().join("door.sock");
        // The socket of the daemon before.
        drop(std::fs::remove_file(&socket));
        let listener = UnixListener::bind(&socket).unwrap();
        let shutdown = CancellationToken::new();
        let config = DoorConfig {
            native: Some(Arc::new(projects)),
            ..DoorConfig::default()
        };
        tokio::spawn(serve(listener, engine.clone(), config, shutdown.clone()));
        Self {
            engine,
            fakes,
            groups,
            socket,
            network,
            shutdown,
            directory,
        }
    }

    /// Ends the daemon and starts another one on what it leaves.
    pub(crate) async fn restart(self) -> Self {
        self.shutdown.cancel();
        Self::on(self.fakes, self.groups, self.network, self.directory).await
    }

    /// Sends a request; the path is that below all projects.
    pub(crate) async fn open(&self, method: &str, path: &str, body: &Value) -> http::Response<Incoming> {
        self.send(method, &format!("{PROJECTS_PATH}{path}"), body).await
    }

    /// Sends a request to any path.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> http::Response<Incoming> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("host", "d")
            .body(Full::new(bytes))
            .unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// Sends a request and reads the whole answer: its status, and its documents.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Vec<Value>) {
        let answer = self.open(method, path, &body).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        (status, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Sends a request that succeeds with one document.
    pub(crate) async fn one(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, mut documents) = self.ask(method, path, body).await;
        assert_eq!((status, documents.len()), (200, 1), "{method} {path}: {documents:?}");
        documents.remove(0)
    }

    /// Opens a project of a folder of its name.
    pub(crate) async fn put(&self, name: &str, model: Value) -> Value {
        self.one("PUT", &format!("/{name}"), specification(name, model)).await
    }

    /// Does something to a project that succeeds, and returns what was done: the texts of its operations.
    pub(crate) async fn run(&self, path: &str, body: Value) -> Vec<String> {
        let (status, events) = self.ask("POST", path, body).await;
        let last = events.last().unwrap_or(&Value::Null);
        assert_eq!((status, &last["event"]), (200, &json!("done")), "{path}: {events:?}");
        done(&events)
    }

    /// The names of all containers.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .engine
            .containers
            .list()
            .iter()
            .map(|record| record.name.to_string())
            .collect();
        names.sort();
        names
    }
}

/// The texts of the operations that were done, in the order in which they ended.
pub(crate) fn done(events: &[Value]) -> Vec<String> {
    let ended = events
        .iter()
        .filter(|event| event["event"] == "operation" && event["phase"] == "done");
    ended.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

/// What opens a project.
pub(crate) fn specification(name: &str, model: Value) -> Value {
    json!({ "name": name, "directory": format!("/{name}"), "files": [format!("/{name}/compose.yaml")], "model": model })
}

/// A resolved model: services as they are given, on one network.
pub(crate) fn model(name: &str, services: Value) -> Value {
    let mut services = services;
    for service in services.as_object_mut().unwrap().values_mut() {
        if service.get("image").is_none() {
            service["image"] = json!(IMAGE);
        }
        service["networks"] = json!({ "default": null });
    }
    json!({ "name": name, "services": services, "networks": { "default": { "name": format!("{name}_default") } } })
}
