// SPDX-License-Identifier: MIT
//! What a client asks the Dockerfile frontend for: `FrontendOpt` of a solve, as `frontend/dockerui/config.go` and `attr.go` read it. Pure.
//!
//! Keys that are not known are ignored: clients send what newer frontends know.

use std::collections::{BTreeMap, HashMap};

use hyperbox_build::request::{BuildNetwork, CacheSource, NoCache, PullPolicy, source_date_epoch};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{ByteSize, ImageReference, Platform, Ulimit};
use serde::Deserialize;

use super::place::{self, Place};
use crate::transport::status::{Code, Status};

/// The name of a Dockerfile unless told otherwise.
const DOCKERFILE: &str = "Dockerfile";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The Dockerfile's path in its directory.
    pub(crate) filename: String,
    /// The directory of the session that the Dockerfile is in.
    pub(crate) dockerfile: String,
    /// Whether the Dockerfile is there although the context is elsewhere.
    pub(crate) dockerfile_is_local: bool,
    /// The context.
    pub(crate) context: Place,
    /// The directory in a context that is elsewhere.
    pub(crate) subdirectory: Option<String>,
    /// Contexts by name.
    pub(crate) named: BTreeMap<String, Place>,
    /// Sessions that have certain directories, when it is not the build's own.
    pub(crate) sessions: BTreeMap<String, String>,
    /// Keys of directories.
    pub(crate) shared_keys: BTreeMap<String, String>,
    /// What is asked for instead of a build, such as `frontend.lint`.
    pub(crate) request: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) build_args: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) platform: Option<Platform>,
    pub(crate) no_cache: NoCache,
    pub(crate) pull: PullPolicy,
    pub(crate) network: BuildNetwork,
    pub(crate) extra_hosts: Vec<(String, String)>,
    pub(crate) shm_size: Option<ByteSize>,
    pub(crate) ulimits: Vec<Ulimit>,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) cache_from: Vec<CacheSource>,
}

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// In BuildKit's words for what is malformed; what this engine cannot do is named.
    pub(crate) fn read(given: &HashMap<String, String>) -> Result<Self, Status> {
        let text = |key: &str| given.get(key).map(String::as_str);
        let filled = |key: &str| text(key).filter(|value| !value.is_empty());
        let context = place::main(
            text(text("contextkey").unwrap_or("context")),
            text("contextkey").unwrap_or("context"),
        );
        Ok(Self {
            filename: filled("filename").unwrap_or(DOCKERFILE).to_owned(),
            dockerfile: filled("dockerfilekey").unwrap_or("dockerfile").to_owned(),
            dockerfile_is_local: filled("dockerfilekey").is_some(),
            context,
            subdirectory: filled("contextsubdir").map(str::to_owned),
            named: named(given)?,
            sessions: beginning_with(given, "local-sessionid:"),
            shared_keys: beginning_with(given, "sharedkey:localdir:"),
            request: filled("requestid").map(str::to_owned),
            target: filled("target").map(str::to_owned),
            build_args: beginning_with(given, "build-arg:"),
            labels: beginning_with(given, "label:"),
            platform: filled("platform").map(platform).transpose()?,
            no_cache: no_cache(text("no-cache")),
            pull: pull(text("image-resolve-mode"))?,
            network: network(text("force-network-mode"))?,
            extra_hosts: extra_hosts(text("add-hosts").unwrap_or_default())?,
            shm_size: filled("shm-size").map(shm_size).transpose()?,
            ulimits: ulimits(text("ulimit").unwrap_or_default())?,
            cgroup_parent: filled("cgroup-parent").map(str::to_owned),
            cache_from: cache_from(text("cache-imports"), text("cache-from"))?,
        })
    }

    /// Returns `SOURCE_DATE_EPOCH`.
    pub(crate) fn epoch(&self) -> Option<Timestamp> {
        source_date_epoch(&self.build_args)
    }

    /// Returns the session that has a directory, if it is not the build's own.
    pub(crate) fn session_of(&self, directory: &str) -> Option<&str> {
        self.sessions.get(directory).map(String::as_str)
    }
}

fn wrong(message: impl Into<String>) -> Status {
    Status::new(Code::Unknown, message)
}

fn beginning_with(given: &HashMap<String, String>, prefix: &str) -> BTreeMap<String, String> {
    let found = given
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())));
    found.collect()
}

