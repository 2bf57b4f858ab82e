// SPDX-License-Identifier: MIT
//! Registry credentials: Docker's `config.json` and its credential helpers.
//!
//! The file is shared with other tools: fields that are not ours are kept as they are. It is replaced atomically and
//! readable by its owner only. Secrets have no `Debug` output.

mod file;
mod helper;

pub use file::{CredentialsError, Store};

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyperbox_types::RegistryHost;
use serde::Serialize;

/// The key under which Docker keeps the credentials of its hub.
pub const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The key of a registry in `config.json`.
pub fn registry_key(host: &RegistryHost) -> String {
    if host.is_docker_hub() {
        DOCKER_HUB_KEY.to_owned()
    } else {
        host.as_str().to_owned()
    }
}

/// A login.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
pub struct Credentials {
    /// User; empty with a token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Password.
    #[serde(rename = "password", skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// Token that replaces user and password.
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
    /// The registry's key.
    #[serde(rename = "serveraddress", skip_serializing_if = "String::is_empty")]
    pub server: String,
}

impl Credentials {
    /// Returns the value of the `X-Registry-Auth` header.
    pub fn header(&self) -> String {
        // Four strings always encode.
        URL_SAFE.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({} at {})", self.username, self.server)
    }
}
