// SPDX-License-Identifier: MIT
//! Taking names from images and images from the store: what goes is planned purely, by Docker's rules, then done in one transaction.
//!
//! The rules (moby `daemon/images/image_delete.go`): a name goes when another one remains; an image goes with its last name, and with
//! it those of its parents that have neither a name, nor a container, nor another child. Force overcomes several names and stopped
//! containers, never a running container or a child. What is reported as deleted are images and the layers that nothing shows any
//! more, called by their chain ids (OCI image-spec, `config.md`).
//!
//! A name that moves meanwhile is not lost: planning and recording are one turn. Content goes after the record, so a crash between
//! the two leaves garbage that the next start collects.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hyperbox_types::{ByteSize, DiffId, Digest, ImageId, ImageReference};
use sha2::{Digest as _, Sha256};

use super::collect::{Collected, Scope};
use super::service::{ImageUser, Images, find, is_id_of, no_such_image};
use super::{ImageRecord, RemoveImageOptions, RemovedImage};
use crate::{Result, ServiceError};

type Table = BTreeMap<ImageId, Arc<ImageRecord>>;

/// What a removal changes.
#[derive(Debug, Default)]
struct Plan {
    removed: Vec<RemovedImage>,
    /// Names of events with the image that they are about, in order.
    events: Vec<(&'static str, ImageId)>,
    /// Images that lose names.
    changed: HashSet<ImageId>,
    gone: Vec<ImageId>,
}

/// The images while a removal is planned.
struct Removal<'u> {
    images: Table,
    users: &'u [ImageUser],
    force: bool,
    prune: bool,
    plan: Plan,
}

/// Why an image stays.
struct Obstacle {
    hard: bool,
    used: bool,
    reason: String,
}

impl Obstacle {
    fn refusal(&self, id: &ImageId) -> ServiceError {
        let force = if self.hard {
            "cannot be forced"
        } else {
            "must be forced"
        };
        let short = id.short();
        ServiceError::conflict(format!(
            "conflict: unable to delete {short} ({force}) - {}",
            self.reason
        ))
    }
}

/// What can keep an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Regard {
    /// Children and running containers.
    Hard,
    /// Stopped containers too.
    ButNames,
    /// Names too.
    Everything,
}

