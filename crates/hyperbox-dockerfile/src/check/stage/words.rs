// SPDX-License-Identifier: MIT
//! The words of an instruction in which variables are replaced, in the order in which a build replaces them.

use crate::instruction::Instruction;
use crate::{Copy, Source};

/// Returns the words that have quotes and escapes. Those of ARG are replaced one after the other, those of EXPOSE without a word.
pub(super) fn plain(instruction: &Instruction) -> Vec<&str> {
    match instruction {
        Instruction::Environment(pairs) | Instruction::Label(pairs) => {
            let pairs = pairs.iter();
            pairs.flat_map(|pair| [pair.name.as_str(), &pair.value]).collect()
        }
        Instruction::Copy(one) => copy(one).collect(),
        Instruction::Add(add) => copy(&add.copy).chain(add.checksum.as_deref()).collect(),
        Instruction::Volume(paths) => paths.iter().map(String::as_str).collect(),
        Instruction::WorkingDirectory(text) | Instruction::User(text) | Instruction::StopSignal(text) => vec![text],
        _ => Vec::new(),
    }
}

fn copy(copy: &Copy) -> impl Iterator<Item = &str> {
    let flags = [copy.owner.as_deref(), copy.mode.as_deref()];
    let sources = copy.sources.iter().filter_map(|source| match source {
        Source::Path(path) => Some(path.as_str()),
        Source::Heredoc(_) => None,
    });
    // Patterns of `--exclude` are taken as they are written.
    flags
        .into_iter()
        .flatten()
        .chain(sources)
        .chain([copy.destination.as_str()])
}

/// Returns the texts in which quotes mean nothing.
pub(super) fn heredocs(instruction: &Instruction) -> Vec<&str> {
    let sources = match instruction {
        Instruction::Copy(copy) => &copy.sources,
        Instruction::Add(add) => &add.copy.sources,
        _ => return Vec::new(),
    };
    let documents = sources.iter().filter_map(|source| match source {
        Source::Heredoc(document) if document.expands => Some(document.content.as_str()),
        _ => None,
    });
    documents.collect()
}
