// SPDX-License-Identifier: MIT
//! Image references: `[host[:port]/]path[:tag][@digest]`, normalised as Docker does.
//!
//! The grammar is that of `distribution/reference`. Familiar names are completed: `busybox` means
//! `docker.io/library/busybox:latest`. A first component is a host when it has a dot or a colon or is `localhost`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

const DEFAULT_HOST: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";

/// The host (and port) of a registry, such as `docker.io` or `localhost:5000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// Parses `host[:port]`; a host may be a name, an IPv4 address or a bracketed IPv6 address.
    ///
    /// # Errors
    /// [`InvalidReference`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference::new(text, "invalid registry host");
        let (host, port) = if text.starts_with('[') {
            let (host, rest) = text.split_once(']').ok_or_else(invalid)?;
            let address = host.strip_prefix('[').ok_or_else(invalid)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
            (
                None,
                rest.strip_prefix(':')
                    .or(rest.is_empty().then_some(""))
                    .ok_or_else(invalid)?,
            )
        } else {
            let (host, port) = text.split_once(':').map_or((text, ""), |(host, port)| (host, port));
            (Some(host), port)
        };
        if text.ends_with(':') || (!port.is_empty() && port.parse::<u16>().is_err()) {
            return Err(invalid());
        }
        if let Some(host) = host {
            let label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            if host.len() > 253 || !host.split('.').all(label) {
                return Err(invalid());
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns host and port as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is Docker Hub, whose names are shortened for people.
    pub fn is_docker_hub(&self) -> bool {
        self.0 == DEFAULT_HOST
    }

    /// Tells whether the host is this machine, where plain HTTP is allowed without configuration.
    pub fn is_loopback(&self) -> bool {
        let host = match self.0.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.0.split(':').next().unwrap_or_default(),
        };
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A repository: registry host and path, without tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Repository {
    host: RegistryHost,
    path: String,
}

impl Repository {
    /// Returns the registry.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// Returns the path below the registry, such as `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the form that people read: without Docker Hub's host and default namespace.
    pub fn familiar(&self) -> String {
        if !self.host.is_docker_hub() {
            return self.to_string();
        }
        match self.path.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.path)
    }
}

/// A tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(String);

impl Tag {
    /// Parses a tag.
    ///
    /// # Errors
    /// [`InvalidReference`] when the text does not match the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let mut bytes = text.bytes();
        let first = bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReference::new(text, "invalid tag format"))
        }
    }

    /// Returns the tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A complete image reference: repository and a tag, a digest, or both.
///
/// With both, the digest decides and the tag is only a label, as for Docker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// Parses and normalises a reference; without tag and digest, the tag is `latest`.
    ///
    /// # Errors
    /// [`InvalidReference`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let mut reference = Self::parse_untagged(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(Tag(DEFAULT_TAG.to_owned()));
        }
        Ok(reference)
    }

    /// Parses a reference without adding the default tag.
    ///
    /// # Errors
    /// [`InvalidReference`] says what is wrong with the text.
    pub fn parse_untagged(text: &str) -> Result<Self, InvalidReference> {
        if text.len() > 1024 {
            return Err(InvalidReference::new(text, "reference is longer than 1024 bytes"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest).map_err(|_| InvalidReference::new(text, "invalid digest format"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let last_component = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[last_component..].find(':') {
            Some(colon) => {
                let (name, tag) = rest.split_at(last_component + colon);
                // `host:port/…` has its colon before a slash, and so never gets here.
                (
                    name,
                    Some(Tag::parse(&tag[1..]).map_err(|_| InvalidReference::new(text, "invalid tag format"))?),
                )
            }
            None => (rest, None),
        };
        let repository = parse_repository(name).map_err(|reason| InvalidReference::new(text, reason))?;
        Ok(Self {
            repository,
            tag,
            digest,
        })
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the tag, if the reference has one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if the reference has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the same repository with another tag and no digest.
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: Some(tag),
            digest: None,
        }
    }

    /// Returns the same repository with a digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            repository: self.repository.clone(),
            tag: None,
            digest: Some(digest),
        }
    }

    /// Returns the form that people read, such as `busybox:latest`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.repository.familiar())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(&tag.0);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(&digest.to_string());
        }
        name
    }
}

fn parse_repository(name: &str) -> Result<Repository, &'static str> {
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first.starts_with('[') => (
            RegistryHost::parse(first).map_err(|_| "invalid registry host")?,
            rest.to_owned(),
        ),
        _ => (RegistryHost(DEFAULT_HOST.to_owned()), name.to_owned()),
    };
    let host = if host.0 == "index.docker.io" {
        RegistryHost(DEFAULT_HOST.to_owned())
    } else {
        host
    };
    let path = if host.is_docker_hub() && !path.contains('/') {
        format!("{DEFAULT_NAMESPACE}/{path}")
    } else {
        path
    };
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repository name must be lowercase");
    }
    if path.len() > 255 {
        return Err("repository name must not be more than 255 characters");
    }
    if !path.split('/').all(is_path_component) {
        return Err("invalid reference format");
    }
    Ok(Repository { host, path })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let mut index = 0;
    loop {
        let start = index;
        while index < bytes.len() && (bytes[index].is_ascii_lowercase() || bytes[index].is_ascii_digit()) {
            index += 1;
        }
        if index == start {
            return false;
        }
        if index == bytes.len() {
            return true;
        }
        let separator = index;
        while index < bytes.len() && matches!(bytes[index], b'.' | b'_' | b'-') {
            index += 1;
        }
        let run = &bytes[separator..index];
        let valid = match run {
            b"." | b"_" | b"__" => true,
            _ => !run.is_empty() && run.iter().all(|byte| *byte == b'-'),
        };
        if !valid {
            return false;
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.suffixed(self.repository.to_string()))
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ImageReference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_untagged(&text)
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

/// The text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference {text:?}: {reason}")]
pub struct InvalidReference {
    /// The beginning of the refused text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl InvalidReference {
    fn new(text: &str, reason: &'static str) -> Self {
        Self {
            text: text.chars().take(120).collect(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiar_names_are_completed() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("library/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x/y:t", "localhost:5000/x/y:t", "localhost:5000/x/y:t"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            (
                "ghcr.io/a/b.c_d__e--f",
                "ghcr.io/a/b.c_d__e--f:latest",
                "ghcr.io/a/b.c_d__e--f:latest",
            ),
        ] {
            let reference = ImageReference::parse(text).expect(text);
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(ImageReference::parse(full).expect(full), reference);
        }
    }

    #[test]
    fn digest_needs_no_tag() {
        let text = format!("busybox@sha256:{}", "a".repeat(64));
        let reference = ImageReference::parse(&text).expect("digest reference");
        assert!(reference.tag().is_none());
        assert_eq!(reference.familiar(), text);
    }

    #[test]
    fn refuses_what_docker_refuses() {
        for text in [
            "",
            "Busybox",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:b:c",
            "a@sha256:abc",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "localhost:99999/x",
            "[[::1]/x",
            "bad_host!.com/x",
            "..",
            "../../etc/passwd",
            &"a".repeat(300),
        ] {
            assert!(ImageReference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_hosts() {
        for (host, loopback) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:80", true),
            ("[::1]:443", true),
            ("example.org", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(RegistryHost::parse(host).expect(host).is_loopback(), loopback, "{host}");
        }
    }
}
