// SPDX-License-Identifier: MIT
//! Devices that are asked for by what they can do (`--gpus`) or by their name in a catalogue (CDI). Pure.
//!
//! This engine has no driver that would know any. As with Docker that is told when the container starts, not when it is made.

use crate::container::DeviceRequest;
use crate::{Result, ServiceError};

/// The driver that looks names up in the files of the Container Device Interface.
const CATALOGUE: &str = "cdi";

/// Refuses the first request.
///
/// # Errors
/// `Internal`, with Docker's text.
pub(super) fn refuse(requests: &[DeviceRequest]) -> Result<()> {
    let Some(request) = requests.first() else { return Ok(()) };
    let message = if request.driver == CATALOGUE {
        let names = request.ids.join(", ");
        format!("CDI device injection failed: unresolvable CDI devices {names}")
    } else {
        let wishes: Vec<_> = request
            .capabilities
            .iter()
            .map(|all| format!("[{}]", all.join(" ")))
            .collect();
        format!(
            "could not select device driver {:?} with capabilities: [{}]",
            request.driver,
            wishes.join(" ")
        )
    };
    Err(ServiceError::internal(message).with_hint("devices of the host are given with --device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_dockers() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let request = |driver: &str, ids: &[&str], capabilities: &[&[&str]]| DeviceRequest {
            driver: driver.to_owned(),
            ids: words(ids),
            capabilities: capabilities.iter().map(|all| words(all)).collect(),
        };
        for (request, expected) in [
            (
                request("", &[], &[&["gpu"]]),
                "could not select device driver \"\" with capabilities: [[gpu]]",
            ),
            (
                request("nvidia", &["0"], &[&["gpu", "x"], &["y"]]),
                "could not select device driver \"nvidia\" with capabilities: [[gpu x] [y]]",
            ),
            (
                request("cdi", &["nvidia.com/gpu=all"], &[]),
                "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
            ),
        ] {
            assert_eq!(refuse(&[request]).expect_err(expected).message(), expected);
        }
        assert!(refuse(&[]).is_ok());
    }
}
