// SPDX-License-Identifier: MIT
//! Health checks, both ways.

use std::time::Duration;

use hyperbox_core::container::{HealthCheck, HealthTest};

use crate::error::{ApiError, ApiResult};
use crate::wire::config::Healthcheck;

/// Translates a wish.
///
/// # Errors
/// 400 for durations below a millisecond and negative retries.
pub(crate) fn from_wire(wire: &Healthcheck) -> ApiResult<HealthCheck> {
    let retries = match u32::try_from(wire.retries) {
        Ok(retries) => retries,
        Err(_) => return Err(ApiError::bad_request("Retries in Healthcheck cannot be negative")),
    };
    Ok(HealthCheck {
        test: test(&wire.test),
        interval: duration("Interval", wire.interval)?,
        timeout: duration("Timeout", wire.timeout)?,
        start_period: duration("StartPeriod", wire.start_period)?,
        start_interval: duration("StartInterval", wire.start_interval)?,
        retries: (retries != 0).then_some(retries),
    })
}

fn test(words: &[String]) -> HealthTest {
    match words {
        [] => HealthTest::Inherit,
        [none] if none == "NONE" => HealthTest::Disabled,
        [form, rest @ ..] if form == "CMD" => HealthTest::Command(rest.to_vec()),
        [form, line] if form == "CMD-SHELL" => HealthTest::Shell(line.clone()),
        words => HealthTest::Words(words.to_vec()),
    }
}

fn duration(name: &str, nanoseconds: i64) -> ApiResult<Option<Duration>> {
    match u64::try_from(nanoseconds) {
        Ok(0) => Ok(None),
        Ok(nanoseconds) if nanoseconds >= 1_000_000 => Ok(Some(Duration::from_nanos(nanoseconds))),
        _ => Err(ApiError::bad_request(format!(
            "{name} in Healthcheck cannot be less than 1ms"
        ))),
    }
}

/// Shows a check.
pub(crate) fn to_wire(check: &HealthCheck) -> Healthcheck {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let test = match &check.test {
        HealthTest::Inherit => Vec::new(),
        HealthTest::Disabled => words(&["NONE"]),
        HealthTest::Shell(line) => words(&["CMD-SHELL", line]),
        HealthTest::Words(words) => words.clone(),
        HealthTest::Command(command) => {
            let mut test: Vec<String> = words(&["CMD"]);
            test.extend(command.iter().cloned());
            test
        }
    };
    let nanoseconds =
        |duration: Option<Duration>| duration.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX));
    Healthcheck {
        test,
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: check.retries.map_or(0, i64::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_round_trip() {
        for test in [
            &["NONE"][..],
            &["CMD", "a", "b"],
            &["CMD-SHELL", "a b"],
            &["CMD-SHELL", "a", "b"],
            &["HTTP", "/"],
            &[],
        ] {
            let wire = Healthcheck {
                test: test.iter().map(|word| (*word).to_owned()).collect(),
                interval: 2_000_000,
                retries: 4,
                ..Healthcheck::default()
            };
            assert_eq!(to_wire(&from_wire(&wire).expect("valid")), wire);
        }
    }

    #[test]
    fn refusals_have_dockers_texts() {
        let check = |interval, retries| Healthcheck {
            interval,
            retries,
            ..Healthcheck::default()
        };
        for (wire, text) in [
            (check(5, 0), "Interval in Healthcheck cannot be less than 1ms"),
            (check(-5, 0), "Interval in Healthcheck cannot be less than 1ms"),
            (check(0, -1), "Retries in Healthcheck cannot be negative"),
        ] {
            assert_eq!(from_wire(&wire).expect_err(text).message(), text);
        }
    }
}
