// SPDX-License-Identifier: MIT
//! `--filter key=value`.

use hyperbox_client::Filters;

use crate::error::CliError;

/// Collects filters; the daemon knows which keys there are.
pub(crate) fn parse(options: &[String]) -> Result<Filters, CliError> {
    let mut filters = Filters::default();
    for option in options.iter().filter(|option| !option.is_empty()) {
        let Some((key, value)) = option.split_once('=') else {
            return Err(CliError::new(format!(
                "invalid argument {option:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            ))
            .with_code(crate::error::EXIT_ENGINE));
        };
        filters.add(&key.trim().to_ascii_lowercase(), value.trim());
    }
    Ok(filters)
}
