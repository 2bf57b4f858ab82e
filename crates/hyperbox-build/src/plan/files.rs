// SPDX-License-Identifier: MIT
//! COPY and ADD.

use hyperbox_core::image::change;
use hyperbox_dockerfile::word::expand_heredoc;
use hyperbox_dockerfile::{Add, Copy, Instruction, Located, Source};

use super::refused;
use super::stage::Work;
use super::step::{Action, PlannedCopy, PlannedSource, Reference};
use crate::BuildError;
use crate::step::{AddFile, FileOwner, Unpacking};

/// Schemes of addresses that ADD fetches.
const SCHEMES: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];

pub(super) fn copy(work: &mut Work<'_>, one: &Located<Instruction>, copy: &Copy) -> Result<(), BuildError> {
    let from = match &copy.from {
        Some(from) => work.reference(from, one.lines)?,
        None => Reference::Context,
    };
    common(work, one, "COPY", copy, from, None)
}

pub(super) fn add(work: &mut Work<'_>, one: &Located<Instruction>, add: &Add) -> Result<(), BuildError> {
    let checksum = add
        .checksum
        .as_ref()
        .map(|text| work.word(text, one.lines))
        .transpose()?;
    let file = AddFile {
        checksum,
        keep_git_directory: add.keep_git_directory,
        unpacking: match add.unpack {
            None => Unpacking::Local,
            Some(true) => Unpacking::Always,
            Some(false) => Unpacking::Never,
        },
    };
    common(work, one, "ADD", &add.copy, Reference::Context, Some(file))
}

fn common(
    work: &mut Work<'_>,
    one: &Located<Instruction>,
    keyword: &str,
    copy: &Copy,
    from: Reference,
    add: Option<AddFile>,
) -> Result<(), BuildError> {
    let word = |text: &str| work.word(text, one.lines);
    let owner = copy.owner.as_deref().map(word).transpose()?;
    let mode = copy.mode.as_deref().map(word).transpose()?;
    let written = word(&copy.destination)?;
    let mut told = keyword.to_owned();
    for (flag, value) in [("chown", &owner), ("chmod", &mode)] {
        if let Some(value) = value {
            told.push_str(&format!(" --{flag}={value}"));
        }
    }
    let mut sources = Vec::new();
    for source in &copy.sources {
        let source = planned(work, one, source, add.is_some())?;
        told.push(' ');
        told.push_str(match &source {
            PlannedSource::Path(path) | PlannedSource::Remote(path) => path,
            PlannedSource::Text { .. } => "<<",
        });
        if let PlannedSource::Text { name, .. } = &source {
            told.push_str(name);
        }
        sources.push(source);
    }
    told.push_str(&format!(" {written} # buildkit"));
    let planned = PlannedCopy {
        from,
        sources,
        destination: destination(&work.evaluated.image.config.working_dir, &written),
        owner: owner.filter(|text| !text.is_empty()).map(FileOwner),
        mode: mode.filter(|text| !text.is_empty()),
        link: copy.link,
        parents: copy.parents,
        // As with BuildKit, these are no words: variables in them are characters.
        excludes: copy.excludes.clone(),
        add,
    };
    work.step(one, Action::Copy(planned), &one.text, told);
    Ok(())
}

fn planned(
    work: &Work<'_>,
    one: &Located<Instruction>,
    source: &Source,
    may_fetch: bool,
) -> Result<PlannedSource, BuildError> {
    Ok(match source {
        Source::Heredoc(document) => {
            let lookup = |name: &str| work.evaluated.scope.get(name);
            let content = if document.expands {
                expand_heredoc(&document.content, work.escape(), &lookup).map_err(|error| refused(&error, one.lines))?
            } else {
                document.content.clone()
            };
            PlannedSource::Text {
                name: document.name.clone(),
                content,
            }
        }
        Source::Path(path) => {
            let path = work.word(path, one.lines)?;
            if may_fetch && SCHEMES.iter().any(|scheme| path.starts_with(scheme)) {
                PlannedSource::Remote(path)
            } else {
                PlannedSource::Path(path)
            }
        }
    })
}

/// Makes a destination absolute; a slash at its end stays, and what names a directory gets one.
fn destination(working_dir: &str, written: &str) -> String {
    let path = change::directory(working_dir, written);
    let names_directory = matches!(written.rsplit('/').next(), None | Some("" | "." | ".."));
    if names_directory && path != "/" {
        format!("{path}/")
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_absolute_and_keep_their_slash() {
        for (working_dir, written, expected) in [
            ("/", "a", "/a"),
            ("", "a", "/a"),
            ("/w", ".", "/w/"),
            ("/w", "./", "/w/"),
            ("/w", "", "/w/"),
            ("/w", "..", "/"),
            ("/w", "../x/./y/", "/x/y/"),
            ("/w", "/abs", "/abs"),
            ("/w", "/", "/"),
            ("/w", "../../..", "/"),
        ] {
            assert_eq!(destination(working_dir, written), expected, "{working_dir} {written}");
        }
    }
}