impl Removal<'_> {
    fn run(&mut self, reference: &str) -> Result<()> {
        let id = find(&self.images, reference)
            .ok_or_else(|| no_such_image(reference))?
            .id
            .clone();
        if is_id_of(&id, reference) {
            return self.by_id(&id);
        }
        let name = ImageReference::parse(reference).map_err(|_| no_such_image(reference))?;
        self.by_name(&id, &name)
    }

    fn by_name(&mut self, id: &ImageId, name: &ImageReference) -> Result<()> {
        if !self.force
            && is_single(&self.names(id))
            && let Some(user) = self.users.iter().find(|user| user.image == *id)
        {
            return Err(ServiceError::conflict(format!(
                "conflict: unable to remove repository reference \"{}\" (must force) - container {} is using its referenced image {}",
                name.familiar(),
                user.container,
                id.short()
            )));
        }
        self.untag(id, name);
        self.plan.events.push(("untag", id.clone()));
        if name.digest().is_none() {
            self.forget_digests(id, name);
        }
        if !self.names(id).is_empty() {
            return Ok(());
        }
        self.delete(id, self.force, true)
    }

    fn by_id(&mut self, id: &ImageId) -> Result<()> {
        let names = self.names(id);
        if is_single(&names) {
            let regard = if self.force { Regard::Hard } else { Regard::ButNames };
            if let Some(obstacle) = self.obstacle(id, regard) {
                return Err(obstacle.refusal(id));
            }
            self.untag_all(id);
        }
        self.delete(id, self.force, false)
    }

    /// Digests without a tag in the same repository name nothing that anybody asked for.
    fn forget_digests(&mut self, id: &ImageId, name: &ImageReference) {
        let names = self.names(id);
        let (digests, tags): (Vec<_>, Vec<_>) = names
            .into_iter()
            .filter(|other| other.repository() == name.repository())
            .partition(|other| other.digest().is_some());
        if tags.is_empty() {
            for digest in &digests {
                self.untag(id, digest);
            }
        }
    }

    /// Deletes an image and what it alone keeps. `quiet` says that something was already done, so that an obstacle is no failure.
    fn delete(&mut self, id: &ImageId, force: bool, quiet: bool) -> Result<()> {
        let regard = if force { Regard::Hard } else { Regard::Everything };
        if let Some(obstacle) = self.obstacle(id, regard) {
            let dangling = self.names(id).is_empty() && !self.has_children(id);
            if quiet && (!dangling || obstacle.used) {
                return Ok(());
            }
            return Err(obstacle.refusal(id));
        }
        self.untag_all(id);
        let Some(image) = self.images.remove(id) else {
            return Ok(());
        };
        self.plan.gone.push(id.clone());
        self.plan.removed.push(RemovedImage::Deleted(id.to_string()));
        self.plan.events.push(("delete", id.clone()));
        self.release_layers(&image);
        match &image.parent {
            Some(parent) if self.prune && self.images.contains_key(parent) => self.delete(parent, false, true),
            _ => Ok(()),
        }
    }

    fn obstacle(&self, id: &ImageId, regard: Regard) -> Option<Obstacle> {
        let soft = |used, reason| {
            Some(Obstacle {
                hard: false,
                used,
                reason,
            })
        };
        if self.has_children(id) {
            return Some(Obstacle {
                hard: true,
                used: false,
                reason: "image has dependent child images".to_owned(),
            });
        }
        let user = |running| {
            let mut users = self.users.iter().filter(|user| user.image == *id);
            users.find(|user| user.running == running)
        };
        if let Some(user) = user(true) {
            return Some(Obstacle {
                hard: true,
                used: true,
                reason: format!("image is being used by running container {}", user.container),
            });
        }
        if regard == Regard::Everything && !self.names(id).is_empty() {
            return soft(false, "image is referenced in multiple repositories".to_owned());
        }
        let stopped = user(false).filter(|_| regard != Regard::Hard)?;
        soft(
            true,
            format!("image is being used by stopped container {}", stopped.container),
        )
    }

    fn has_children(&self, id: &ImageId) -> bool {
        self.images.values().any(|image| image.parent.as_ref() == Some(id))
    }

    /// Returns tags and digests in Docker's order.
    fn names(&self, id: &ImageId) -> Vec<ImageReference> {
        self.images.get(id).map(|image| image.names()).unwrap_or_default()
    }

    fn untag_all(&mut self, id: &ImageId) {
        for name in self.names(id) {
            self.untag(id, &name);
            self.plan.events.push(("untag", id.clone()));
        }
    }

    fn untag(&mut self, id: &ImageId, name: &ImageReference) {
        let Some(image) = self.images.get_mut(id) else { return };
        let image = Arc::make_mut(image);
        match name.digest() {
            // A digest names the image, whatever tag is written before it.
            Some(digest) => image
                .digests
                .retain(|known| known.repository() != name.repository() || known.digest() != Some(digest)),
            None => image.references.retain(|known| known != name),
        }
        self.plan.changed.insert(id.clone());
        self.plan.removed.push(RemovedImage::Untagged(name.familiar()));
    }

    /// Reports the layers of an image that neither another image nor a container shows, the topmost first.
    fn release_layers(&mut self, image: &ImageRecord) {
        let images = self
            .images
            .values()
            .map(|image| image.layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>());
        let users = self.users.iter().map(|user| user.layers.iter().collect());
        let kept: HashSet<Digest> = images.chain(users).flat_map(|layers| chain_ids(&layers)).collect();
        let own: Vec<&DiffId> = image.layers.iter().map(|layer| &layer.diff_id).collect();
        let released = chain_ids(&own)
            .into_iter()
            .rev()
            .take_while(|chain| !kept.contains(chain));
        let deleted: Vec<_> = released.map(|chain| RemovedImage::Deleted(chain.to_string())).collect();
        self.plan.removed.extend(deleted);
    }
}

