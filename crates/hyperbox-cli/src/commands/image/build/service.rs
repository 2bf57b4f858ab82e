// SPDX-License-Identifier: MIT
//! Builds the image of a project's service: what a Compose file says of `build`, as the arguments of `hb build`.

use std::path::Path;

use hyperbox_client::{BuildWriter, Client};
use hyperbox_project::model::{Build, Model, Ulimit};
use hyperbox_types::build::BuildMessage;

use super::{BuildArgs, answers, begin, call, location, output, session};
use crate::context::Context;
use crate::error::CliError;

/// An image to build.
pub(crate) struct Order<'a> {
    pub(crate) model: &'a Model,
    pub(crate) service: &'a str,
    pub(crate) build: &'a Build,
    /// What the image is called.
    pub(crate) image: String,
    /// `ssh` of `build`: `default`, `id=path`.
    pub(crate) ssh: Vec<String>,
    /// Whether base images are pulled again.
    pub(crate) pull: bool,
    /// Whether nothing of the cache is used.
    pub(crate) no_cache: bool,
    /// Gets the connection, which can be closed to cancel the build.
    pub(crate) begun: &'a dyn Fn(BuildWriter),
}

/// Builds an image and hands on what the daemon tells; returns the image's id.
pub(crate) fn build_service(
    context: &Context,
    client: &Client,
    order: &Order<'_>,
    pass: &mut dyn FnMut(BuildMessage),
) -> Result<String, CliError> {
    let on_this_machine = client.host().socket_path().is_some();
    let build = order.build;
    if build.platforms.len() > 1 {
        return Err(CliError::new("build.platforms: one platform at a time can be built"));
    }
    let arguments = arguments(order);
    let located = match &build.dockerfile_inline {
        Some(text) => location::locate_with_text(&build.context, text, on_this_machine)?,
        None => location::locate(&build.context, dockerfile(build).as_deref(), on_this_machine)?,
    };
    let destination = output::destination(&[], false, true)?;
    let call = call::call(context, &arguments, &located, &destination, on_this_machine)?;
    let keys = answers::Keys::parse(&arguments.secret, &arguments.ssh, |name| context.environment(name))?;
    let credentials = call::credentials(context, &call)?;
    let (session, context_bytes) = begin(client, &credentials, located, call, &keys)?;
    (order.begun)(session.writer.clone());
    let built = session::relay(session, context_bytes, keys, &destination, pass)?;
    Ok(built.image.unwrap_or_default())
}

/// The Dockerfile seen from here: a Compose file names it from the context.
fn dockerfile(build: &Build) -> Option<String> {
    let name = build.dockerfile.as_deref()?;
    if location::is_remote(&build.context) {
        return Some(name.to_owned());
    }
    Some(Path::new(&build.context).join(name).display().to_string())
}

fn arguments(order: &Order<'_>) -> BuildArgs {
    let build = order.build;
    let pair = |(name, value): (&String, &String)| format!("{name}={value}");
    let mut labels: Vec<String> = build.labels.iter().map(pair).collect();
    // As Compose does: they tell what an image was built for.
    labels.push(format!("com.docker.compose.project={}", order.model.name));
    labels.push(format!("com.docker.compose.service={}", order.service));
    let mut allow = build.entitlements.clone();
    if build.privileged {
        allow.push("security.insecure".to_owned());
    }
    BuildArgs {
        add_host: build.extra_hosts.clone(),
        allow,
        build_arg: build.args.iter().map(pair).collect(),
        build_context: build
            .additional_contexts
            .iter()
            .map(|(name, place)| format!("{name}={}", place_of(order, place)))
            .collect(),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        label: labels,
        network: build.network.clone().unwrap_or_else(|| "default".to_owned()),
        no_cache: build.no_cache || order.no_cache,
        no_cache_filter: build.no_cache_filter.clone(),
        platform: build.platforms.first().cloned(),
        pull: build.pull || order.pull,
        secret: build
            .secrets
            .iter()
            .filter_map(|secret| secret_of(order, secret))
            .collect(),
        shm_size: build.shm_size.as_deref().and_then(|size| size.parse().ok()),
        ssh: order.ssh.clone(),
        tag: std::iter::once(order.image.clone())
            .chain(build.tags.iter().cloned())
            .collect(),
        target: build.target.clone(),
        ulimit: build
            .ulimits
            .iter()
            .map(|(name, limit)| match limit {
                Ulimit::Single(value) => format!("{name}={value}"),
                Ulimit::Both { soft, hard } => format!("{name}={soft}:{hard}"),
            })
            .collect(),
        context: build.context.clone(),
        ..BuildArgs::default()
    }
}

/// A named context; `service:NAME` is that service's image, which was built before.
fn place_of(order: &Order<'_>, place: &str) -> String {
    let Some(other) = place.strip_prefix("service:") else {
        return place.to_owned();
    };
    let known = order.model.services.get(other);
    known.map_or_else(
        || place.to_owned(),
        |service| {
            format!(
                "docker-image://{}",
                hyperbox_project::create::image(&order.model.name, other, service)
            )
        },
    )
}

/// A secret as `--secret` takes it.
fn secret_of(order: &Order<'_>, reference: &hyperbox_project::model::FileReference) -> Option<String> {
    let object = order.model.secrets.get(&reference.source)?;
    let id = reference.target.as_deref().unwrap_or(&reference.source);
    if let Some(file) = &object.file {
        // One field of CSV: quotes are doubled.
        return Some(format!("id={id},\"src={}\"", file.replace('"', "\"\"")));
    }
    object
        .environment
        .as_ref()
        .map(|variable| format!("id={id},env={variable}"))
}

#[cfg(test)]
mod tests {
    use hyperbox_project::model::{FileObject, FileReference, Service};

    use super::*;

    #[test]
    fn what_a_compose_file_says() {
        let mut model = Model {
            name: "shop".to_owned(),
            ..Model::default()
        };
        let secret = FileObject {
            file: Some("/s/a,b".to_owned()),
            ..FileObject::default()
        };
        model.secrets.insert("key".to_owned(), secret);
        model.services.insert("base".to_owned(), Service::default());
        let build = Build {
            context: "/c".to_owned(),
            dockerfile: Some("sub/Dockerfile".to_owned()),
            args: [("A".to_owned(), "1".to_owned())].into(),
            additional_contexts: [("base".to_owned(), "service:base".to_owned())].into(),
            secrets: vec![FileReference {
                source: "key".to_owned(),
                ..FileReference::default()
            }],
            ulimits: [("nofile".to_owned(), Ulimit::Both { soft: 1, hard: 2 })].into(),
            tags: vec!["more".to_owned()],
            ..Build::default()
        };
        let order = Order {
            model: &model,
            service: "web",
            build: &build,
            image: "shop-web".to_owned(),
            ssh: Vec::new(),
            pull: true,
            no_cache: false,
            begun: &|_| {},
        };
        let made = arguments(&order);
        assert_eq!(made.tag, ["shop-web", "more"]);
        assert_eq!(made.build_arg, ["A=1"]);
        assert_eq!(made.build_context, ["base=docker-image://shop-base"]);
        assert_eq!(made.secret, ["id=key,\"src=/s/a,b\""]);
        assert_eq!(made.ulimit, ["nofile=1:2"]);
        assert!(made.pull && !made.no_cache);
        assert_eq!(dockerfile(&build).as_deref(), Some("/c/sub/Dockerfile"));
    }
}
