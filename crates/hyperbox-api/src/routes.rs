// SPDX-License-Identifier: MIT
//! Which request asks for what. Bodies are read here, and nowhere else.

use async_trait::async_trait;
use futures_util::StreamExt;
use http::Method;
use hyperbox_core::{Result, ServiceError};
use hyperbox_docker::{Lines, NativeAnswer, NativeRequest, NativeRoutes};
use hyperbox_types::project::{OPENAPI_PATH, PROJECTS_PATH, ProjectDown, ProjectUp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::openapi;
use crate::projects::{NameClaim, Projects};
use crate::wish::{self, Asked};

#[async_trait]
impl NativeRoutes for Projects {
    fn has(&self, path: &str) -> bool {
        path == OPENAPI_PATH || segments(path).is_some()
    }

    async fn answer(&self, request: NativeRequest) -> Result<NativeAnswer> {
        let path = request.path.clone();
        if path == OPENAPI_PATH {
            return match request.method {
                Method::GET => openapi::document().map(NativeAnswer::Document),
                _ => Err(ServiceError::not_found("page not found")),
            };
        }
        let path = segments(&path).unwrap_or_default();
        match (request.method.clone(), path.as_slice()) {
            (Method::GET, []) => document(&self.list()),
            (Method::GET, ["events"]) => Ok(NativeAnswer::Lines(lines(self.inner.changes.follow()))),
            (Method::GET, [name]) => document(&self.status(name).await?),
            (Method::PUT, [name]) => {
                let claim = match request.flag("moved") {
                    true => NameClaim::Moved,
                    false => NameClaim::Own,
                };
                document(&self.put(name, claim, json(&request)?).await?)
            }
            (Method::DELETE, [name]) => {
                let wish = ProjectDown {
                    volumes: request.flag("volumes"),
                    remove_orphans: true,
                    ..ProjectDown::default()
                };
                self.begin(name, Asked::Remove(wish::down(wish)), request)
            }
            (Method::POST, [name, "plan"]) => {
                let up: ProjectUp = wish(&request)?;
                if up.project.is_some() {
                    return Err(ServiceError::invalid("a plan opens no project: open it first"));
                }
                document(&self.plan(name, up, request.credentials).await?)
            }
            (Method::POST, [name, "up"]) => {
                let mut up: ProjectUp = wish(&request)?;
                let opening = up.project.take().map(|specification| *specification);
                if let Some(specification) = &opening {
                    self.put(name, NameClaim::Own, specification.clone()).await?;
                }
                let (request_of_up, manner) = wish::up(up);
                let asked = Asked::Up {
                    request: Box::new(request_of_up),
                    manner,
                    opening: opening.map(Box::new),
                };
                self.begin(name, asked, request)
            }
            (Method::POST, [name, "down"]) => self.begin(name, Asked::Down(wish::down(wish(&request)?)), request),
            (Method::POST, [name, word]) => {
                let page = || ServiceError::not_found("page not found");
                let asked = wish::services(word, wish(&request)?).ok_or_else(page)?;
                self.begin(name, asked, request)
            }
            _ => Err(ServiceError::not_found("page not found")),
        }
    }
}

impl Projects {
    fn begin(&self, name: &str, asked: Asked, request: NativeRequest) -> Result<NativeAnswer> {
        Ok(NativeAnswer::Lines(self.run(name, asked, request.credentials)?))
    }
}

/// A body that may be left out.
fn wish<T: DeserializeOwned + Default>(request: &NativeRequest) -> Result<T> {
    match request.body.is_empty() {
        true => Ok(T::default()),
        false => json(request),
    }
}

/// What comes after the path of all projects.
fn segments(path: &str) -> Option<Vec<&str>> {
    let rest = path.strip_prefix(PROJECTS_PATH)?;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => Some(Vec::new()),
        None => None,
        Some(rest) => Some(rest.split('/').filter(|segment| !segment.is_empty()).collect()),
    }
}

fn json<T: DeserializeOwned>(request: &NativeRequest) -> Result<T> {
    serde_json::from_slice(&request.body).map_err(|error| ServiceError::invalid(format!("invalid JSON: {error}")))
}

fn document(value: &impl Serialize) -> Result<NativeAnswer> {
    let value = serde_json::to_value(value)
        .map_err(|error| ServiceError::internal("cannot encode the answer").with_source(error))?;
    Ok(NativeAnswer::Document(value))
}

/// One document for each value.
fn lines<T: Serialize>(values: impl futures_util::Stream<Item = T> + Send + 'static) -> Lines {
    // Plain data always encodes.
    Box::pin(values.map(|value| serde_json::to_vec(&value).unwrap_or_default()))
}
