// SPDX-License-Identifier: MIT
//! Docker's create requests without HTTP, for those who speak Docker's language inside the daemon: their bodies are translated as those
//! of clients of the newest version, and what is made remembers them as if such a client had asked.

use std::sync::Arc;

use hyperbox_core::container::{Created, Purpose};
use hyperbox_core::network::CreatedNetwork;
use hyperbox_core::volume::{CreateVolume, VolumeRecord};
use hyperbox_core::{Engine, Result, ServiceError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::routes::create;
use crate::translate::mounts::volume_name;
use crate::translate::network_create;
use crate::version::ApiVersion;
use crate::wire::network::NetworkCreateBody;
use crate::wire::volume::VolumeCreateBody;

/// Makes a container of the body of `POST /containers/create`; an empty `platform` means any. Goes on when the caller is dropped.
///
/// # Errors
/// Those of the request.
pub async fn create_container(engine: &Engine, name: &str, platform: &str, body: Value) -> Result<Created> {
    let body = parse(body)?;
    let made = create::create_container(engine, Purpose::Keep, name, platform, ApiVersion::MAXIMUM, body).await;
    Ok(made?.created)
}

/// Makes a network of the body of `POST /networks/create`. Goes on when the caller is dropped.
///
/// # Errors
/// Those of the request.
pub async fn create_network(engine: &Engine, body: Value) -> Result<CreatedNetwork> {
    let body: NetworkCreateBody = parse(body)?;
    let name = body.name.clone();
    engine.networks.create(&name, network_create::translate(body)?).await
}

/// Makes a volume of the body of `POST /volumes/create`.
///
/// # Errors
/// Those of the request.
pub async fn create_volume(engine: &Engine, body: Value) -> Result<Arc<VolumeRecord>> {
    let body: VolumeCreateBody = parse(body)?;
    let name = match body.name.as_str() {
        "" => None,
        name => Some(volume_name(name)?),
    };
    let request = CreateVolume {
        name,
        driver: body.driver,
        labels: body.labels,
        options: body.driver_opts,
    };
    engine.volumes.create(request).await
}

fn parse<T: DeserializeOwned>(body: Value) -> Result<T> {
    serde_json::from_value(body).map_err(|error| ServiceError::invalid(format!("invalid JSON: {error}")))
}
