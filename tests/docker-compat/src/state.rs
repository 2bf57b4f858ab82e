// SPDX-License-Identifier: MIT
//! The step `state`: what an engine has, asked of its API.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

/// Lists containers, volumes, networks and images by name; each kind sorted.
///
/// # Errors
/// When the engine does not answer.
pub(crate) fn list(socket: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for container in array(get(socket, "/containers/json?all=1")?) {
        lines.push(format!(
            "container {} {}",
            first(&container["Names"]),
            text(&container["State"])
        ));
    }
    for volume in array(get(socket, "/volumes")?["Volumes"].take()) {
        lines.push(format!("volume {}", text(&volume["Name"])));
    }
    for network in array(get(socket, "/networks")?) {
        lines.push(format!(
            "network {} {}",
            text(&network["Name"]),
            text(&network["Driver"])
        ));
    }
    for image in array(get(socket, "/images/json")?) {
        let names = array(image["RepoTags"].clone());
        if names.is_empty() {
            lines.push("image without a name".to_owned());
        }
        lines.extend(names.iter().map(|name| format!("image {}", text(name))));
    }
    lines.retain(|line| !PREDEFINED.contains(&line.as_str()));
    lines.sort();
    Ok(lines.join("\n"))
}

/// What is always there.
const PREDEFINED: &[&str] = &[
    "network bridge bridge",
    "network host host",
    "network none null",
    "image starter:latest",
];

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn first(names: &Value) -> &str {
    names[0].as_str().unwrap_or("?").trim_start_matches('/')
}

fn get(socket: &Path, path: &str) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    // HTTP/1.0: no chunks, and the answer ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    serde_json::from_str(body).map_err(io::Error::other)
}
