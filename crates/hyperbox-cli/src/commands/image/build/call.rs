// SPDX-License-Identifier: MIT
//! What the daemon is asked for, made of the options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperbox_client::credentials::{Credentials, registry_key};
use hyperbox_dockerfile::Dockerfile;
use hyperbox_types::build::{BuildCall, BuildOutput, CachePlace, ContextPlace, DockerfilePlace};
use hyperbox_types::{ByteSize, ImageReference, InvalidReference, Ulimit};

use super::location::{Located, same_directory};
use super::output::Destination;
use super::{BuildArgs, Call};
use crate::context::Context;
use crate::error::CliError;
use crate::options;

/// Makes the call.
pub(super) fn call(
    context: &Context,
    arguments: &BuildArgs,
    located: &Located,
    destination: &Destination,
    on_this_machine: bool,
) -> Result<BuildCall, CliError> {
    let variable = |name: &str| context.environment(name);
    let build_args = build_args(&arguments.build_arg, variable)?;
    let epoch = build_args.get("SOURCE_DATE_EPOCH").cloned();
    let epoch = epoch.or_else(|| context.environment("SOURCE_DATE_EPOCH"));
    let source_date_epoch = epoch.filter(|text| !text.is_empty()).map(|text| {
        text.parse()
            .map_err(|_| CliError::new(format!("invalid SOURCE_DATE_EPOCH: {text}")))
    });
    let tags = arguments.tag.iter().chain(&destination.names);
    let tags = tags.map(|name| check_tag(name)).collect::<Result<Vec<_>, _>>()?;
    if destination.output == (BuildOutput::Image { push: true }) && tags.is_empty() {
        return Err(CliError::new("tag is needed when pushing to registry"));
    }
    let shm_size = arguments.shm_size.filter(|size| *size > 0);
    Ok(BuildCall {
        dockerfile: located.dockerfile.clone(),
        context: located.context.clone(),
        named_contexts: named_contexts(&arguments.build_context, on_this_machine)?,
        target: arguments.target.clone().filter(|target| !target.is_empty()),
        build_args,
        labels: options::pairs(&arguments.label),
        tags,
        no_cache: arguments.no_cache,
        no_cache_stages: arguments.no_cache_filter.clone(),
        pull: arguments.pull,
        platform: arguments.platform.clone(),
        secrets: Vec::new(),
        ssh: Vec::new(),
        network: arguments.network.clone(),
        extra_hosts: extra_hosts(&arguments.add_host)?,
        shm_size: shm_size.and_then(|size| u64::try_from(size).ok()).map(ByteSize),
        ulimits: arguments
            .ulimit
            .iter()
            .map(|text| Ulimit::parse(text).map_err(|error| CliError::new(error.to_string())))
            .collect::<Result<_, _>>()?,
        cgroup_parent: arguments.cgroup_parent.clone(),
        cache_from: sources(context, caches(&arguments.cache_from, "src")?, on_this_machine)?,
        cache_to: targets(caches(&arguments.cache_to, "dest")?, on_this_machine)?,
        output: destination.output,
        source_date_epoch: source_date_epoch.transpose()?,
        allow: arguments.allow.clone(),
        check: arguments.check || arguments.call == Call::Check,
    })
}

/// Checks a name for an image: one with a digest cannot be given.
fn check_tag(name: &str) -> Result<String, CliError> {
    let reference = check_name(name)?;
    if name.contains('@') {
        return Err(CliError::new("refusing to create a tag with a digest reference"));
    }
    Ok(reference)
}

fn check_name(name: &str) -> Result<String, CliError> {
    let invalid = |error: InvalidReference| {
        let reason = match error.reason {
            upper @ "repository name must be lowercase" => upper,
            _ => "invalid reference format",
        };
        CliError::new(format!("invalid tag {name:?}: {reason}"))
    };
    ImageReference::parse(name)
        .map(|reference| reference.to_string())
        .map_err(invalid)
}

fn build_args(
    list: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, CliError> {
    let mut known = BTreeMap::new();
    for text in list {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), variable(text)),
        };
        if name.is_empty() {
            return Err(CliError::new(format!(
                "invalid argument {text:?} for \"--build-arg\" flag: it has no name"
            )));
        }
        known.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(known)
}

fn extra_hosts(list: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let pairs = list.iter().map(|text| {
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let (name, address) = pair
            .filter(|(name, address)| !name.is_empty() && !address.is_empty())
            .ok_or_else(|| {
                CliError::new(format!(
                    "invalid argument {text:?} for \"--add-host\" flag: bad format for add-host: {text:?}"
                ))
            })?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
            return Err(CliError::new(format!(
                "invalid argument {text:?} for \"--add-host\" flag: invalid IP address in add-host: {address:?}"
            )));
        }
        Ok((name.to_owned(), address.to_owned()))
    });
    pairs.collect()
}

