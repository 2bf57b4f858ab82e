// SPDX-License-Identifier: MIT
//! A client of the door: requests by hyper, and raw connections for what leaves HTTP.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::world::World;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Returns status and `message`.
    pub(crate) fn failure(&self) -> (u16, String) {
        (
            self.status.as_u16(),
            self.json()["message"].as_str().expect("a message").to_owned(),
        )
    }

    /// Returns the lines of a stream of JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).expect("text");
        text.lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

impl World {
    /// Sends a request and returns the head, and the body to be read.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let stream = UnixStream::connect(&self.socket).await.expect("connect");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("handshake");
        tokio::spawn(connection);
        sender.send_request(request).await.expect("response")
    }

    /// Sends a request with JSON (or nothing) and reads the whole answer.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let bytes = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "docker")
            .header("content-type", "application/json")
            .body(Full::new(bytes))
            .expect("request");
        let response = self.open(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("body").to_bytes();
        Response {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<Value>) -> Response {
        self.call(Method::POST, path, body.as_ref()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.call(Method::DELETE, path, None).await
    }

    /// Creates a container and returns its id.
    pub(crate) async fn create(&self, name: &str, body: Value) -> String {
        let mut body = body;
        body["Image"] = crate::world::IMAGE.into();
        let response = self
            .post(&format!("/v1.51/containers/create?name={name}"), Some(body))
            .await;
        assert_eq!(response.status, StatusCode::CREATED, "{:?}", response.body);
        response.json()["Id"].as_str().expect("an id").to_owned()
    }

    /// Creates and starts a container and returns its id.
    pub(crate) async fn running(&self, name: &str, body: Value) -> String {
        let id = self.create(name, body).await;
        assert_eq!(
            self.post(&format!("/containers/{id}/start"), None).await.status,
            StatusCode::NO_CONTENT
        );
        id
    }

    /// Sends raw bytes.
    pub(crate) async fn raw(&self, text: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.expect("connect");
        stream.write_all(text.as_bytes()).await.expect("write");
        stream
    }

    /// Sends a request that asks for an upgrade.
    pub(crate) async fn upgrade(&self, path: &str, body: &str) -> UnixStream {
        let length = body.len();
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }
}

/// Reads up to the empty line after the head of a response.
pub(crate) async fn read_head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the rest of the head"));
    }
    String::from_utf8(head).expect("text")
}

/// Reads one frame: channel and payload.
pub(crate) async fn read_frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let mut header = [0; 8];
    stream.read_exact(&mut header).await.expect("a header");
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.expect("a payload");
    (header[0], payload)
}

/// Reads to the end.
pub(crate) async fn read_rest(stream: &mut UnixStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the end");
    rest
}
