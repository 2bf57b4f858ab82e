// SPDX-License-Identifier: MIT
//! What a container has together with a container of another service, which has to be there when it is made.

use hyperbox_types::ErrorKind;

use super::Surroundings;

/// There is no container of the service that something is to be shared with.
///
/// The sentence is that of `docker compose`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot share {what} with service {service}: container missing")]
pub struct MissingContainer {
    what: &'static str,
    service: String,
}

impl MissingContainer {
    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::FailedPrecondition
    }
}

/// The first container of a service, of which `what` is shared.
pub(super) fn container<'a>(
    what: &'static str,
    service: &str,
    surroundings: &'a Surroundings,
) -> Result<&'a str, MissingContainer> {
    let containers = surroundings.containers.get(service);
    let first = containers.and_then(|containers| containers.first());
    first.map(String::as_str).ok_or_else(|| MissingContainer {
        what,
        service: service.to_owned(),
    })
}

/// `service:NAME` as `container:ID`; any other mode as it is.
pub(super) fn namespace(
    what: &'static str,
    mode: &str,
    surroundings: &Surroundings,
) -> Result<String, MissingContainer> {
    match mode.strip_prefix("service:") {
        Some(service) => Ok(format!("container:{}", container(what, service, surroundings)?)),
        None => Ok(mode.to_owned()),
    }
}
