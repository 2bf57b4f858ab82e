// SPDX-License-Identifier: MIT
//! What steps ask clients: secrets, agents, credentials; and what clients upload.

use hyperbox_types::ImageReference;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::proto::auth::{CredentialsRequest, CredentialsResponse};
use crate::proto::filesync::Piece;
use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};
use crate::proto::ssh::{CheckAgentRequest, CheckAgentResponse};

/// A client that has a secret, an agent that echoes, credentials and something to upload.
fn rich() -> Arc<dyn Handler> {
    client(|mut call: Call| async move {
        match call.path.rsplit('/').next().unwrap_or_default() {
            "GetSecret" => match call.messages.only::<GetSecretRequest>().await?.id.as_str() {
                "known" => Ok(one(&GetSecretResponse {
                    data: Bytes::from_static(b"s3cret"),
                })),
                "broken" => Err(Status::new(Code::Internal, "vault is closed")),
                id => Err(Status::new(Code::NotFound, format!("secret {id} not found"))),
            },
            "CheckAgent" => match call.messages.only::<CheckAgentRequest>().await?.id.as_str() {
                "default" => Ok(one(&CheckAgentResponse {})),
                id => Err(Status::new(Code::Unknown, format!("unset ssh forward key {id}"))),
            },
            "ForwardAgent" => {
                assert_eq!(call.headers["buildkit.ssh.id"], "default");
                Ok(stream::unfold(call.messages, |mut messages| async move {
                    let piece: Piece = decode(messages.next().await.ok()??).expect("a piece");
                    Some((Ok(frame(&piece)), messages))
                })
                .boxed())
            }
            "Credentials" => {
                let host = call.messages.only::<CredentialsRequest>().await?.host;
                let username = if host == "registry-1.docker.io" {
                    host
                } else {
                    String::new()
                };
                let secret = if username.is_empty() {
                    String::new()
                } else {
                    "p".to_owned()
                };
                Ok(one(&CredentialsResponse { username, secret }))
            }
            "Pull" => {
                assert_eq!(call.headers["urlpath"], "/abc");
                assert_eq!(call.headers["urlhost"], "buildkit-session");
                let pieces = ["one ", "two"].map(|text| {
                    Ok(frame(&Piece {
                        data: Bytes::from_static(text.as_bytes()),
                    }))
                });
                let broken = Err(Status::new(Code::Unknown, "the pipe broke"));
                Ok(stream::iter(pieces.into_iter().chain([broken])).boxed())
            }
            other => Err(Status::unimplemented(other)),
        }
    })
}

#[tokio::test]
async fn secrets() {
    let world = World::new();
    let connected = world.connect("a", "key", rich()).await;
    let secrets = connected.session.secrets();
    let secret = within(secrets.secret("known")).await.expect("asked");
    assert_eq!(secret.as_deref(), Some(&b"s3cret"[..]));
    assert_eq!(within(secrets.secret("unknown")).await.expect("asked"), None);
    let error = within(secrets.secret("broken")).await.expect_err("broken");
    assert_eq!(error.to_string(), "vault is closed");
}

#[tokio::test]
async fn agents() {
    let world = World::new();
    let connected = world.connect("a", "key", rich()).await;
    let agents = connected.session.ssh();
    assert!(within(agents.has("default")).await.expect("asked"));
    assert!(!within(agents.has("other")).await.expect("asked"));
    let mut stream = within(agents.connect("default")).await.expect("a connection");
    for text in ["first", "second"] {
        within(stream.write_all(text.as_bytes())).await.expect("written");
        let mut echo = vec![0; text.len()];
        within(stream.read_exact(&mut echo)).await.expect("an echo");
        assert_eq!(echo, text.as_bytes());
    }
    within(stream.shutdown()).await.expect("closed");
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.expect("the end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn an_agent_of_a_client_that_vanishes_says_nothing_more() {
    let world = World::new();
    let connected = world.connect("a", "key", rich()).await;
    let mut stream = within(connected.session.ssh().connect("default"))
        .await
        .expect("a connection");
    within(stream.write_all(b"x")).await.expect("written");
    within(stream.read_u8()).await.expect("an echo");
    connected.vanish().await;
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.expect("the end");
    assert!(rest.is_empty());
}

#[tokio::test]
async fn credentials() {
    let world = World::new();
    let connected = world.connect("a", "key", rich()).await;
    let registries = connected.session.registries();
    let ask = async |name: &str| {
        let image = ImageReference::parse(name).expect("a name");
        within(registries.credentials(&image)).await.expect("asked")
    };
    let known = ask("busybox").await.expect("known");
    assert_eq!(
        (known.username.as_str(), known.password.as_str()),
        ("registry-1.docker.io", "p")
    );
    assert_eq!(ask("localhost:5000/a").await, None);
}

#[tokio::test]
async fn uploads() {
    let world = World::new();
    let connected = world.connect("a", "key", rich()).await;
    let stream = connected
        .session
        .upload("http://buildkit-session/abc")
        .await
        .expect("a stream");
    let pieces: Vec<_> = within(stream.collect::<Vec<_>>()).await;
    let shown: Vec<_> = pieces
        .into_iter()
        .map(|piece| piece.map_err(|error| error.to_string()))
        .collect();
    let expected = [Ok("one ".into()), Ok("two".into()), Err("the pipe broke".to_owned())];
    assert_eq!(shown, expected);
    assert_eq!(code(connected.session.upload("\u{1}").await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn methods_that_were_not_offered_are_not_called() {
    let world = World::new();
    let (near, far) = tokio::io::duplex(1024);
    let offer = Offer {
        id: "poor".to_owned(),
        ..Offer::default()
    };
    let registry = Arc::clone(&world.registry);
    tokio::spawn(async move { registry.serve(offer, Box::new(near)).await });
    tokio::spawn(serve(Box::new(far), client(|_| async { panic!("it was called") })));
    let session = world.registry.find("poor").await.expect("the session");
    assert_eq!(session.secrets().secret("a").await.expect("no question"), None);
    assert!(!session.ssh().has("default").await.expect("no question"));
    assert!(session.ssh().connect("default").await.is_err());
    let busybox = ImageReference::parse("busybox").expect("a name");
    assert_eq!(
        session.registries().credentials(&busybox).await.expect("no question"),
        None
    );
    assert_eq!(code(session.send_file(0).await.map(drop)).0, Code::Unimplemented);
    let tree = session.tree(DirectoryWish::default(), world.loading()).await;
    let expected = "method /moby.filesync.v1.FileSync/DiffCopy not supported by the client";
    assert_eq!(code(tree), (Code::Unimplemented, expected.to_owned()));
}
