// SPDX-License-Identifier: MIT
//! COPY and ADD.

use crate::flag::{self, Flags};
use crate::heredoc::Heredoc;
use crate::instruction::{Add, Copy, Source};
use crate::logical::Logical;
use crate::{heredoc, value};

pub(super) fn copy(logical: &Logical, escape: char) -> Result<Copy, String> {
    let (mut flags, rest) = flag::split(&logical.rest, escape);
    let from = flags.value("from")?.filter(|from| !from.is_empty());
    let parents = flags.switch("parents")?.unwrap_or(false);
    let mut copy = common("COPY", &mut flags, rest, logical, escape)?;
    flags.finish()?;
    copy.from = from;
    copy.parents = parents;
    Ok(copy)
}

pub(super) fn add(logical: &Logical, escape: char) -> Result<Add, String> {
    let (mut flags, rest) = flag::split(&logical.rest, escape);
    let checksum = flags.value("checksum")?;
    let keep_git_directory = flags.switch("keep-git-dir")?.unwrap_or(false);
    let unpack = flags.switch("unpack")?;
    let copy = common("ADD", &mut flags, rest, logical, escape)?;
    flags.finish()?;
    Ok(Add {
        copy,
        checksum,
        keep_git_directory,
        unpack,
    })
}

fn common(keyword: &str, flags: &mut Flags, rest: &str, logical: &Logical, escape: char) -> Result<Copy, String> {
    let owner = flags.value("chown")?.filter(|owner| !owner.is_empty());
    let mode = flags.value("chmod")?.filter(|mode| !mode.is_empty());
    let link = flags.switch("link")?.unwrap_or(false);
    let excludes = flags.values("exclude")?;
    let mut words = match value::json(rest)? {
        Some(words) => words,
        // Quotes do not keep words together here: who needs spaces in names writes a list.
        None => rest.split_whitespace().map(str::to_owned).collect(),
    };
    if words.len() < 2 {
        return Err(format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        ));
    }
    let destination = words.pop().unwrap_or_default();
    if !heredoc::announced(&destination, escape).is_empty() {
        return Err(format!("{keyword} cannot accept a heredoc as a destination"));
    }
    let sources = words.into_iter().map(|word| source(word, &logical.heredocs, escape));
    // Files are copied before texts, whichever is named first.
    let (paths, texts): (Vec<Source>, Vec<Source>) = sources.partition(|one| matches!(one, Source::Path(_)));
    Ok(Copy {
        from: None,
        owner,
        mode,
        link,
        parents: false,
        excludes,
        sources: [paths, texts].concat(),
        destination,
    })
}

fn source(word: String, documents: &[Heredoc], escape: char) -> Source {
    let announced = heredoc::announced(&word, escape);
    let found = announced
        .first()
        .and_then(|wanted| documents.iter().find(|document| document.name == wanted.name));
    found.map_or(Source::Path(word), |document| Source::Heredoc(document.clone()))
}
