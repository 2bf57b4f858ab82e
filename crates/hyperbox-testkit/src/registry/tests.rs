// SPDX-License-Identifier: MIT
//! Registries answer as a client expects, and misbehave as told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tempfile::TempDir;

use super::{Fault, FaultyRegistry, LocalRegistry, RegistryAccess};
use crate::images::{Layout, LayoutOptions, starter};

fn get(host: &str, path: &str, headers: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: */*\r\n{headers}\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    if answer.is_empty() {
        return (0, answer);
    }
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let code = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (code, answer.split_off(end))
}

fn image(directory: &TempDir) -> Layout {
    starter()
        .write_layout(directory.path(), "x", LayoutOptions::default())
        .unwrap()
}

#[test]
fn docker_registry_serves_what_was_put_in() {
    let directory = TempDir::new().unwrap();
    let layout = image(&directory);
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    registry.add("test/starter:1", &layout);
    assert!(registry.has_tag("test/starter", "1"));
    let accept = format!("Accept: {}\r\n", layout.manifest.media_type);
    let (code, manifest) = get(registry.host(), "/v2/test/starter/manifests/1", &accept);
    assert_eq!((code, manifest.len() as u64), (200, layout.manifest.size.0));
    let blob = format!("/v2/test/starter/blobs/{}", layout.layers[0].digest);
    let (code, bytes) = get(registry.host(), &blob, "");
    assert_eq!((code, bytes.len() as u64), (200, layout.layers[0].size.0));
}

#[test]
fn docker_registry_asks_for_the_password() {
    let registry = LocalRegistry::start(RegistryAccess::Password);
    assert_eq!(get(registry.host(), "/v2/", "").0, 401);
    // base64 of `tester:correct horse`.
    let header = "Authorization: Basic dGVzdGVyOmNvcnJlY3QgaG9yc2U=\r\n";
    assert_eq!(get(registry.host(), "/v2/", header).0, 200);
}

#[test]
fn faults_are_used_up_in_order() {
    let directory = TempDir::new().unwrap();
    let layout = image(&directory);
    let registry = FaultyRegistry::start();
    registry.add("x:1", &layout);
    let path = format!("/v2/x/blobs/{}", layout.layers[0].digest);
    let whole = layout.layers[0].size.0;
    registry.misbehave("/blobs/", 1, Fault::Drop);
    registry.misbehave("/blobs/", 1, Fault::Truncate(100));
    registry.misbehave(
        "/blobs/",
        1,
        Fault::Status(429, vec!["Retry-After: 0".to_owned()], "slow down".to_owned()),
    );
    assert_eq!(get(&registry.host(), &path, "").0, 0);
    assert_eq!(get(&registry.host(), &path, "").1.len(), 100);
    assert_eq!(get(&registry.host(), &path, "").0, 429);
    assert_eq!(get(&registry.host(), &path, "").1.len() as u64, whole);
    let (code, rest) = get(&registry.host(), &path, "Range: bytes=10-\r\n");
    assert_eq!((code, rest.len() as u64), (206, whole - 10));
    assert_eq!(registry.seen().len(), 5);
}
