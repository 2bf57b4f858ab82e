// SPDX-License-Identifier: MIT
//! Requests made up from the list of all of Docker's operations: whatever a client sends, the fault is never the daemon's.
//!
//! The requests are the same in every run. Only heads of answers are read, since some answers never end.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::world::{IMAGE, World};

const OPERATIONS: &str = include_str!("../data/operations-v1.51.txt");
const ROUNDS: u64 = 12;
/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands for an object, real ones first.
const NAMES: [&str; 12] = [
    "web",
    IMAGE,
    "data",
    "bridge",
    "nosuch",
    "..%2f..%2fetc",
    "%00",
    "%ff%fe",
    "a%20b",
    "%7B%7D",
    "*",
    "sha256:zz",
];

/// Values that fit nowhere, or nearly nowhere.
const TEXTS: [&str; 16] = [
    "",
    "0",
    "1",
    "-1",
    "true",
    "x",
    "99999999999999999999",
    "1e9",
    "%00",
    "%ff",
    "..%2f..",
    "%7B",
    "%5B%5D",
    "%7B%22label%22%3A5%7D",
    "%7B%22status%22%3A%5B%22x%22%5D%7D",
    "%7B%22x%22%3A%7B%22y%22%3A%22z%22%7D%7D",
];

/// Numbers from a seed (xorshift64*, Vigna 2016).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).expect("31 bits") % limit
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

fn value(chance: &mut Chance, kind: &str) -> Value {
    let fitting = match kind {
        "integer" | "number" => json!(3),
        "boolean" => json!(true),
        "array" => json!(["x"]),
        "object" => json!({ "x": "y" }),
        _ => json!("x"),
    };
    let others = [
        fitting,
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("\0"),
        json!("../../x"),
        json!([[], {}, null]),
        json!({ "": { "": null } }),
        json!("x".repeat(5000)),
    ];
    others[chance.below(others.len())].clone()
}

fn body(chance: &mut Chance, fields: &[(&str, &str)]) -> Vec<u8> {
    match chance.below(8) {
        0 => Vec::new(),
        1 => b"{\"Image\":".to_vec(),
        2 => b"{\"\xff\xfe\":1}".to_vec(),
        3 => "[".repeat(5000).into_bytes(),
        4 => b"null {}".to_vec(),
        _ => {
            let mut document = json!({ "Image": IMAGE, "Unknown": { "field": 1 } });
            for (name, kind) in fields {
                if chance.below(4) == 0 {
                    document[*name] = value(chance, kind);
                }
            }
            document.to_string().into_bytes()
        }
    }
}

/// Makes up a request of an operation.
fn request(chance: &mut Chance, operation: &str) -> Request<Full<Bytes>> {
    let mut words = operation.split(' ');
    let (method, pattern) = (words.next().expect("a method"), words.next().expect("a path"));
    let mut path = String::from(chance.one_of(&["", "/v1.51", "/v1.24", "/v1.44"]));
    for segment in pattern.split('/').skip(1) {
        path.push('/');
        path.push_str(if segment.starts_with('{') {
            chance.one_of(&NAMES)
        } else {
            segment
        });
    }
    let mut builder = Request::builder().method(method).header("host", "docker");
    let mut query = Vec::new();
    let mut fields = Vec::new();
    for word in words {
        let mut parts = word.splitn(3, ':');
        let (place, name, kind) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        match place {
            Some("query") if chance.below(2) == 0 => query.push(format!("{name}={}", chance.one_of(&TEXTS))),
            Some("header") if chance.below(2) == 0 => {
                builder = builder.header(
                    name,
                    chance.one_of(&["", "e30=", "%%%", "bnVsbA==", "text/plain", "W10="]),
                );
            }
            Some("body") if !name.is_empty() => fields.push((name, kind)),
            _ => {}
        }
    }
    let bytes = match method {
        "GET" | "HEAD" | "DELETE" => Vec::new(),
        _ => body(chance, &fields),
    };
    builder
        .uri(format!("{path}?{}", query.join("&")))
        .body(Full::new(Bytes::from(bytes)))
        .expect("a request")
}

/// Tells whether an answer blames the daemon for what the client did. Docker has a few such answers, which clients know.
fn is_wrong(status: u16, message: &str) -> bool {
    status >= 500
        && !matches!(status, 501 | 503)
        && !["is not paused", "default link name"]
            .iter()
            .any(|known| message.contains(known))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_as_the_daemons_fault() {
    let world = World::start().await;
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut wrong = Vec::new();
    for operation in OPERATIONS.lines().filter(|line| !line.starts_with('#')) {
        // The one before may have taken it away.
        let web = json!({ "Image": IMAGE, "HostConfig": { "Binds": ["data:/data"] } });
        world.post("/containers/create?name=web", Some(web)).await;
        world.post("/containers/web/start", None).await;
        for _ in 0..ROUNDS {
            let request = request(&mut chance, operation);
            let shown = format!("{} {}", request.method(), request.uri());
            let answer = tokio::time::timeout(PATIENCE, world.open(request)).await;
            let answer = answer.unwrap_or_else(|_| panic!("no answer to {shown}"));
            let status = answer.status().as_u16();
            if status >= 500 {
                let text = answer.into_body().collect().await.expect("a body").to_bytes();
                let text = String::from_utf8_lossy(&text).into_owned();
                if is_wrong(status, &text) {
                    wrong.push(format!("{shown}: {status} {text}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.get("/_ping").await.body, "OK");
}
