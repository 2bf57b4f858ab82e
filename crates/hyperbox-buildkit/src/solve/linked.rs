// SPDX-License-Identifier: MIT
//! Results of builds, and how one build becomes the base of another.
//!
//! A client that links targets takes the definition of a result (LLB) and sends it back with the solve that builds upon it, without
//! looking into it. Ours has two operations: a source with an identifier of ours, and what ends every definition. A result is known
//! as long as its build is; the client keeps that open until everything that builds upon it is done.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyperbox_build::BuiltBase;
use hyperbox_build::request::ContextSource;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::proto::ops::{Definition, Input, Op, OpMetadata, SourceOp};

/// What identifiers of results begin with.
const SCHEME: &str = "hyperbox-result://";

/// A build that went well.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// What `Control.Solve` answers.
    pub(crate) response: HashMap<String, String>,
    /// What `LLBBridge.Solve` answers besides a reference.
    pub(crate) metadata: HashMap<String, Vec<u8>>,
    /// What other builds can build upon.
    pub(crate) base: Option<BuiltBase>,
}

impl Finished {
    /// Tells whether it brings instructions for the builds that are based on it.
    pub(crate) fn brings_triggers(&self) -> bool {
        self.base.as_ref().is_none_or(BuiltBase::brings_triggers)
    }

    /// Returns it as what another build builds upon.
    pub(crate) fn context(&self) -> Option<ContextSource> {
        self.base.clone().map(ContextSource::Built)
    }
}

/// All results that are known.
#[derive(Debug, Default)]
pub(crate) struct Results {
    known: Mutex<HashMap<String, Weak<Finished>>>,
    next: AtomicU64,
}

impl Results {
    /// Makes a name up that nobody can guess.
    pub(crate) fn name(&self) -> String {
        let mut bytes = [0; 16];
        // Without random bytes names are still apart from each other.
        if getrandom::fill(&mut bytes).is_err() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            bytes[..8].copy_from_slice(&number.to_be_bytes());
        }
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Makes a result known under a name.
    pub(crate) fn add(&self, id: &str, result: &Arc<Finished>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, result| result.strong_count() > 0);
        known.insert(id.to_owned(), Arc::downgrade(result));
    }

    /// Finds the result that a definition names.
    pub(crate) fn of(&self, definition: &Definition) -> Option<Arc<Finished>> {
        self.find(&named(definition)?)
    }

    /// Finds a result by its name.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Finished>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id)?.upgrade()
    }
}

/// Makes the definition of a result.
pub(crate) fn definition(id: &str) -> Definition {
    let source = Op {
        inputs: Vec::new(),
        source: Some(SourceOp {
            identifier: format!("{SCHEME}{id}"),
            attrs: HashMap::new(),
        }),
    };
    let source = source.encode_to_vec();
    let input = digest(&source);
    let end = Op {
        inputs: vec![Input {
            digest: input.clone(),
            index: 0,
        }],
        source: None,
    };
    let end = end.encode_to_vec();
    let known = || OpMetadata {
        caps: HashMap::from([("constraints".to_owned(), true)]),
    };
    Definition {
        metadata: HashMap::from([(input, known()), (digest(&end), known())]),
        def: vec![source, end],
    }
}

fn digest(operation: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(operation).into();
    hyperbox_types::Digest::from_sha256(hash).to_string()
}

/// Returns what a definition of ours names.
fn named(definition: &Definition) -> Option<String> {
    definition.def.iter().find_map(|bytes| {
        let source = Op::decode(bytes.as_slice()).ok()?.source?;
        source.identifier.strip_prefix(SCHEME).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_comes_back() {
        let sent = definition("abc");
        let bytes = sent.encode_to_vec();
        let returned = Definition::decode(bytes.as_slice()).expect("a definition");
        assert_eq!(named(&returned).as_deref(), Some("abc"));
        assert_eq!(returned.metadata.len(), 2);
        let foreign = Definition {
            def: vec![b"\xff".to_vec(), Vec::new()],
            metadata: HashMap::new(),
        };
        assert_eq!(named(&foreign), None);
    }

    #[test]
    fn results_are_known_as_long_as_they_are_held() {
        let results = Results::default();
        let one = Arc::new(Finished::default());
        results.add("1", &one);
        assert!(results.of(&definition("1")).is_some());
        assert!(results.of(&definition("2")).is_none());
        drop(one);
        assert!(results.of(&definition("1")).is_none());
        results.add("2", &Arc::new(Finished::default()));
        assert_eq!(results.known.lock().expect("unpoisoned").len(), 1);
    }
}
