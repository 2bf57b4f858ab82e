// SPDX-License-Identifier: MIT
//! Where a container's output is kept, and what each entry tells of the container. Pure.
//!
//! Values of options are looked at when the container starts, as Docker does; the sentences are those of Docker's drivers.

mod attributes;
mod size;

use std::path::Path;

use hyperbox_types::shim::LogTarget;

use super::{ContainerRecord, LogOptions};
use crate::{Result, ServiceError};

/// How large a file of the driver `local` becomes.
const LOCAL_BYTES: u64 = 20 << 20;
/// How many files the driver `local` keeps.
const LOCAL_FILES: u32 = 5;

/// Refuses a driver that this engine does not have.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn check_driver(options: &LogOptions) -> Result<()> {
    match options.driver.as_str() {
        "none" | "json-file" | "local" | "" => Ok(()),
        other => Err(
            ServiceError::invalid(format!("logger: no log driver named '{other}' is registered"))
                .with_hint("use --log-driver json-file, local or none"),
        ),
    }
}

/// Returns where a container's log is, whatever else was wished of it.
pub(super) fn place(record: &ContainerRecord, directory: &Path) -> LogTarget {
    match record.spec.log.driver.as_str() {
        "none" => LogTarget::None,
        _ => LogTarget::JsonFile {
            path: directory.join(format!("{}-json.log", record.id)),
            max_bytes: None,
            max_files: 1,
            compress: false,
            attributes: Default::default(),
        },
    }
}

