// SPDX-License-Identifier: MIT
//! Commands that do the same to several objects: each is tried, each failure is told, the exit code is 1 if any failed.

use crate::context::Context;
use crate::error::{CliError, Outcome};

/// Calls `action` with every name and prints the name when it worked.
pub(crate) fn each(context: &Context, names: &[String], action: impl Fn(&str) -> Result<(), CliError>) -> Outcome {
    each_quiet(context, names, |name| {
        action(name)?;
        context.print(name)
    })
}

/// Calls `action` with every name.
pub(crate) fn each_quiet(
    context: &Context,
    names: &[String],
    action: impl Fn(&str) -> Result<(), CliError>,
) -> Outcome {
    let mut code = 0;
    for name in names {
        if let Err(error) = action(name) {
            // Without a daemon every further name would fail in the same way.
            if error.ends_the_command() {
                return Err(error);
            }
            context.complain(&error);
            code = 1;
        }
    }
    Ok(code)
}
