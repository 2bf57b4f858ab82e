// SPDX-License-Identifier: MIT
//! Bearer tokens: how to ask for one and what the answer says. Pure.
//!
//! Two ways (distribution's `auth/token.md` and `auth/oauth.md`): GET with Basic credentials or none, and an OAuth2 POST with a
//! refresh token. A token lives for at least a minute whatever its server says, as the specification wants for old clients.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use hyperbox_core::seam::Credentials;
use reqwest::Url;
use serde::Deserialize;

use crate::failure::Failure;
use crate::redacted::Redacted;
use crate::redirect::authority;
use crate::scope::Scope;
use crate::transport::Call;

/// The most bytes of an answer that are read.
pub(crate) const TOKEN_RESPONSE_LIMIT: u64 = 64 * 1024;
const CLIENT_ID: &str = "hyperbox";
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Where tokens come from, as a challenge told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenServer {
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// Whether to ask for a refresh token, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenUse {
    /// For requests that follow.
    Session,
    /// For `login`, which keeps a refresh token instead of the password.
    Login,
}

/// A token to send.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) header: HeaderValue,
    pub(crate) life: Duration,
    pub(crate) refresh: Option<Redacted<String>>,
}

impl TokenServer {
    /// Reads a challenge's parameters. The realm must be HTTPS unless the registry itself is plain HTTP.
    pub(crate) fn new(realm: Option<&str>, service: Option<&str>, base: &Url) -> Result<Self, Failure> {
        let host = authority(base);
        let realm = realm.and_then(|realm| Url::parse(realm).ok());
        let Some(realm) = realm.filter(|realm| realm.host_str().is_some()) else {
            return Err(Failure::protocol(&host, "asks for a token from no valid realm"));
        };
        let bare = realm.username().is_empty() && realm.password().is_none();
        match realm.scheme() {
            "https" if bare => {}
            "http" if bare && base.scheme() == "http" => {}
            "http" if bare => {
                return Err(Failure::Refused {
                    reason: format!("{host} asks for a token from {} by plain http", authority(&realm)),
                });
            }
            _ => return Err(Failure::protocol(&host, "asks for a token from no valid realm")),
        }
        Ok(Self {
            realm,
            service: service.map(ToOwned::to_owned),
        })
    }

    /// Makes the request for a token.
    pub(crate) fn request(&self, scope: &Scope, credentials: Option<&Credentials>, wanted: TokenUse) -> Call {
        let refresh = credentials.and_then(|credentials| credentials.identity_token.as_deref());
        if let Some(refresh) = refresh {
            return self.refresh_request(scope, refresh);
        }
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for parameter in scope.parameters() {
                query.append_pair("scope", &parameter);
            }
            if wanted == TokenUse::Login {
                query.append_pair("offline_token", "true");
            }
            query.append_pair("client_id", CLIENT_ID);
            if let Some(credentials) = credentials {
                query.append_pair("account", &credentials.username);
            }
        }
        let mut call = Call::new(Method::GET, url);
        call.authorization = credentials.map(basic_header);
        call
    }

    fn refresh_request(&self, scope: &Scope, refresh: &str) -> Call {
        // A scratch URL encodes the form: the same rules as for a query.
        let mut form = self.realm.clone();
        form.set_query(None);
        {
            let mut pairs = form.query_pairs_mut();
            pairs.append_pair("grant_type", "refresh_token");
            pairs.append_pair("refresh_token", refresh);
            pairs.append_pair("service", self.service.as_deref().unwrap_or_default());
            pairs.append_pair("client_id", CLIENT_ID);
            pairs.append_pair("scope", &scope.to_string());
        }
        let body = Bytes::from(form.query().unwrap_or_default().to_owned());
        Call::new(Method::POST, self.realm.clone())
            .with_header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .with_body(body)
    }
}

/// Makes the header of Basic authentication.
pub(crate) fn basic_header(credentials: &Credentials) -> HeaderValue {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    secret_header("Basic", &STANDARD.encode(pair))
        .unwrap_or_else(|| unreachable!("base64 has only characters that headers may have"))
}

