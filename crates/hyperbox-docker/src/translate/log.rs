// SPDX-License-Identifier: MIT
//! Log drivers and their options.

use hyperbox_core::container::LogOptions;
use hyperbox_types::ByteSize;

use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::LogConfig;

const JSON_FILE: [&str; 10] = [
    "max-size",
    "max-file",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
];
const LOCAL: [&str; 5] = ["max-size", "max-file", "compress", "mode", "max-buffer-size"];

/// Drivers that Docker Engine brings along and this engine does not: each sends entries to a service of its own.
const DOCKERS_OWN: [&str; 7] = ["awslogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog"];

/// Refuses what no driver can do. The values of the other options are looked at when the container starts, as Docker does.
fn check_mode(wire: &LogConfig) -> ApiResult<()> {
    let mode = wire.options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(ApiError::bad_request(format!(
            "logger: logging mode not supported: {mode}"
        )));
    }
    let Some(buffer) = wire.options.get("max-buffer-size") else {
        return Ok(());
    };
    if mode != "non-blocking" {
        return Err(ApiError::bad_request(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ));
    }
    match ByteSize::parse(buffer) {
        Ok(_) => Ok(()),
        Err(_) => Err(ApiError::bad_request(format!(
            "error parsing option max-buffer-size: invalid size: '{buffer}'"
        ))),
    }
}

/// Translates a wish.
///
/// # Errors
/// 400 for a driver or an option that is not known.
pub(crate) fn from_wire(wire: &LogConfig) -> ApiResult<LogOptions> {
    let driver = if wire.driver.is_empty() {
        "json-file"
    } else {
        wire.driver.as_str()
    };
    let known: &[&str] = match driver {
        "json-file" => &JSON_FILE,
        "local" => &LOCAL,
        "none" => &[],
        other if DOCKERS_OWN.contains(&other) => {
            return Err(ApiError::bad_request(format!(
                "the log driver {other:?} is Docker's own and not part of HyperBox"
            ))
            .with_hint("use json-file, local or none, and a program that sends their files on"));
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "error looking up logging plugin {other}: plugin {other:?} not found"
            ))
            .with_hint("use json-file, local or none"));
        }
    };
    if driver != "none" {
        check_mode(wire)?;
    }
    let unknown = wire.options.keys().find(|option| !known.contains(&option.as_str()));
    if let Some(option) = unknown.filter(|_| driver != "none") {
        let whose = match driver {
            "local" => "log driver local",
            _ => "json-file log driver",
        };
        return Err(ApiError::bad_request(format!("unknown log opt '{option}' for {whose}")));
    }
    Ok(LogOptions {
        driver: driver.to_owned(),
        options: wire.options.clone(),
    })
}
