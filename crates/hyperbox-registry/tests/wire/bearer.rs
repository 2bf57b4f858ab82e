// SPDX-License-Identifier: MIT
//! Bearer tokens: scopes, expiry, refresh tokens, and servers that answer nonsense.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyperbox_core::image::media_type;
use hyperbox_core::seam::{Credentials, Registry as _, RegistryError, RegistryFault};

use crate::support::{
    Reply, Request, Scripted, client, content, credentials, descriptor, drain, everything, manifest_bytes, reference,
};

fn challenge(request: &Request, more: &str) -> Reply {
    let host = &request.host;
    let text = format!("Bearer realm=\"http://{host}/token\",service=\"reg\"{more}");
    Reply::new(401).header("WWW-Authenticate", &text)
}

fn manifest() -> Reply {
    Reply::new(200)
        .header("Content-Type", media_type::OCI_MANIFEST)
        .body(manifest_bytes())
}

fn token(text: &str) -> Reply {
    Reply::new(200).body(format!(r#"{{"token":"{text}","expires_in":300}}"#))
}

/// A registry that hands out tokens named after their scope and takes only the right one.
async fn scoped() -> Scripted {
    Scripted::start(|request| {
        if request.path() == "/token" {
            let query = request.target.split('?').nth(1).unwrap_or_default();
            let scopes: Vec<&str> = query.split('&').filter(|pair| pair.starts_with("scope=")).collect();
            return Some(token(&scopes.join("+")));
        }
        let name = request
            .path()
            .trim_start_matches("/v2/")
            .split('/')
            .next()
            .unwrap_or_default();
        let wanted = format!("Bearer scope=repository%3A{name}%3Apull");
        let scope = format!(",scope=\"repository:{name}:pull\"");
        match request.header("authorization") {
            sent if sent.starts_with(&wanted) => Some(manifest()),
            "" => Some(challenge(request, &scope)),
            _ => Some(challenge(request, &format!("{scope},error=\"insufficient_scope\""))),
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_once_per_scope() {
    let server = scoped().await;
    let client = client();
    for name in ["a:1", "a:2", "b:1", "a:3"] {
        let fetched = client.manifest(&reference(server.host(), name), None).await;
        assert!(fetched.is_ok(), "{fetched:?}");
    }
    let tokens = server.seen_with("/token");
    let targets: Vec<&str> = tokens.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/token?service=reg&scope=repository%3Aa%3Apull&client_id=hyperbox",
            "/token?service=reg&scope=repository%3Ab%3Apull&client_id=hyperbox",
        ]
    );
    // Only the very first request went without a token: what the registry wants is remembered.
    assert_eq!(server.seen_with("/manifests/").len(), 5);
}

#[tokio::test]
async fn parallel_requests_share_a_token() {
    let server = scoped().await;
    let client = client();
    let name = reference(server.host(), "a:1");
    let fetches = (0..8).map(|_| client.manifest(&name, None));
    for fetched in futures_util::future::join_all(fetches).await {
        assert!(fetched.is_ok(), "{fetched:?}");
    }
    assert_eq!(server.seen_with("/token").len(), 1);
}

#[tokio::test]
async fn tokens_belong_to_their_credentials() {
    let server = scoped().await;
    let client = client();
    let name = reference(server.host(), "a:1");
    for user in [Some(credentials("one", "x")), Some(credentials("two", "x")), None] {
        client.manifest(&name, user.as_ref()).await.expect("a manifest");
    }
    let sent: Vec<String> = server
        .seen_with("/token")
        .iter()
        .map(|request| request.header("authorization").to_owned())
        .collect();
    assert_eq!(sent, ["Basic b25lOng=", "Basic dHdvOng=", ""]);
}

#[tokio::test]
async fn an_expired_token_is_replaced_in_the_middle_of_a_blob() {
    let body = content(100_000);
    let wanted = descriptor(&body);
    let current = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start({
        let body = body.clone();
        move |request| {
            if request.path() == "/token" {
                let number = current.fetch_add(1, Ordering::SeqCst) + 1;
                return Some(token(&format!("t{number}")));
            }
            let valid = format!("Bearer t{}", current.load(Ordering::SeqCst));
            if request.header("authorization") != valid || request.nth == 2 {
                return Some(challenge(request, ",error=\"invalid_token\""));
            }
            Some(match request.range_start() {
                None => Reply::new(200).body(&body).cut(40_000),
                Some(start) => Reply::new(206)
                    .header("Content-Range", &format!("bytes {start}-99999/100000"))
                    .body(&body[start..]),
            })
        }
    })
    .await;
    let name = reference(server.host(), "a:1");
    let stream = client().blob(&name, &wanted, 0, None).await.expect("a stream");
    let (bytes, error) = drain(stream).await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == body);
    assert_eq!(server.seen_with("/token").len(), 2);
}

#[tokio::test]
async fn refresh_tokens_are_posted() {
    let server = Scripted::start(|request| match (request.method.as_str(), request.path()) {
        ("POST", "/token") => Some(token("fresh")),
        ("GET", "/token") => Some(Reply::new(500)),
        _ if request.header("authorization") == "Bearer fresh" => Some(manifest()),
        _ => Some(challenge(request, "")),
    })
    .await;
    let secret = Credentials {
        username: "<token>".to_owned(),
        identity_token: Some("keep me".to_owned()),
        ..Credentials::default()
    };
    let fetched = client().manifest(&reference(server.host(), "a:1"), Some(&secret)).await;
    assert!(fetched.is_ok(), "{fetched:?}");
    let post = &server.seen_with("/token")[0];
    assert_eq!(
        String::from_utf8_lossy(&post.body),
        "grant_type=refresh_token&refresh_token=keep+me&service=reg&client_id=hyperbox&scope=repository%3Aa%3Apull"
    );
    assert_eq!(post.header("authorization"), "");
}

async fn failing(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (RegistryError, usize) {
    let server = Scripted::start(move |request| (request.target != "/v2/").then(|| script(request))).await;
    let secret = credentials("me", "hush-hush");
    let error = client()
        .manifest(&reference(server.host(), "a:1"), Some(&secret))
        .await
        .expect_err("it fails");
    (error, server.seen_with("/token").len())
}

#[tokio::test]
async fn nonsense_is_told_without_secrets() {
    let with_token = |reply: Reply| {
        move |request: &Request| {
            if request.path() == "/token" {
                reply.clone()
            } else {
                challenge(request, "")
            }
        }
    };
    let with_challenge = |text: &'static str| move |_: &Request| Reply::new(401).header("WWW-Authenticate", text);
    use RegistryFault::{Denied, Protocol, RateLimited, Unauthorized, Unavailable};
    type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
    let scripts: Vec<(Script, RegistryFault, &str)> = vec![
        (
            Box::new(with_token(Reply::new(200).body("{"))),
            Protocol,
            "malformed answer",
        ),
        (
            Box::new(with_token(Reply::new(200).body("{}"))),
            Protocol,
            "without a token",
        ),
        (
            Box::new(with_token(Reply::new(200).body(r#"{"token":"hush-hush\u0000"}"#))),
            Protocol,
            "no header can carry",
        ),
        (
            Box::new(with_token(Reply::new(200).body(vec![b' '; 65 * 1024]))),
            Protocol,
            "too long for a token",
        ),
        (
            Box::new(with_token(
                Reply::new(401).body(r#"{"details":"incorrect username or password"}"#),
            )),
            Unauthorized,
            "unauthorized: incorrect username or password",
        ),
        (Box::new(with_token(Reply::new(403))), Denied, "pull access denied"),
        (Box::new(with_token(Reply::new(429))), RateLimited, "toomanyrequests"),
        (Box::new(with_token(Reply::new(503))), Unavailable, "503"),
        (Box::new(with_token(token("useless"))), Unauthorized, "unauthorized"),
        (Box::new(with_challenge("Bearer")), Protocol, "no valid realm"),
        (
            Box::new(with_challenge("Bearer realm=\"\"")),
            Protocol,
            "no valid realm",
        ),
        (
            Box::new(with_challenge("Bearer realm=\"ftp://x/\"")),
            Protocol,
            "no valid realm",
        ),
        (
            Box::new(with_challenge("Negotiate, {garbage")),
            Unauthorized,
            "unauthorized",
        ),
        (
            Box::new(with_challenge("Basic realm=\"x\"")),
            Unauthorized,
            "unauthorized",
        ),
        (Box::new(|_| Reply::new(401)), Unauthorized, "unauthorized"),
    ];
    for (script, fault, part) in scripts {
        let (error, _) = failing(script).await;
        let told = everything(&error);
        assert_eq!(error.fault, fault, "{told}");
        assert!(told.contains(part), "{told:?} says {part:?}");
        for secret in ["hush", "bWU6aHVzaC1odXNo", "useless"] {
            assert!(!told.contains(secret), "{told:?} keeps {secret:?}");
        }
    }
}

#[tokio::test]
async fn a_token_server_may_recover() {
    let server = Scripted::start(|request| match request.path() {
        "/token" if request.nth == 0 => Some(Reply::new(503)),
        "/token" => Some(token("t")),
        _ if request.header("authorization") == "Bearer t" => Some(manifest()),
        _ => Some(challenge(request, "")),
    })
    .await;
    let fetched = client().manifest(&reference(server.host(), "a:1"), None).await;
    assert!(fetched.is_ok(), "{fetched:?}");
}

#[tokio::test]
async fn insufficient_scope_reads_as_docker_says_it() {
    let (error, tokens) = failing(|request| {
        if request.path() == "/token" {
            token("t")
        } else {
            challenge(request, ",error=\"insufficient_scope\"")
        }
    })
    .await;
    assert_eq!(error.fault, RegistryFault::NotFound);
    assert!(
        error.message.contains(
            "repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
        ),
        "{error}"
    );
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn no_password_for_a_basic_registry() {
    let server = Scripted::start(|_| Some(Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""))).await;
    let error = client()
        .manifest(&reference(server.host(), "a:1"), None)
        .await
        .expect_err("no credentials");
    assert_eq!(error.fault, RegistryFault::Unauthorized);
    assert!(error.message.ends_with("no basic auth credentials"), "{error}");
}

#[tokio::test]
async fn login_returns_the_refresh_token() {
    let seen = Arc::new(Mutex::new(String::new()));
    let server = Scripted::start({
        let seen = Arc::clone(&seen);
        move |request| {
            if request.path() == "/token" {
                seen.lock().unwrap().clone_from(&request.target);
                if request.header("authorization") != "Basic bWU6aHVzaA==" {
                    return Some(Reply::new(401).body(r#"{"details":"incorrect username or password"}"#));
                }
                return Some(Reply::new(200).body(r#"{"access_token":"t","refresh_token":"forever"}"#));
            }
            let known = request.header("authorization") == "Bearer t";
            Some(if known { Reply::new(200) } else { challenge(request, "") })
        }
    })
    .await;
    let identity = client().login(server.host(), &credentials("me", "hush")).await;
    assert_eq!(identity.expect("logged in").as_deref(), Some("forever"));
    assert!(seen.lock().unwrap().contains("offline_token=true"));
    let error = client()
        .login(server.host(), &credentials("me", "wrong"))
        .await
        .expect_err("wrong password");
    assert_eq!(error.fault, RegistryFault::Unauthorized);
    assert_eq!(
        error.message,
        format!(
            "Get \"http://{}/v2/\": unauthorized: incorrect username or password",
            server.host()
        )
    );
}