fn named_contexts(list: &[String], on_this_machine: bool) -> Result<BTreeMap<String, ContextPlace>, CliError> {
    let mut known = BTreeMap::new();
    for text in list {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, value)| !name.is_empty() && !value.is_empty())
            .ok_or_else(|| CliError::new(format!("invalid context value: {text}, expected key=value")))?;
        let place = if let Some(image) = value.strip_prefix("docker-image://") {
            ContextPlace::Image { name: image.to_owned() }
        } else if value.contains("://") || value.starts_with("git@") {
            ContextPlace::Remote {
                address: value.to_owned(),
            }
        } else if on_this_machine {
            let path = Path::new(value)
                .canonicalize()
                .map_err(|error| CliError::new(format!("failed to get build context path {value}: {error}")))?;
            same_directory(&path)?
        } else {
            return Err(CliError::new(format!(
                "the context {name} is a directory, which only a daemon on this machine can read"
            )));
        };
        known.insert(name.to_ascii_lowercase(), place);
    }
    Ok(known)
}

/// Reads `--cache-from` and `--cache-to`; `path` is what a directory is called there.
fn caches(list: &[String], path: &str) -> Result<Vec<CachePlace>, CliError> {
    list.iter().map(|text| cache(text, path)).collect()
}

fn cache(text: &str, path: &str) -> Result<CachePlace, CliError> {
    let invalid = |reason: String| CliError::new(format!("invalid cache {text:?}: {reason}"));
    let fields = options::comma_separated(&[text.to_owned()]).map_err(invalid)?;
    if fields.iter().all(|field| !field.contains('=')) {
        let [reference] = &fields[..] else {
            return Err(invalid("it has several names".to_owned()));
        };
        return Ok(CachePlace::Registry {
            reference: check_name(reference)?,
            all: false,
        });
    }
    let mut known = BTreeMap::new();
    for field in &fields {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| invalid(format!("invalid value {field}")))?;
        known.insert(key.to_ascii_lowercase(), value);
    }
    let all = match known.get("mode").copied() {
        None | Some("min") => false,
        Some("max") => true,
        Some(other) => return Err(invalid(format!("unknown mode {other:?}"))),
    };
    let field = |name: &str| {
        let missing = || invalid(format!("{name} is required"));
        known
            .get(name)
            .copied()
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    };
    match known.get("type").copied().unwrap_or("registry") {
        "inline" => Ok(CachePlace::Inline),
        "registry" => Ok(CachePlace::Registry {
            reference: check_name(field("ref")?)?,
            all,
        }),
        "local" => Ok(CachePlace::Local {
            directory: std::path::absolute(field(path)?).unwrap_or_else(|_| PathBuf::from(path)),
            device: 0,
            inode: 0,
            all,
        }),
        other => Err(invalid(format!("unknown type {other:?}"))),
    }
}

/// Looks for the directories that steps are taken from; without one the steps are done, as with BuildKit.
fn sources(context: &Context, places: Vec<CachePlace>, on_this_machine: bool) -> Result<Vec<CachePlace>, CliError> {
    let mut found = Vec::new();
    for place in places {
        match place {
            CachePlace::Local { directory, .. } if on_this_machine && !directory.is_dir() => {
                context.note(&format!("there is no cache in {}", directory.display()));
            }
            place => found.push(seen(place, on_this_machine)?),
        }
    }
    Ok(found)
}

/// Makes the directories that steps are kept in.
fn targets(places: Vec<CachePlace>, on_this_machine: bool) -> Result<Vec<CachePlace>, CliError> {
    let made = places.into_iter().map(|place| {
        if let CachePlace::Local { directory, .. } = &place
            && on_this_machine
        {
            std::fs::create_dir_all(directory)
                .map_err(|error| CliError::new(format!("cannot make {}: {error}", directory.display())))?;
        }
        seen(place, on_this_machine)
    });
    made.collect()
}

/// Describes a directory so that the daemon can tell whether it sees the same one.
fn seen(place: CachePlace, on_this_machine: bool) -> Result<CachePlace, CliError> {
    let CachePlace::Local { directory, all, .. } = place else {
        return Ok(place);
    };
    if !on_this_machine {
        return Err(CliError::new(format!(
            "the cache {} is a directory, which only a daemon on this machine can use",
            directory.display()
        )));
    }
    let path = directory
        .canonicalize()
        .map_err(|error| CliError::new(format!("cannot look at {}: {error}", directory.display())))?;
    match same_directory(&path)? {
        ContextPlace::Directory { path, device, inode } => Ok(CachePlace::Local {
            directory: path,
            device,
            inode,
            all,
        }),
        _ => Err(CliError::new(format!("{} is no directory", path.display()))),
    }
}

