// SPDX-License-Identifier: MIT
//! `--health-*` and `--no-healthcheck`.

use hyperbox_client::model::HealthCheck;

use super::parse_duration;

/// The options as they were typed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HealthOptions<'a> {
    pub(crate) none: bool,
    pub(crate) command: Option<&'a str>,
    pub(crate) interval: Option<&'a str>,
    pub(crate) timeout: Option<&'a str>,
    pub(crate) start_period: Option<&'a str>,
    pub(crate) start_interval: Option<&'a str>,
    pub(crate) retries: i64,
}

/// Combines them; `None` when the image's check stays as it is.
pub(crate) fn check(options: HealthOptions<'_>) -> Result<Option<HealthCheck>, String> {
    let duration = |flag: &str, text: Option<&str>| match text {
        None => Ok(0),
        Some(text) => {
            let value = parse_duration(text)
                .map_err(|reason| format!("invalid argument {text:?} for \"--{flag}\" flag: {reason}"))?;
            if value < 0 {
                Err(format!("--{flag} cannot be negative"))
            } else {
                Ok(value)
            }
        }
    };
    let check = HealthCheck {
        test: options
            .command
            .filter(|text| !text.is_empty())
            .map_or_else(Vec::new, |command| vec!["CMD-SHELL".to_owned(), command.to_owned()]),
        interval: duration("health-interval", options.interval)?,
        timeout: duration("health-timeout", options.timeout)?,
        start_period: duration("health-start-period", options.start_period)?,
        start_interval: duration("health-start-interval", options.start_interval)?,
        retries: options.retries,
    };
    if check.retries < 0 {
        return Err("--health-retries cannot be negative".to_owned());
    }
    let given = check != HealthCheck::default();
    match (options.none, given) {
        (true, true) => Err("--no-healthcheck conflicts with --health-* options".to_owned()),
        (true, false) => Ok(Some(HealthCheck {
            test: vec!["NONE".to_owned()],
            ..HealthCheck::default()
        })),
        (false, true) => Ok(Some(check)),
        (false, false) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations() {
        let none = HealthOptions {
            none: true,
            ..HealthOptions::default()
        };
        assert_eq!(check(HealthOptions::default()), Ok(None));
        assert_eq!(check(none).unwrap().unwrap().test, ["NONE"]);
        let full = HealthOptions {
            command: Some("true"),
            interval: Some("2s"),
            retries: 3,
            ..HealthOptions::default()
        };
        let built = check(full).unwrap().unwrap();
        assert_eq!((built.test.len(), built.interval, built.retries), (2, 2_000_000_000, 3));
        for (options, reason) in [
            (
                HealthOptions { none: true, ..full },
                "--no-healthcheck conflicts with --health-* options",
            ),
            (
                HealthOptions {
                    interval: Some("-1s"),
                    ..full
                },
                "--health-interval cannot be negative",
            ),
            (
                HealthOptions { retries: -1, ..full },
                "--health-retries cannot be negative",
            ),
        ] {
            assert_eq!(check(options).unwrap_err(), reason);
        }
    }
}
