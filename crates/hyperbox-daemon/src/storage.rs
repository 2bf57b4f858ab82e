// SPDX-License-Identifier: MIT
//! Which form layers of images get here, and why: what was configured meets what the kernel and the filesystem can.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyperbox_core::image::{IdleWork, Images};
use hyperbox_core::seam::SnapshotError;
use hyperbox_snapshot::{LayerForm, MountPlace, OverlaySnapshotter, Settings, probe_erofs};

use crate::config::{Config, SnapshotterKind};

/// The opened snapshotter, and what people are told of it.
#[derive(Debug)]
pub(crate) struct Storage {
    pub snapshotter: Arc<OverlaySnapshotter>,
    /// The form that new layers get.
    pub form: LayerForm,
    /// Names and values.
    pub status: Vec<(String, String)>,
}

/// Stores files of several layers once when nothing goes on, as configured, until the future is dropped.
pub(crate) async fn optimize_when_idle(images: &Images, config: &Config) {
    let minutes = u64::from(config.storage.optimize_after_minutes);
    if minutes > 0 {
        let work = IdleWork {
            after: Duration::from_secs(minutes * 60),
            release_blobs: !config.storage.keep_blobs,
        };
        images.optimize_when_idle(work).await;
    }
}

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    form: LayerForm,
    mounts: MountPlace,
    reason: String,
}

impl Storage {
    /// Opens the snapshotter below the root.
    ///
    /// # Errors
    /// When EROFS is demanded and does not work here; the message tells why. Else those of opening.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let root = config.root.join("overlay");
        let probed = probe_erofs(&root, &config.run_dir.join("layers"));
        let choice = choose(config.storage.snapshotter, probed)?;
        Self::with(&root, choice)
    }

    fn with(root: &Path, choice: Choice) -> Result<Self> {
        let mounts = match &choice.mounts {
            MountPlace::Detached => "detached, one per layer".to_owned(),
            MountPlace::Attached(directory) => format!("in {}, one per layer", directory.display()),
        };
        let settings = Settings {
            form: choice.form,
            mounts: choice.mounts,
            ..Settings::default()
        };
        let snapshotter = Arc::new(OverlaySnapshotter::open(root, settings)?);
        let others = snapshotter.layers_in_other_form().len();
        tracing::info!(form = %choice.form, reason = %choice.reason, others, "layers are kept");
        let mut status = vec![
            ("Layers".to_owned(), choice.form.to_string()),
            ("Chosen".to_owned(), choice.reason),
        ];
        if choice.form == LayerForm::Erofs {
            status.push(("Layer Mounts".to_owned(), mounts));
        }
        if others > 0 {
            status.push(("Layers in Another Form".to_owned(), others.to_string()));
        }
        Ok(Self {
            snapshotter,
            form: choice.form,
            status,
        })
    }
}

/// Decides from what is wished for and what was found.
fn choose(wish: SnapshotterKind, probed: Result<MountPlace, SnapshotError>) -> Result<Choice> {
    let found = probed.map_err(|error| chain(&error));
    let (form, reason) = match (wish, &found) {
        (SnapshotterKind::Auto, Ok(_)) => (LayerForm::Erofs, "a trial mount worked".to_owned()),
        (SnapshotterKind::Auto, Err(reason)) => (LayerForm::Directory, reason.clone()),
        (SnapshotterKind::Overlay, _) => (LayerForm::Directory, "by configuration".to_owned()),
        (SnapshotterKind::Erofs, Ok(_)) => (LayerForm::Erofs, "by configuration".to_owned()),
        (SnapshotterKind::Erofs, Err(reason)) => {
            return Err(anyhow::anyhow!("{reason}")).context("setting storage.snapshotter = \"erofs\"");
        }
    };
    Ok(Choice {
        form,
        mounts: found.unwrap_or(MountPlace::Detached),
        reason,
    })
}

/// Joins an error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_meet_what_works() {
        let fails = || {
            Err(SnapshotError::Io {
                operation: "use EROFS in",
                path: "/root".to_owned(),
                source: std::io::Error::other("no such filesystem"),
            })
        };
        let works = || Ok(MountPlace::Detached);
        let reason = "cannot use EROFS in /root: no such filesystem";
        for (wish, probed, expected) in [
            (
                SnapshotterKind::Auto,
                works(),
                Some((LayerForm::Erofs, "a trial mount worked")),
            ),
            (SnapshotterKind::Auto, fails(), Some((LayerForm::Directory, reason))),
            (
                SnapshotterKind::Erofs,
                works(),
                Some((LayerForm::Erofs, "by configuration")),
            ),
            (SnapshotterKind::Erofs, fails(), None),
            (
                SnapshotterKind::Overlay,
                works(),
                Some((LayerForm::Directory, "by configuration")),
            ),
            (
                SnapshotterKind::Overlay,
                fails(),
                Some((LayerForm::Directory, "by configuration")),
            ),
        ] {
            let chosen = choose(wish, probed);
            match (&chosen, expected) {
                (Ok(choice), Some((form, reason))) => assert_eq!((choice.form, choice.reason.as_str()), (form, reason)),
                (Err(error), None) => assert!(format!("{error:#}").contains(reason), "{error:#}"),
                _ => panic!("{wish:?}: {chosen:?}"),
            }
        }
    }
}