/// Returns how a container's output is kept.
///
/// # Errors
/// `Internal`, with Docker's text, for a malformed option.
pub(super) fn target(record: &ContainerRecord, directory: &Path) -> Result<LogTarget> {
    let LogTarget::JsonFile { path, .. } = place(record, directory) else {
        return Ok(LogTarget::None);
    };
    let log = &record.spec.log;
    let limits = match log.driver.as_str() {
        "local" => local(log),
        _ => json_file(log),
    };
    let attributes = match log.driver.as_str() {
        "local" => Ok(Default::default()),
        _ => attributes::of(record),
    };
    let refused = |reason: String| {
        ServiceError::internal(format!(
            "failed to create task for container: failed to initialize logging driver: {reason}"
        ))
    };
    let Limits {
        max_bytes,
        max_files,
        compress,
    } = limits.map_err(refused)?;
    Ok(LogTarget::JsonFile {
        path,
        max_bytes,
        max_files,
        compress,
        attributes: attributes.map_err(refused)?,
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Limits {
    max_bytes: Option<u64>,
    max_files: u32,
    compress: bool,
}

fn option<'a>(log: &'a LogOptions, key: &str) -> Option<&'a str> {
    log.options.get(key).map(String::as_str)
}

fn json_file(log: &LogOptions) -> Result<Limits, String> {
    let max_bytes = option(log, "max-size").map(size::parse).transpose()?;
    if max_bytes == Some(0) {
        return Err("max-size must be a positive number".to_owned());
    }
    let max_files = option(log, "max-file").map(number).transpose()?.unwrap_or(1);
    let max_files = u32::try_from(max_files).unwrap_or(0);
    if max_files < 1 {
        return Err("max-file cannot be less than 1".to_owned());
    }
    let compress = option(log, "compress").map(truth).transpose()?.unwrap_or(false);
    if compress && (max_files < 2 || max_bytes.is_none()) {
        return Err("compress cannot be true when max-file is less than 2 or max-size is not set".to_owned());
    }
    // Without a largest size there is nothing to rotate.
    Ok(Limits {
        max_bytes,
        max_files: if max_bytes.is_some() { max_files } else { 1 },
        compress,
    })
}

fn local(log: &LogOptions) -> Result<Limits, String> {
    let invalid = |key: &str, reason: String| {
        let value = option(log, key).unwrap_or_default();
        format!("invalid value for {key}: {value}: {reason}")
    };
    let max_bytes = option(log, "max-size").map(size::parse).transpose();
    let max_bytes = max_bytes.map_err(|reason| invalid("max-size", reason))?;
    let max_files = option(log, "max-file").map(number).transpose();
    let max_files = max_files.map_err(|reason| invalid("max-file", reason))?;
    let compress = option(log, "compress").map(truth).transpose();
    let compress = compress.map_err(|reason| format!("error reading compress log option: {reason}"))?;
    let compress = compress.unwrap_or(true);
    let max_files = max_files.map_or(LOCAL_FILES, |count| u32::try_from(count).unwrap_or(0));
    if max_files < 2 && compress {
        return Err("compression cannot be enabled when max file count is 1".to_owned());
    }
    Ok(Limits {
        max_bytes: Some(max_bytes.unwrap_or(LOCAL_BYTES)).filter(|bytes| *bytes > 0),
        max_files: max_files.max(1),
        compress,
    })
}

/// Parses a number as Go's `strconv.Atoi`.
fn number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

/// Parses a truth value as Go's `strconv.ParseBool`.
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(driver: &str, pairs: &[(&str, &str)]) -> LogOptions {
        LogOptions {
            driver: driver.to_owned(),
            options: pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn limits_of_json_file() {
        let limits = |max_bytes, max_files, compress| {
            Ok(Limits {
                max_bytes,
                max_files,
                compress,
            })
        };
        let refused = |reason: &str| Err(reason.to_owned());
        let compress = "compress cannot be true when max-file is less than 2 or max-size is not set";
        for (options, expected) in [
            (&[][..], limits(None, 1, false)),
            (
                &[("max-size", "10k"), ("max-file", "3")],
                limits(Some(10_000), 3, false),
            ),
            (&[("max-file", "2")], limits(None, 1, false)),
            (&[("max-size", "x")], refused("invalid size: 'x'")),
            (&[("max-size", "0")], refused("max-size must be a positive number")),
            (&[("max-file", "0")], refused("max-file cannot be less than 1")),
            (
                &[("max-file", "x")],
                refused("strconv.Atoi: parsing \"x\": invalid syntax"),
            ),
            (
                &[("max-size", "10k"), ("max-file", "3"), ("compress", "T")],
                limits(Some(10_000), 3, true),
            ),
            (&[("max-size", "-1")], refused("invalid size: '-1'")),
            (&[("compress", "true")], refused(compress)),
            (&[("compress", "true"), ("max-file", "2")], refused(compress)),
            (&[("compress", "true"), ("max-size", "1k")], refused(compress)),
            (
                &[("compress", "x")],
                refused("strconv.ParseBool: parsing \"x\": invalid syntax"),
            ),
        ] {
            assert_eq!(json_file(&log("json-file", options)), expected, "{options:?}");
        }
    }

    #[test]
    fn limits_of_local() {
        let limits = |max_bytes, max_files, compress| {
            Ok(Limits {
                max_bytes,
                max_files,
                compress,
            })
        };
        let refused = |reason: &str| Err(reason.to_owned());
        let compression = "compression cannot be enabled when max file count is 1";
        for (options, expected) in [
            (&[][..], limits(Some(20 << 20), 5, true)),
            (
                &[("max-size", "1m"), ("max-file", "2")],
                limits(Some(1_000_000), 2, true),
            ),
            (&[("max-size", "0")], limits(None, 5, true)),
            (
                &[("max-size", "x")],
                refused("invalid value for max-size: x: invalid size: 'x'"),
            ),
            (&[("max-file", "1")], refused(compression)),
            (
                &[("max-file", "1"), ("compress", "false")],
                limits(Some(20 << 20), 1, false),
            ),
            (
                &[("compress", "x")],
                refused("error reading compress log option: strconv.ParseBool: parsing \"x\": invalid syntax"),
            ),
        ] {
            assert_eq!(local(&log("local", options)), expected, "{options:?}");
        }
    }
}
