// SPDX-License-Identifier: MIT
//! Credential helpers: `docker-credential-NAME get|store|erase`, with JSON on standard input and output.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::Credentials;
use super::file::CredentialsError;

/// The user name that marks a token.
const TOKEN_USER: &str = "<token>";

/// A helper program.
pub(super) struct Helper {
    program: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helper {
    pub(super) fn new(name: &str) -> Self {
        Self {
            program: format!("docker-credential-{name}"),
        }
    }

    pub(super) fn get(&self, server: &str) -> Result<Option<Credentials>, CredentialsError> {
        let (success, output) = self.call("get", server.as_bytes())?;
        if !success {
            // The protocol has no status for it, only this sentence.
            if output.contains("credentials not found") {
                return Ok(None);
            }
            return Err(self.failed(&output));
        }
        let message: Message = serde_json::from_str(&output).map_err(|_| self.failed("its answer is not JSON"))?;
        let mut credentials = Credentials {
            server: server.to_owned(),
            ..Credentials::default()
        };
        if message.username == TOKEN_USER {
            credentials.identity_token = message.secret;
        } else {
            credentials.username = message.username;
            credentials.secret = message.secret;
        }
        Ok(Some(credentials))
    }

    pub(super) fn store(&self, server: &str, credentials: &Credentials) -> Result<(), CredentialsError> {
        let token = !credentials.identity_token.is_empty();
        let message = Message {
            server_url: server.to_owned(),
            username: if token {
                TOKEN_USER.to_owned()
            } else {
                credentials.username.clone()
            },
            secret: if token {
                credentials.identity_token.clone()
            } else {
                credentials.secret.clone()
            },
        };
        let input = serde_json::to_vec(&message).map_err(|_| self.failed("the request cannot be encoded"))?;
        match self.call("store", &input)? {
            (true, _) => Ok(()),
            (false, output) => Err(self.failed(&output)),
        }
    }

    pub(super) fn erase(&self, server: &str) -> Result<(), CredentialsError> {
        match self.call("erase", server.as_bytes())? {
            (true, _) => Ok(()),
            (false, output) if output.contains("credentials not found") => Ok(()),
            (false, output) => Err(self.failed(&output)),
        }
    }

    fn call(&self, action: &str, input: &[u8]) -> Result<(bool, String), CredentialsError> {
        let missing = |source| CredentialsError::HelperMissing {
            program: self.program.clone(),
            source,
        };
        let mut child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(missing)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that fails early closes its input; its output says why.
            drop(stdin.write_all(input));
        }
        let output = child.wait_with_output().map_err(missing)?;
        Ok((
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ))
    }

    fn failed(&self, message: &str) -> CredentialsError {
        CredentialsError::HelperFailed {
            program: self.program.clone(),
            message: message.chars().take(500).collect(),
        }
    }
}
