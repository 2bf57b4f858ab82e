// SPDX-License-Identifier: MIT
//! What a Dockerfile offers: its targets, and what they can be given. Nothing is built and no image is fetched.

use std::sync::Arc;

use hyperbox_dockerfile::check::Mistake;
use hyperbox_dockerfile::outline::{Outline, Target, outline, targets};

use super::Builder;
use super::check::{Checking, blocking, brought};
use super::work::{self, Read};
use crate::{BuildError, BuildRequest, EventSender};

/// What was told of a Dockerfile, and the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described<T> {
    /// What the file is called.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What was told.
    pub told: T,
}

impl Builder {
    /// Lists the targets of a build's Dockerfile.
    ///
    /// # Errors
    /// Contexts and Dockerfiles that cannot be read; a malformed file.
    pub async fn targets(
        &self,
        request: BuildRequest,
        events: EventSender,
    ) -> Result<Described<Vec<Target>>, BuildError> {
        let Read { name, text, .. } = work::read(&self.shared, request, events).await?;
        let work = move || targets(&text).map(|told| Described { name, text, told });
        blocking(work).await?.map_err(refused)
    }

    /// Tells what the target of a build can be given. The variables of images that are not here are not known.
    ///
    /// # Errors
    /// As [`Self::targets`]; words that cannot be evaluated, a target that is no stage.
    pub async fn outline(&self, request: BuildRequest, events: EventSender) -> Result<Described<Outline>, BuildError> {
        let checking = Checking::of(&request);
        let Read { name, text, .. } = work::read(&self.shared, request, events).await?;
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let told = checking.around(&|name| brought(&shared, name), |around| outline(&text, around));
            told.map(|told| Described { name, text, told })
        };
        blocking(work).await?.map_err(refused)
    }
}

fn refused(mistake: Mistake) -> BuildError {
    BuildError::Dockerfile {
        message: mistake.message,
        lines: mistake.lines.first().copied(),
    }
}
