// SPDX-License-Identifier: MIT
//! Messages of `POST /hyperbox/v1/check`: looking for damage in the store, and mending it.
//!
//! The query `repair=1` asks for repair. The answer is `200` with a stream of JSON documents, one [`CheckEvent`] each: any number of
//! *progress* and *finding*, then *finished* or *failed*. Closing the connection ends the check after the item it is at; what was
//! mended until then stays mended.
//!
//! The header `X-Registry-Config` may carry credentials for the registries that are asked when something is fetched again: the
//! base64 (URL alphabet) of a JSON object from host to Docker's `AuthConfig`, as in Docker's `POST /build`.

use serde::{Deserialize, Serialize};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum CheckEvent {
    /// How far it is.
    Progress {
        /// Items looked at.
        done: u64,
        /// Items in all, as far as is known by now.
        total: u64,
        /// The item that is looked at next.
        item: String,
    },
    /// Something is not as it should be.
    Finding(Finding),
    /// All was looked at; nothing follows.
    Finished(CheckSummary),
    /// The check could not go on; nothing follows.
    Failed {
        /// One sentence.
        message: String,
    },
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What kind.
    pub problem: Problem,
    /// Of what: a digest, an id, a name, a path.
    pub subject: String,
    /// One sentence.
    pub detail: String,
    /// Names of images and containers that need the subject.
    pub needed_by: Vec<String>,
    /// What was done about it.
    pub outcome: Outcome,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The database complains about itself.
    DatabaseDamaged,
    /// A record that this build cannot read.
    RecordUnreadable,
    /// A blob that an image consists of is not there.
    BlobMissing,
    /// A blob's bytes are not those of its digest.
    BlobDamaged,
    /// A layer of an image or container is not unpacked.
    LayerMissing,
    /// An unpacked layer is not what was packed.
    LayerDamaged,
    /// An item could not be looked at.
    Unchecked,
    /// The writable layer of a container is not there.
    ContainerFilesMissing,
    /// A writable layer that belongs to no container.
    ContainerFilesUnowned,
    /// The image of a container is gone; it was removed by force.
    ContainerImageGone,
    /// A volume's directory is not there.
    VolumeMissing,
    /// Content that nothing refers to.
    Unreferenced,
    /// What an interrupted write or deletion left.
    Unfinished,
    /// A file that HyperBox did not put there.
    Foreign,
}

impl Problem {
    /// Tells whether it harms nobody.
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::ContainerFilesUnowned
                | Self::ContainerImageGone
                | Self::Unreferenced
                | Self::Unfinished
                | Self::Foreign
        )
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing: repair was not asked for.
    Nothing,
    /// It is as it should be again.
    Repaired {
        /// How.
        how: String,
    },
    /// What was no longer of use is removed.
    Removed {
        /// What.
        what: String,
    },
    /// It is as it was.
    Left {
        /// Why, and what to do.
        why: String,
    },
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckSummary {
    /// Blobs whose digest was computed.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Blobs that a delta pull left with their registries: they are not here, and nothing is wrong with that.
    #[serde(default)]
    pub blobs_elsewhere: u64,
    /// Layers that were compared.
    pub layers: u64,
    /// Layers of which not every byte could be compared.
    pub layers_in_part: u64,
    /// Findings that harm somebody.
    pub problems: u64,
    /// Those of them that were repaired or removed.
    pub settled: u64,
    /// Findings that harm nobody.
    pub harmless: u64,
}

impl CheckSummary {
    /// Counts a finding.
    pub fn count(&mut self, finding: &Finding) {
        if finding.problem.is_harmless() {
            self.harmless += 1;
            return;
        }
        self.problems += 1;
        if matches!(finding.outcome, Outcome::Repaired { .. } | Outcome::Removed { .. }) {
            self.settled += 1;
        }
    }

    /// Tells whether nothing harmful is left.
    pub fn is_sound(&self) -> bool {
        self.problems == self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_stable_form() {
        let finding = Finding {
            problem: Problem::BlobDamaged,
            subject: "sha256:1".to_owned(),
            detail: "d".to_owned(),
            needed_by: vec!["a:1".to_owned()],
            outcome: Outcome::Repaired { how: "h".to_owned() },
        };
        let mut summary = CheckSummary::default();
        summary.count(&finding);
        let text = serde_json::to_string(&CheckEvent::Finding(finding)).unwrap();
        assert_eq!(
            text,
            r#"{"event":"finding","problem":"blob-damaged","subject":"sha256:1","detail":"d","needed-by":["a:1"],"outcome":{"did":"repaired","how":"h"}}"#
        );
        assert!(summary.is_sound() && summary.problems == 1);
    }

    #[test]
    fn what_is_left_of_damage_counts() {
        for (problem, outcome, sound) in [
            (Problem::LayerMissing, Outcome::Nothing, false),
            (Problem::LayerMissing, Outcome::Left { why: String::new() }, false),
            (Problem::LayerMissing, Outcome::Removed { what: String::new() }, true),
            (Problem::Unreferenced, Outcome::Nothing, true),
        ] {
            let mut summary = CheckSummary::default();
            summary.count(&Finding {
                problem,
                subject: String::new(),
                detail: String::new(),
                needed_by: Vec::new(),
                outcome,
            });
            assert_eq!(summary.is_sound(), sound);
        }
    }
}
