// SPDX-License-Identifier: MIT
//! The OpenAPI document of the routes of projects, served beside them. It is checked in below `docs/`; a test holds it against the types of
//! the wire, so what is served is what they are.

use hyperbox_core::{Result, ServiceError};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/openapi-projects.json");

/// Returns the document.
///
/// # Errors
/// `Internal` when it is no JSON, which the test of it rules out.
pub(crate) fn document() -> Result<Value> {
    serde_json::from_str(DOCUMENT)
        .map_err(|error| ServiceError::internal("the OpenAPI document is unreadable").with_source(error))
}