/// Reads `context:NAME` and `context:NAME::PLATFORM`; the latter is for builds of several platforms, of which there is one here.
fn named(given: &HashMap<String, String>) -> Result<BTreeMap<String, Place>, Status> {
    let mut contexts = BTreeMap::new();
    for (key, value) in beginning_with(given, "context:") {
        let name = key.split_once("::").map_or(key.as_str(), |(name, _)| name);
        let name = name.strip_suffix(":latest").unwrap_or(name);
        contexts.insert(name.to_owned(), place::named(name, &value)?);
    }
    Ok(contexts)
}

fn platform(text: &str) -> Result<Platform, Status> {
    if text.contains(',') {
        return Err(wrong(format!(
            "building for several platforms at once ({text}) is not supported by this version of HyperBox"
        )));
    }
    Platform::parse(text).map_err(|error| wrong(format!("failed to parse target platform {text}: {error}")))
}

fn no_cache(value: Option<&str>) -> NoCache {
    match value {
        None => NoCache::Nothing,
        Some("") => NoCache::Everything,
        Some(stages) => NoCache::Stages(stages.split(',').map(str::to_owned).collect()),
    }
}

fn pull(value: Option<&str>) -> Result<PullPolicy, Status> {
    match value.unwrap_or_default() {
        "" | "default" | "local" => Ok(PullPolicy::Missing),
        "pull" => Ok(PullPolicy::Always),
        other => Err(wrong(format!("invalid image-resolve-mode: {other}"))),
    }
}

fn network(value: Option<&str>) -> Result<BuildNetwork, Status> {
    match value.unwrap_or_default() {
        "" | "sandbox" => Ok(BuildNetwork::Default),
        "none" => Ok(BuildNetwork::None),
        "host" => Ok(BuildNetwork::Host),
        other => Err(wrong(format!("invalid netmode {other}"))),
    }
}

fn fields(value: &str) -> impl Iterator<Item = &str> {
    let fields = value.split(',').map(|field| field.trim().trim_matches('"'));
    fields.filter(|field| !field.is_empty())
}

fn extra_hosts(value: &str) -> Result<Vec<(String, String)>, Status> {
    let hosts = fields(value).map(|field| {
        let (name, address) = field.split_once('=').ok_or_else(|| {
            wrong(format!(
                "failed to parse additional hosts: invalid key-value pair {field}"
            ))
        })?;
        let parsed: Result<std::net::IpAddr, _> = address.parse();
        match parsed {
            Ok(parsed) => Ok((name.to_ascii_lowercase(), parsed.to_string())),
            Err(_) => Err(wrong(format!(
                "failed to parse additional hosts: failed to parse IP {address}"
            ))),
        }
    });
    hosts.collect()
}

fn shm_size(value: &str) -> Result<ByteSize, Status> {
    let bytes: Result<u64, _> = value.parse();
    bytes
        .map(ByteSize)
        .map_err(|error| wrong(format!("failed to parse shm size: {value:?}: {error}")))
}

fn ulimits(value: &str) -> Result<Vec<Ulimit>, Status> {
    let limits = fields(value).map(|field| {
        let parsed = Ulimit::parse(field);
        parsed.map_err(|error| wrong(format!("failed to parse ulimit: {error}")))
    });
    limits.collect()
}

/// One of `cache-imports`, as Go writes it.
#[derive(Deserialize)]
struct Import {
    #[serde(rename = "Type", alias = "type", default)]
    kind: String,
    #[serde(rename = "Attrs", alias = "attrs", default)]
    attributes: HashMap<String, String>,
}

