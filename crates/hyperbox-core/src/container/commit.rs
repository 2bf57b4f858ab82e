// SPDX-License-Identifier: MIT
//! Making an image of a container: what it changed becomes a layer on its image.

use hyperbox_types::{ImageId, ImageReference};

use super::{ContainerRecord, Containers, HealthTest, Phase};
use crate::image::{ImageConfig, MadeFrom, NewImage, change};
use crate::seam::ActiveKey;
use crate::{Result, ServiceError};

/// How to make an image of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommitOptions {
    /// Its name.
    pub name: Option<ImageReference>,
    /// Why.
    pub comment: String,
    /// Who.
    pub author: String,
    /// Freeze the container meanwhile, if it runs.
    pub pause: bool,
    /// Instructions that change the configuration.
    pub changes: Vec<String>,
    /// What the configuration starts from; the container's fills in what it leaves open, or is it when this is unset.
    pub config: Option<ImageConfig>,
    /// The container's configuration in the form of Docker's API, to be kept in the image.
    pub container_config: serde_json::Value,
}

impl Containers {
    /// Makes an image of a container.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for malformed changes; those of the stores.
    pub async fn commit(&self, reference: &str, options: CommitOptions) -> Result<ImageId> {
        let record = self.get(reference)?;
        let own = of_container(&record);
        let mut config = options.config.clone().unwrap_or_else(|| own.clone());
        change::apply(&mut config, &options.changes)?;
        fill_in(&mut config, &own);
        let frozen = options.pause && record.state.phase == Phase::Running;
        if frozen {
            self.pause(record.id.as_str()).await?;
        }
        let made = self.commit_record(&record, &options, config).await;
        if let Ok(id) = &made {
            let name = options.name.as_ref().map(ImageReference::familiar).unwrap_or_default();
            let more = [
                ("comment", options.comment.clone()),
                ("imageID", id.to_string()),
                ("imageRef", name),
            ];
            self.inner.publish("commit", &record, more);
        }
        if frozen && let Err(error) = self.unpause(record.id.as_str()).await {
            // It may have been killed meanwhile.
            tracing::warn!(container = %record.id, %error, "a container that was frozen for a commit is not thawed");
        }
        made
    }

    async fn commit_record(
        &self,
        record: &ContainerRecord,
        options: &CommitOptions,
        config: ImageConfig,
    ) -> Result<ImageId> {
        let with = &self.inner.with;
        let parent = with.images.get(&record.image_id.to_string()).map_err(|error| {
            ServiceError::conflict("the image of the container is gone, so nothing can be made of it")
                .with_source(error)
        })?;
        let layer = with
            .snapshotter
            .pack_changes(&ActiveKey(record.id.clone()))
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot read the container's files", error.kind(), error))?;
        let image = NewImage {
            config,
            created_by: record.command_line().join(" "),
            author: options.author.clone(),
            comment: options.comment.clone(),
            platform: None,
            name: options.name.clone(),
            made_from: Some(MadeFrom {
                container: record.id.to_string(),
                config: options.container_config.clone(),
            }),
        };
        with.images.commit_layer(Some(parent), layer, image).await
    }
}

/// The part of a container's configuration that an image can have.
fn of_container(record: &ContainerRecord) -> ImageConfig {
    let spec = &record.spec;
    ImageConfig {
        env: spec.env.clone(),
        entrypoint: spec.entrypoint.clone().unwrap_or_default(),
        command: spec.command.clone().unwrap_or_default(),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        labels: spec.labels.clone(),
        exposed_ports: spec.exposed_ports.clone(),
        volumes: spec
            .anonymous_volumes
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        stop_signal: spec.stop_signal.map(|signal| signal.to_string()),
        health: spec.health.clone().filter(|check| check.test != HealthTest::Inherit),
        ..ImageConfig::default()
    }
}

/// Fills in what a configuration leaves open, by Docker's rules (`merge` in `daemon/commit.go`).
fn fill_in(config: &mut ImageConfig, from: &ImageConfig) {
    if config.entrypoint.is_empty() {
        if config.command.is_empty() {
            config.command.clone_from(&from.command);
        }
        config.entrypoint.clone_from(&from.entrypoint);
    }
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let known: Vec<String> = config.env.iter().map(|variable| name(variable)).collect();
    let inherited = from.env.iter().filter(|variable| !known.contains(&name(variable)));
    config.env.extend(inherited.cloned());
    for (key, value) in &from.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (own, theirs) in [
        (&mut config.exposed_ports, &from.exposed_ports),
        (&mut config.volumes, &from.volumes),
    ] {
        let missing: Vec<String> = theirs.iter().filter(|name| !own.contains(name)).cloned().collect();
        own.extend(missing);
    }
    for (own, theirs) in [
        (&mut config.user, &from.user),
        (&mut config.working_dir, &from.working_dir),
    ] {
        if own.is_empty() {
            own.clone_from(theirs);
        }
    }
    if config.stop_signal.is_none() {
        config.stop_signal.clone_from(&from.stop_signal);
    }
    if config.health.is_none() {
        config.health.clone_from(&from.health);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_fills_in() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let from = ImageConfig {
            env: words("A=1 B=2"),
            command: words("sh"),
            entrypoint: words("entry"),
            user: "web".to_owned(),
            exposed_ports: words("80/tcp"),
            ..ImageConfig::default()
        };
        let mut config = ImageConfig {
            env: words("A=3"),
            exposed_ports: words("80/tcp 81/tcp"),
            ..ImageConfig::default()
        };
        fill_in(&mut config, &from);
        assert_eq!(config.env, ["A=3", "B=2"]);
        assert_eq!((config.command, config.entrypoint), (words("sh"), words("entry")));
        assert_eq!(config.exposed_ports, ["80/tcp", "81/tcp"]);
        assert_eq!(config.user, "web");
        let mut config = ImageConfig {
            entrypoint: words("mine"),
            ..ImageConfig::default()
        };
        fill_in(&mut config, &from);
        assert_eq!((config.command, config.entrypoint), (Vec::new(), words("mine")));
    }
}
