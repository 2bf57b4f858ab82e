// SPDX-License-Identifier: MIT
//! The HEALTHCHECK of a change: its numbers.

use std::time::Duration;

use hyperbox_dockerfile::{CommandLine, Healthcheck};

use crate::container::{HealthCheck, HealthTest};
use crate::{Result, ServiceError};

/// The least time that a check can be told to wait, unless it is none.
const SHORTEST: Duration = Duration::from_millis(1);

/// Turns the instruction into a health check.
pub(super) fn check(instruction: Healthcheck) -> Result<HealthCheck> {
    let Healthcheck::Command {
        command,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    } = instruction
    else {
        return Ok(HealthCheck {
            test: HealthTest::Disabled,
            interval: None,
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: None,
        });
    };
    Ok(HealthCheck {
        test: match command {
            CommandLine::Exec(words) => HealthTest::Command(words),
            CommandLine::Shell(text) => HealthTest::Shell(text),
        },
        interval: time("interval", interval)?,
        timeout: time("timeout", timeout)?,
        start_period: time("start-period", start_period)?,
        start_interval: time("start-interval", start_interval)?,
        retries: retries.map(|text| count(&text)).transpose()?,
    })
}

fn count(text: &str) -> Result<u32> {
    let number: i32 = text
        .parse()
        .map_err(|_| ServiceError::invalid(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
    u32::try_from(number).map_err(|_| ServiceError::invalid(format!("--retries cannot be negative ({number})")))
}

fn time(flag: &str, text: Option<String>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let (is_negative, time) = duration(&text)?;
    if !time.is_zero() && (is_negative || time < SHORTEST) {
        return Err(ServiceError::invalid(format!(
            "Interval {flag:?} cannot be less than 1ms"
        )));
    }
    Ok(Some(time))
}

/// Parses Go's durations, such as `1h15m30.5s`, `-1s` or `0`; tells also whether it is less than nothing.
fn duration(text: &str) -> Result<(bool, Duration)> {
    let invalid = || ServiceError::invalid(format!("time: invalid duration {text:?}"));
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok((false, Duration::ZERO));
    }
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_end = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(invalid)?;
        let number: f64 = rest[..number_end].parse().map_err(|_| invalid())?;
        let unit_end = rest[number_end..]
            .find(|letter: char| letter.is_ascii_digit())
            .map_or(rest.len(), |at| number_end + at);
        let scale = match &rest[number_end..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(invalid()),
        };
        total += number * scale;
        rest = &rest[unit_end..];
    }
    // Go counts nanoseconds in 63 bits.
    if total * 1e9 > i64::MAX as f64 {
        return Err(invalid());
    }
    let time = Duration::try_from_secs_f64(total).map_err(|_| invalid())?;
    Ok((is_negative, time))
}