/// Returns the chain id of each layer on those below it.
pub(super) fn chain_ids(layers: &[&DiffId]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::with_capacity(layers.len());
    for layer in layers {
        let chain = match chains.last() {
            None => layer.0.clone(),
            Some(below) => Digest::from_sha256(Sha256::digest(format!("{below} {layer}")).into()),
        };
        chains.push(chain);
    }
    chains
}

/// Tells whether names are one tag at most with digests of its repository, or digests of one repository. No names are not single.
fn is_single(names: &[ImageReference]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let mut repositories = names.iter().map(ImageReference::repository);
    let Some(first) = repositories.next() else {
        return false;
    };
    tags <= 1 && repositories.all(|other| other == first)
}

impl Images {
    /// Removes a name of an image, and the image with its last name.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` with Docker's texts when containers or other images use it or, by id, when it has several names.
    pub async fn remove(&self, reference: &str, options: RemoveImageOptions) -> Result<Vec<RemovedImage>> {
        let (removed, deleted) = self.remove_records(reference, options).await?;
        if deleted {
            self.collect_in(Scope::Suspects).await;
        }
        Ok(removed)
    }

    /// Plans and removes in one turn. Tells whether an image went.
    async fn remove_records(&self, reference: &str, options: RemoveImageOptions) -> Result<(Vec<RemovedImage>, bool)> {
        let _order = self.turn_to_change().await;
        let users = self.users();
        let mut removal = Removal {
            images: self.table().clone(),
            users: &users,
            force: options.force,
            prune: !options.no_prune,
            plan: Plan::default(),
        };
        removal.run(reference)?;
        let Removal { images, plan, .. } = removal;
        let changed = plan.changed.iter().filter_map(|id| images.get(id));
        // What is said of names that go is said of an image that is still there.
        let labels = |(action, id): &(&'static str, ImageId)| match *action {
            "untag" => self.attributes(id, &id.to_string()),
            _ => [("name".to_owned(), id.to_string())].into(),
        };
        let attributes: Vec<_> = plan.events.iter().map(labels).collect();
        self.commit(changed.map(|image| ImageRecord::clone(image)).collect(), &plan.gone)?;
        for ((action, id), attributes) in plan.events.iter().zip(attributes) {
            self.tell(action, id.to_string(), attributes);
        }
        Ok((plan.removed, !plan.gone.is_empty()))
    }

    /// Removes images that no container uses: those without a tag, or all. Returns the bytes that this made free on disk: what
    /// other images share stays and does not count.
    ///
    /// # Errors
    /// None at present: what cannot be removed is left out of the result.
    pub async fn prune(
        &self,
        all: bool,
        filter: &(dyn Fn(&ImageRecord) -> bool + Send + Sync),
    ) -> Result<(Vec<RemovedImage>, ByteSize)> {
        let mut removed = Vec::new();
        let options = RemoveImageOptions::default();
        for record in self.list() {
            let parent = record.names().is_empty() && self.has_children(&record.id);
            if !(all || record.references.is_empty()) || parent || !filter(&record) {
                continue;
            }
            let mut names: Vec<String> = record.names().iter().map(ToString::to_string).collect();
            if names.is_empty() {
                names.push(record.id.to_string());
            }
            for name in names {
                if let Ok((entries, _)) = self.remove_records(&name, options).await {
                    removed.extend(entries);
                }
            }
        }
        let Collected { size, .. } = self.collect_in(Scope::Suspects).await;
        self.publish_prune(size);
        Ok((removed, size))
    }

    /// Tells whether other images were made of this one.
    pub fn has_children(&self, id: &ImageId) -> bool {
        self.table().values().any(|image| image.parent.as_ref() == Some(id))
    }
}

#[cfg(test)]
mod tests;
