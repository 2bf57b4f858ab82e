// SPDX-License-Identifier: MIT
//! `hb system doctor`: looks at what HyperBox needs from this machine, one line each, with a hint where something is wrong.

use clap::Args;

use super::checks::{self, Verdict};
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

pub(crate) const SPEC: Spec = spec!(
    DoctorArgs,
    run,
    ["doctor"],
    "Check this machine and the daemon, with hints",
    ""
);

fn run(context: &Context, _arguments: DoctorArgs) -> Outcome {
    let colours = context.output_is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut failed = false;
    for check in checks::all(context)? {
        let (word, colour) = match check.verdict {
            Verdict::Good => ("ok  ", "32"),
            Verdict::Warning => ("warn", "33"),
            Verdict::Bad => ("fail", "31"),
        };
        failed |= check.verdict == Verdict::Bad;
        let word = if colours {
            format!("\x1b[{colour}m{word}\x1b[0m")
        } else {
            word.to_owned()
        };
        context.print(&format!("{word}  {:<16} {}", check.name, check.finding))?;
        if let Some(hint) = check.hint {
            context.print(&format!("      {:<16} hint: {hint}", ""))?;
        }
    }
    Ok(u8::from(failed))
}