/// Finds the credentials of the registries that a build may ask.
pub(super) fn credentials(context: &Context, call: &BuildCall) -> Result<BTreeMap<String, Credentials>, CliError> {
    let mut names: Vec<String> = call.tags.clone();
    for cache in call.cache_from.iter().chain(&call.cache_to) {
        if let CachePlace::Registry { reference, .. } = cache {
            names.push(reference.clone());
        }
    }
    let text = match (&call.dockerfile, &call.context) {
        (DockerfilePlace::Text { text, .. }, _) => Some(text.clone()),
        (DockerfilePlace::Context { path }, ContextPlace::Directory { path: root, .. }) => {
            std::fs::read_to_string(root.join(path)).ok()
        }
        _ => None,
    };
    // One that is malformed is told of by the daemon.
    if let Some(Ok(dockerfile)) = text.as_deref().map(Dockerfile::parse) {
        names.extend(dockerfile.stages.into_iter().map(|stage| stage.base));
    }
    // A name alone is one of the usual registry.
    names.push("scratch".to_owned());
    credentials_of(context, names)
}

/// Finds the credentials of the registries of some images.
pub(crate) fn credentials_of(
    context: &Context,
    names: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, Credentials>, CliError> {
    let store = context.credentials()?;
    let mut known = BTreeMap::new();
    for name in names {
        let Ok(reference) = ImageReference::parse(&name) else {
            continue;
        };
        let host = reference.repository().host();
        let key = registry_key(host);
        if !known.contains_key(&key)
            && let Some(found) = store.lookup(host)?
        {
            known.insert(key, found);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_by_kind() {
        let registry = |reference: &str, all| CachePlace::Registry {
            reference: reference.to_owned(),
            all,
        };
        for (text, expected) in [
            ("h:5000/a:c", registry("h:5000/a:c", false)),
            ("type=registry,ref=h:5000/a:c,mode=max", registry("h:5000/a:c", true)),
            ("type=inline", CachePlace::Inline),
            (
                "type=local,dest=/c,mode=max",
                CachePlace::Local {
                    directory: "/c".into(),
                    device: 0,
                    inode: 0,
                    all: true,
                },
            ),
        ] {
            assert_eq!(cache(text, "dest").unwrap(), expected, "{text}");
        }
        for text in ["type=moon", "type=local", "type=registry", "type=inline,mode=x", "A B"] {
            assert!(cache(text, "dest").is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn directories_are_those_that_are_seen_here() {
        use std::os::unix::fs::MetadataExt as _;

        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(place.path().join("new/cache"), &link).unwrap();
        let text = |path: &Path| format!("type=local,dest={}", path.display());
        let wanted = caches(&[text(&place.path().join("new/cache"))], "dest").unwrap();
        let made = targets(wanted, true).unwrap();
        let metadata = std::fs::metadata(place.path().join("new/cache")).unwrap();
        let again = caches(&[text(&link)], "dest").unwrap().remove(0);
        // What is behind a link is said to be where it is.
        assert_eq!(seen(again.clone(), true).unwrap(), made[0]);
        assert!(
            matches!(&made[0], CachePlace::Local { inode, device, .. } if (*device, *inode) == (metadata.dev(), metadata.ino()))
        );
        assert!(seen(again, false).is_err());
    }

    #[test]
    fn arguments_and_hosts() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let known = build_args(&list(&["A=1", "B", "C", "D="]), |name| {
            (name == "B").then(|| "b".to_owned())
        })
        .unwrap();
        assert_eq!(
            known.into_iter().collect::<Vec<_>>(),
            [
                ("A".to_owned(), "1".to_owned()),
                ("B".to_owned(), "b".to_owned()),
                ("D".to_owned(), String::new())
            ]
        );
        assert!(build_args(&list(&["=1"]), |_| None).is_err());
        let hosts = extra_hosts(&list(&["a:1.2.3.4", "b=::1", "c:[::2]", "d:host-gateway"])).unwrap();
        let addresses: Vec<_> = hosts.iter().map(|(_, address)| address.as_str()).collect();
        assert_eq!(addresses, ["1.2.3.4", "::1", "::2", "host-gateway"]);
        assert!(extra_hosts(&list(&["a:b"])).is_err() && extra_hosts(&list(&["a"])).is_err());
    }
}