/// Reads where steps that were done elsewhere are. What is no registry is left out, as a cache that cannot be reached is.
fn cache_from(imports: Option<&str>, references: Option<&str>) -> Result<Vec<CacheSource>, Status> {
    let malformed = |error| wrong(format!("failed to unmarshal cache-imports: {error}"));
    let imports: Vec<Import> = match imports.unwrap_or_default() {
        "" => Vec::new(),
        text => serde_json::from_str(text).map_err(malformed)?,
    };
    let of_imports = imports.iter().filter(|import| import.kind == "registry");
    let names = of_imports.filter_map(|import| import.attributes.get("ref").map(String::as_str));
    let mut sources: Vec<CacheSource> = Vec::new();
    for name in names.chain(fields(references.unwrap_or_default())) {
        let reference = ImageReference::parse(name).map_err(|error| wrong(format!("cache source {name}: {error}")))?;
        let source = CacheSource::Registry(reference);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Options, String> {
        let pairs = given
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Options::read(&pairs.collect()).map_err(|error| error.message)
    }

    #[test]
    fn nothing_is_a_directory_and_its_dockerfile() {
        let options = read(&[]).expect("options");
        assert_eq!(options.filename, "Dockerfile");
        assert_eq!(
            (options.dockerfile.as_str(), options.dockerfile_is_local),
            ("dockerfile", false)
        );
        assert_eq!(options.context, Place::Local("context".to_owned()));
        assert_eq!(
            (options.no_cache, options.pull),
            (NoCache::Nothing, PullPolicy::Missing)
        );
        assert_eq!(options.network, BuildNetwork::Default);
    }

    #[test]
    fn everything_is_read() {
        let options = read(&[
            ("filename", "D"),
            ("dockerfilekey", "df"),
            ("context", "https://h/x.git"),
            ("contextsubdir", "sub"),
            ("context:base", "docker-image://alpine"),
            ("context:o:latest::linux/amd64", "input:o::linux/amd64"),
            ("local-sessionid:context", "s2"),
            ("sharedkey:localdir:base", "k"),
            ("requestid", "frontend.lint"),
            ("target", "t"),
            ("build-arg:A", "1=2"),
            ("build-arg:SOURCE_DATE_EPOCH", "7"),
            ("label:a.b", "c"),
            ("platform", "linux/amd64"),
            ("no-cache", "a,b"),
            ("image-resolve-mode", "pull"),
            ("force-network-mode", "none"),
            ("add-hosts", "A=1.2.3.4,b=::1"),
            ("shm-size", "1024"),
            ("ulimit", "nofile=10:20,core=0"),
            ("cgroup-parent", "/x"),
            (
                "cache-imports",
                r#"[{"Type":"registry","Attrs":{"ref":"h:5000/c"}},{"Type":"gha"}]"#,
            ),
            ("unknown", "x"),
        ])
        .expect("options");
        assert_eq!((options.filename.as_str(), options.dockerfile_is_local), ("D", true));
        assert_eq!(options.context, Place::Remote("https://h/x.git".to_owned()));
        assert_eq!(options.subdirectory.as_deref(), Some("sub"));
        assert_eq!(options.named["base"], Place::Image("alpine".to_owned()));
        assert_eq!(options.named["o"], Place::Input("o::linux/amd64".to_owned()));
        assert_eq!(options.session_of("context"), Some("s2"));
        assert_eq!(options.shared_keys["base"], "k");
        assert_eq!(options.request.as_deref(), Some("frontend.lint"));
        assert_eq!(
            (options.build_args["A"].as_str(), options.labels["a.b"].as_str()),
            ("1=2", "c")
        );
        assert_eq!(options.epoch(), Some(Timestamp(7_000_000_000)));
        assert_eq!(options.no_cache, NoCache::Stages(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(
            (options.pull, options.network),
            (PullPolicy::Always, BuildNetwork::None)
        );
        assert_eq!(
            options.extra_hosts,
            [("a", "1.2.3.4"), ("b", "::1")].map(|(name, address)| (name.to_owned(), address.to_owned()))
        );
        assert_eq!((options.shm_size, options.ulimits.len()), (Some(ByteSize(1024)), 2));
        assert_eq!(
            (options.cgroup_parent.as_deref(), options.cache_from.len()),
            (Some("/x"), 1)
        );
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (given, expected) in [
            (("platform", "linux/amd64,linux/arm64"), "several platforms at once"),
            (("image-resolve-mode", "x"), "invalid image-resolve-mode: x"),
            (("force-network-mode", "x"), "invalid netmode x"),
            (("add-hosts", "a"), "invalid key-value pair a"),
            (("add-hosts", "a=b"), "failed to parse IP b"),
            (("shm-size", "x"), "failed to parse shm size"),
            (("ulimit", "nofile"), "failed to parse ulimit"),
            (("cache-imports", "{"), "failed to unmarshal cache-imports"),
            (("context:a", "b"), "invalid context specifier b for a"),
        ] {
            let error = read(&[given]).expect_err("refused");
            assert!(error.contains(expected), "{given:?}: {error}");
        }
        assert_eq!(
            read(&[("no-cache", "")]).expect("options").no_cache,
            NoCache::Everything
        );
    }
}
