// SPDX-License-Identifier: MIT
//! Log drivers and their options.

use hyperbox_core::container::LogOptions;

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
        other => {
            return Err(ApiError::bad_request(format!(
                "error looking up logging plugin {other}: plugin {other:?} not found"
            ))
            .with_hint("use json-file, local or none"));
        }
    };
    if let Some(option) = wire.options.keys().find(|option| !known.contains(&option.as_str())) {
        return Err(ApiError::bad_request(format!(
            "unknown log opt '{option}' for {driver} log driver"
        )));
    }
    Ok(LogOptions {
        driver: driver.to_owned(),
        options: wire.options.clone(),
    })
}
