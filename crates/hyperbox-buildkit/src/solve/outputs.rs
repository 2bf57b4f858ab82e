// SPDX-License-Identifier: MIT
//! What comes out of a build: exporters of a solve and their attributes (`client/exporters.go`, `exporter/containerimage/exptypes`). Pure.

use std::collections::HashMap;

use hyperbox_build::request::{CacheMode, CacheTarget};
use hyperbox_types::ImageReference;

use crate::proto::control::{CacheOptionsEntry, Exporter, SolveRequest};
use crate::transport::status::{Code, Status};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outputs {
    /// The outputs with the names of each, in the order of the exporters.
    pub(crate) wishes: Vec<(OutputWish, Vec<ImageReference>)>,
}

/// One output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputWish {
    /// An image in the store.
    Image {
        /// Whether it is pushed.
        push: bool,
    },
    /// Files for a directory of the client.
    Directory,
    /// The same as one archive.
    Archive,
    /// An OCI layout.
    Oci,
    /// What `docker load` takes.
    Docker,
}

/// Reads the exporters; none makes nothing but the cache.
///
/// # Errors
/// For exporters that are not known and names that are none.
pub(crate) fn read(request: &SolveRequest) -> Result<Outputs, Status> {
    let old = Exporter {
        kind: request.exporter_deprecated.clone(),
        attrs: request.exporter_attrs_deprecated.clone(),
    };
    let exporters = match request.exporters.as_slice() {
        [] if old.kind.is_empty() => &[],
        [] => std::slice::from_ref(&old),
        exporters => exporters,
    };
    let mut outputs = Outputs::default();
    for exporter in exporters {
        let mut tags = Vec::new();
        for name in names(&exporter.attrs) {
            let tag = tag(name)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        outputs.wishes.push((wish(exporter)?, tags));
    }
    Ok(outputs)
}

fn wish(exporter: &Exporter) -> Result<OutputWish, Status> {
    match exporter.kind.as_str() {
        "moby" => Ok(OutputWish::Image { push: false }),
        "image" => Ok(OutputWish::Image {
            push: exporter.attrs.get("push").is_some_and(|value| is_true(value)),
        }),
        "local" => Ok(OutputWish::Directory),
        "tar" => Ok(OutputWish::Archive),
        "oci" => Ok(OutputWish::Oci),
        "docker" => Ok(OutputWish::Docker),
        other => Err(Status::new(
            Code::Unknown,
            format!("exporter {other:?} could not be found"),
        )),
    }
}

/// Go's `strconv.ParseBool`, where what is neither is false.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn names(attributes: &HashMap<String, String>) -> impl Iterator<Item = &str> {
    let value = attributes.get("name").map(String::as_str).unwrap_or_default();
    value.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn tag(name: &str) -> Result<ImageReference, Status> {
    let parsed = ImageReference::parse(name);
    parsed.map_err(|_| {
        Status::new(
            Code::Unknown,
            format!("invalid image name {name:?}: invalid reference format"),
        )
    })
}

/// Reads where steps are kept for others.
///
/// # Errors
/// For what this engine does not know.
pub(crate) fn cache_to(entries: &[CacheOptionsEntry]) -> Result<Vec<CacheTarget>, Status> {
    let targets = entries.iter().map(|entry| match entry.kind.as_str() {
        "inline" => Ok(CacheTarget::Inline),
        "registry" => {
            let name = entry.attrs.get("ref").map(String::as_str).unwrap_or_default();
            Ok(CacheTarget::Registry {
                reference: tag(name)?,
                mode: match entry.attrs.get("mode").map(String::as_str) {
                    Some("max") => CacheMode::Max,
                    _ => CacheMode::Min,
                },
            })
        }
        other => Err(Status::new(
            Code::Unknown,
            format!("a cache of type {other:?} is not supported: only inline and registry are"),
        )),
    });
    targets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(kind: &str, attributes: &[(&str, &str)]) -> Exporter {
        let pairs = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Exporter {
            kind: kind.to_owned(),
            attrs: pairs.collect(),
        }
    }

    fn request(exporters: Vec<Exporter>) -> SolveRequest {
        SolveRequest {
            exporters,
            ..SolveRequest::default()
        }
    }

    fn wishes(outputs: &Outputs) -> Vec<(OutputWish, Vec<String>)> {
        let familiar = |names: &[ImageReference]| names.iter().map(ImageReference::familiar).collect();
        let wishes = outputs.wishes.iter();
        wishes.map(|(wish, names)| (*wish, familiar(names))).collect()
    }

    #[test]
    fn exporters_are_read() {
        let several = request(vec![
            exporter("moby", &[("name", "a:1,h:5000/b"), ("push", "true")]),
            exporter("local", &[]),
            exporter("image", &[("name", "c,c:latest"), ("push", "true")]),
            exporter("tar", &[]),
        ]);
        let outputs = read(&several).expect("outputs");
        assert_eq!(
            wishes(&outputs),
            [
                (OutputWish::Image { push: false }, vec!["a:1", "h:5000/b:latest"]),
                (OutputWish::Directory, vec![]),
                (OutputWish::Image { push: true }, vec!["c:latest"]),
                (OutputWish::Archive, vec![])
            ]
            .map(|(wish, names)| (wish, names.into_iter().map(str::to_owned).collect()))
        );
        assert_eq!(read(&request(Vec::new())).expect("nothing"), Outputs::default());
        let old = SolveRequest {
            exporter_deprecated: "image".to_owned(),
            exporter_attrs_deprecated: HashMap::from([("push".to_owned(), "true".to_owned())]),
            ..SolveRequest::default()
        };
        let old = read(&old).expect("old");
        assert_eq!(wishes(&old), [(OutputWish::Image { push: true }, Vec::new())]);
        assert!(read(&request(vec![exporter("x", &[])])).is_err());
        assert!(read(&request(vec![exporter("moby", &[("name", "A B")])])).is_err());
    }

    #[test]
    fn caches_are_read() {
        let entry = |kind: &str, attributes: &[(&str, &str)]| {
            let exporter = exporter(kind, attributes);
            CacheOptionsEntry {
                kind: exporter.kind,
                attrs: exporter.attrs,
            }
        };
        let targets = cache_to(&[
            entry("inline", &[]),
            entry("registry", &[("ref", "h:5000/c"), ("mode", "max")]),
        ]);
        assert!(matches!(
            targets.expect("targets").as_slice(),
            [
                CacheTarget::Inline,
                CacheTarget::Registry {
                    mode: CacheMode::Max,
                    ..
                }
            ]
        ));
        assert!(cache_to(&[entry("gha", &[])]).is_err());
        assert!(cache_to(&[entry("registry", &[])]).is_err());
    }
}
