// SPDX-License-Identifier: MIT
//! When the steps of an image's history were done. Pure.
//!
//! Only steps that make layers have times of their own. The others get that of the layer before them; those before the first new layer
//! get its time, and where there is no new layer that of the base's last (BuildKit: `normalizeLayersAndHistory`). So the same steps
//! give the same image.

use hyperbox_core::image::HistoryEntry;
use hyperbox_core::time::Timestamp;

/// The comment that BuildKit gives to its steps: clients tell by it who built an image.
pub(crate) const COMMENT: &str = "buildkit.dockerfile.v0";

/// Fills in the times that are missing.
pub(crate) fn date(history: &mut [HistoryEntry]) {
    let mut latest = None;
    let mut gap = false;
    for entry in history.iter() {
        match entry.created_at {
            Some(time) => {
                latest = Some(time);
                if gap {
                    break;
                }
            }
            None => gap = true,
        }
    }
    gap = false;
    for entry in history {
        match entry.created_at {
            Some(time) if gap => latest = Some(time),
            Some(_) => {}
            None => {
                gap = true;
                entry.created_at = latest;
            }
        }
    }
}

/// Returns when an image was made: with its last step.
pub(crate) fn created(history: &[HistoryEntry], epoch: Option<Timestamp>) -> Timestamp {
    let last = history.last().and_then(|entry| entry.created_at);
    epoch.or(last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_layers() {
        for (given, expected) in [
            (
                vec![Some(1), None, Some(5), None, Some(7), None],
                vec![1, 5, 5, 5, 7, 7],
            ),
            (vec![Some(1), Some(2), None], vec![1, 2, 2]),
            (vec![None, Some(3)], vec![3, 3]),
            (vec![Some(9), None, None, Some(4)], vec![9, 4, 4, 4]),
        ] {
            let entry = |time: Option<i64>| HistoryEntry {
                created_at: time.map(Timestamp),
                ..HistoryEntry::default()
            };
            let mut history: Vec<_> = given.iter().copied().map(entry).collect();
            date(&mut history);
            let times: Vec<i64> = history.iter().map(|entry| entry.created_at.unwrap().0).collect();
            assert_eq!(times, expected, "{given:?}");
        }
        let mut nothing = vec![HistoryEntry::default()];
        date(&mut nothing);
        assert_eq!(nothing[0].created_at, None);
        assert_eq!(created(&nothing, None), Timestamp(0));
    }
}
