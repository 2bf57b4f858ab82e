// SPDX-License-Identifier: MIT
//! What a folder is, and what would run it.
//!
//! ```text
//! folder ──look──▶ findings, in order of precedence: Compose files, Dockerfile, devcontainer.json, languages
//!        ──first──▶ Compose files to load, or a Compose file that is proposed (shown, editable, written only when asked for)
//! ```
//! A proposal is the text of a Compose file: what is shown is what runs, and what is written stays what ran. Nothing is guessed silently: each
//! finding says by which file it was made and each choice of a proposal why.
//!
//! Pure but for [`Files`]. Reads only files of the folder itself; what is malformed is no evidence, and the proposal says so where it matters.

mod devcontainer;
mod dockerfile;
mod dotnet;
mod explain;
mod folder;
mod go;
mod java;
mod javascript;
mod jsonc;
mod language;
mod node;
mod php;
mod proposal;
mod python;
mod recipe;
mod ruby;
mod rust;
mod static_site;

use std::path::{Path, PathBuf};

use crate::compose::{Files, Found, discover};
use crate::settings::Settings;

pub use explain::explain;
pub use language::Language;

use folder::Folder;

/// The name of the one service of a proposal.
pub const SERVICE: &str = "app";

/// What a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It has Compose files.
    Compose(Found),
    /// It has a Dockerfile.
    Dockerfile,
    /// It describes a development container.
    Devcontainer,
    /// It is written in a language.
    Language(Language),
}

/// Something that tells what a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it would be.
    pub kind: Kind,
    /// Which file tells.
    pub evidence: String,
}

/// A Compose file that would run the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its text.
    pub compose: String,
    /// Why it says what it says, a sentence each.
    pub reasons: Vec<String>,
    /// What the user should look at: it was guessed, or is not served.
    pub notes: Vec<String>,
}

/// What became of looking at a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// Everything that was found; the first counts.
    pub findings: Vec<Finding>,
    /// What would run the folder, when it has no Compose files; `None` as well when nothing was found.
    pub proposal: Option<Proposal>,
}

impl Detection {
    /// The Compose files that count, if there are any.
    pub fn compose(&self) -> Option<&Found> {
        match self.findings.first().map(|finding| &finding.kind) {
            Some(Kind::Compose(found)) => Some(found),
            _ => None,
        }
    }
}

/// Why nothing can be proposed for a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// `app.language` asks for a language of which there is no sign.
    #[error("{folder}: nothing there is written in {language}", folder = .folder.display(), language = .language.name())]
    NoSuchLanguage {
        /// The folder.
        folder: PathBuf,
        /// What was asked for.
        language: Language,
    },
    /// Nobody knows what to start.
    #[error("{folder}: {language} found by {evidence}, but nothing tells how it is started", folder = .folder.display(), language = .language.name())]
    NoStart {
        /// The folder.
        folder: PathBuf,
        /// What was found.
        language: Language,
        /// By which file.
        evidence: String,
    },
    /// A file that counts cannot be understood.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Looks at a folder. Compose files are looked for in the folders around it, too; everything else only in the folder itself.
///
/// # Errors
/// When something was found and nothing can be made of it.
pub fn detect(directory: &Path, files: &dyn Files, settings: &Settings) -> Result<Detection, DetectError> {
    detected(directory, files, settings, Reach::All)
}

/// [`detect`] that looks no further than the first finding, which is the one that counts.
///
/// # Errors
/// When something was found and nothing can be made of it.
pub fn detect_first(directory: &Path, files: &dyn Files, settings: &Settings) -> Result<Detection, DetectError> {
    detected(directory, files, settings, Reach::First)
}

/// How far is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    First,
    All,
}

fn detected(directory: &Path, files: &dyn Files, settings: &Settings, reach: Reach) -> Result<Detection, DetectError> {
    let folder = Folder::new(directory, files);
    let findings = look(&folder, files, settings, reach)?;
    let proposal = match findings.first().map(|first| (&first.kind, &first.evidence)) {
        None | Some((Kind::Compose(_), _)) => None,
        Some((Kind::Dockerfile, _)) => Some(dockerfile::propose(&folder, settings)?),
        Some((Kind::Devcontainer, _)) => Some(devcontainer::propose(&folder, settings)?),
        Some((Kind::Language(language), evidence)) => Some(language::propose(*language, &folder, settings, evidence)?),
    };
    Ok(Detection { findings, proposal })
}

/// Everything that tells what the folder is, what counts first.
fn look(
    folder: &Folder<'_>,
    files: &dyn Files,
    settings: &Settings,
    reach: Reach,
) -> Result<Vec<Finding>, DetectError> {
    if let Some(wanted) = settings.app.language {
        let evidence = wanted.evidence(folder).ok_or_else(|| DetectError::NoSuchLanguage {
            folder: folder.path().to_owned(),
            language: wanted,
        })?;
        return Ok(vec![Finding {
            kind: Kind::Language(wanted),
            evidence,
        }]);
    }
    let mut findings = Vec::new();
    let enough = |findings: &[Finding]| reach == Reach::First && !findings.is_empty();
    if let Some(found) = discover(folder.path(), files) {
        let evidence = found.files.iter().map(|file| file.display().to_string());
        findings.push(Finding {
            evidence: evidence.collect::<Vec<_>>().join(", "),
            kind: Kind::Compose(found),
        });
    }
    if !enough(&findings)
        && let Some(name) = dockerfile::find(folder)
    {
        findings.push(Finding {
            kind: Kind::Dockerfile,
            evidence: name.to_owned(),
        });
    }
    if !enough(&findings)
        && let Some(name) = devcontainer::find(folder)
    {
        let kind = devcontainer::compose_files(folder, name)?.map_or(Kind::Devcontainer, Kind::Compose);
        findings.push(Finding {
            kind,
            evidence: name.to_owned(),
        });
    }
    for language in Language::ALL.iter().copied() {
        if enough(&findings) {
            break;
        }
        findings.extend(language.evidence(folder).map(|evidence| Finding {
            kind: Kind::Language(language),
            evidence,
        }));
    }
    Ok(findings)
}
