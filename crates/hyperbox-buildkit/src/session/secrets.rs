// SPDX-License-Identifier: MIT
//! Secrets of a client, asked for when a step needs them.

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_build::StepError;
use hyperbox_build::request::Secrets;

use super::client::{Line, step_error};
use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};
use crate::transport::status::Code;

const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

/// Asks the client of a session.
#[derive(Debug)]
pub(super) struct ClientSecrets(pub(super) Line);

#[async_trait]
impl Secrets for ClientSecrets {
    async fn secret(&self, id: &str) -> Result<Option<Bytes>, StepError> {
        let request = GetSecretRequest { id: id.to_owned() };
        match self.0.unary::<_, GetSecretResponse>(GET_SECRET, &request).await {
            Ok(secret) => Ok(Some(secret.data)),
            Err(status) if matches!(status.code, Code::NotFound | Code::Unimplemented) => Ok(None),
            Err(status) => Err(step_error(status)),
        }
    }
}