/// Makes a header that the HTTP library does not print; `None` for text that no header can carry.
pub(crate) fn secret_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Reads the answer of a token server.
pub(crate) fn parse_token(host: &str, body: &[u8]) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
        #[serde(default)]
        refresh_token: Option<String>,
        #[serde(default)]
        expires_in: Option<f64>,
    }
    // The parser's own words may quote the secret.
    let body: Body = serde_json::from_slice(body)
        .map_err(|_| Failure::protocol(host, "sent a malformed answer instead of a token"))?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let token = filled(body.token)
        .or_else(|| filled(body.access_token))
        .ok_or_else(|| Failure::protocol(host, "answered without a token"))?;
    let header = secret_header("Bearer", &token)
        .ok_or_else(|| Failure::protocol(host, "sent a token that no header can carry"))?;
    let life = body
        .expires_in
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(SHORTEST_LIFE);
    Ok(Token {
        header,
        life: life.clamp(SHORTEST_LIFE, LONGEST_LIFE),
        refresh: filled(body.refresh_token).map(Redacted::new),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn base(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn realms() {
        for (registry, realm, fine) in [
            ("https://r/", Some("https://auth/token"), true),
            ("https://r/", Some("http://auth/token"), false),
            ("http://r/", Some("http://auth/token"), true),
            ("http://r/", Some("https://auth/token"), true),
            ("https://r/", Some("https://u:p@auth/token"), false),
            ("https://r/", Some("file:///token"), false),
            ("https://r/", Some("/token"), false),
            ("https://r/", Some(""), false),
            ("https://r/", None, false),
        ] {
            assert_eq!(
                TokenServer::new(realm, None, &base(registry)).is_ok(),
                fine,
                "{realm:?}"
            );
        }
    }

    #[test]
    fn requests() {
        let server = TokenServer::new(Some("https://auth/token?x=1"), Some("a b"), &base("https://r/")).expect("realm");
        let scope = Scope::push("a/b").union(&Scope::pull("c"));
        let anonymous = server.request(&scope, None, TokenUse::Session);
        assert_eq!(
            anonymous.url.as_str(),
            "https://auth/token?x=1&service=a+b&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%3Apull&client_id=hyperbox"
        );
        assert!(anonymous.authorization.is_none());
        let mut credentials = Credentials {
            username: "me".to_owned(),
            password: "secret".to_owned(),
            ..Credentials::default()
        };
        let login = server.request(&Scope::default(), Some(&credentials), TokenUse::Login);
        assert!(
            login
                .url
                .as_str()
                .ends_with("offline_token=true&client_id=hyperbox&account=me")
        );
        assert!(
            !format!("{login:?}").contains("bWU6c2VjcmV0"),
            "the header is marked as a secret"
        );
        assert_eq!(login.authorization.expect("basic"), "Basic bWU6c2VjcmV0");
        credentials.identity_token = Some("r&t".to_owned());
        let refresh = server.request(&Scope::pull("a"), Some(&credentials), TokenUse::Session);
        assert_eq!(refresh.method, Method::POST);
        assert_eq!(
            refresh.body,
            "grant_type=refresh_token&refresh_token=r%26t&service=a+b&client_id=hyperbox&scope=repository%3Aa%3Apull"
        );
        assert_eq!(refresh.url.query(), Some("x=1"));
    }

    #[test]
    fn answers() {
        let life = |body: &str| parse_token("h", body.as_bytes()).map(|token| token.life.as_secs()).ok();
        for (body, seconds) in [
            (r#"{"token":"t"}"#, Some(60)),
            (r#"{"access_token":"t","expires_in":300}"#, Some(300)),
            (r#"{"token":"","access_token":"t","expires_in":1}"#, Some(60)),
            (r#"{"token":"t","expires_in":1e300}"#, Some(60)),
            (r#"{"token":"t","expires_in":-5}"#, Some(60)),
            (r#"{"token":"t","expires_in":99999999}"#, Some(86400)),
            (r#"{"token":"new\nline"}"#, None),
            (r#"{"token":null}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(life(body), seconds, "{body}");
        }
        let token = parse_token("h", br#"{"token":"sesame","refresh_token":"later"}"#).expect("token");
        let shown = format!("{token:?}");
        assert!(!shown.contains("sesame") && !shown.contains("later"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in any::<Vec<u8>>()) {
            drop(parse_token("h", &body));
        }
    }
}
