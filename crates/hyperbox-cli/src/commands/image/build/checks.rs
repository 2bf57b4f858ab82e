// SPDX-License-Identifier: MIT
//! What `hb build --check` says: in Docker's words on standard output, with code 1 when anything was found.

use hyperbox_types::build::CheckFinding;

use super::session::Checked;
use crate::context::Context;
use crate::error::{CliError, Outcome};

/// Tells what was found.
pub(super) fn tell(context: &Context, checked: &Checked) -> Outcome {
    if checked.mistake.is_none() || !checked.findings.is_empty() {
        context.print(&text(&checked.findings))?;
    }
    if let Some(mistake) = &checked.mistake {
        eprint_excerpt(&mistake.excerpt)?;
        return Err(CliError::new(mistake.message.clone()));
    }
    Ok(u8::from(!checked.findings.is_empty()))
}

fn eprint_excerpt(excerpt: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::io::stderr().lock().write_all(excerpt.as_bytes())
}

fn text(findings: &[CheckFinding]) -> String {
    let mut text = match findings.len() {
        0 => "Check complete, no warnings found.".to_owned(),
        1 => "Check complete, 1 warning has been found!".to_owned(),
        number => format!("Check complete, {number} warnings have been found!"),
    };
    for finding in findings {
        text.push_str(&format!(
            "\n\nWARNING: {} - {}\n{}\n{}",
            finding.rule,
            finding.url,
            finding.message,
            finding.excerpt.trim_end_matches('\n')
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_shown_as_dockers_client_does() {
        let finding = CheckFinding {
            rule: "StageNameCasing".to_owned(),
            description: "Stage names should be lowercase".to_owned(),
            url: "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/".to_owned(),
            message: "Stage name 'Foo' should be lowercase".to_owned(),
            first_line: 1,
            last_line: 1,
            excerpt: "Dockerfile:1\n--------------------\n   1 | >>> FROM scratch AS Foo\n--------------------\n"
                .to_owned(),
        };
        assert_eq!(text(&[]), "Check complete, no warnings found.");
        assert_eq!(
            text(std::slice::from_ref(&finding)),
            "Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n\
             Stage name 'Foo' should be lowercase\nDockerfile:1\n--------------------\n   1 | >>> FROM scratch AS Foo\n--------------------"
        );
        assert!(text(&[finding.clone(), finding]).starts_with("Check complete, 2 warnings have been found!"));
    }
}
