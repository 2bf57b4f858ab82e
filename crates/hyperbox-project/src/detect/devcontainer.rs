// SPDX-License-Identifier: MIT
//! `devcontainer.json`: recognised, and run as far as a Compose file can say it: its image or build, user, variables and ports, with the folder
//! mounted. Features, life cycle commands and editors' settings are named as not served.
//!
//! Source: <https://containers.dev/implementors/json_reference/>.

use serde_json::Value;

use super::folder::Folder;
use super::jsonc;
use super::proposal::{Build, Draft, write};
use super::{DetectError, Proposal};
use crate::compose::{Found, clean_path};
use crate::settings::Settings;

const NAMES: &[&str] = &[".devcontainer/devcontainer.json", ".devcontainer.json"];

/// What it may say and nothing is done about.
const UNSERVED: &[&str] = &[
    "features",
    "initializeCommand",
    "onCreateCommand",
    "updateContentCommand",
    "postCreateCommand",
    "postStartCommand",
    "postAttachCommand",
    "runArgs",
    "mounts",
    "workspaceMount",
    "customizations",
];

pub(crate) fn find(folder: &Folder<'_>) -> Option<&'static str> {
    folder.first(NAMES)
}

fn read(folder: &Folder<'_>, name: &str) -> Result<Value, DetectError> {
    let failed = |reason: String| DetectError::File {
        path: folder.join(name),
        reason,
    };
    let text = folder.text(name).ok_or_else(|| failed("cannot be read".to_owned()))?;
    serde_json::from_str(&jsonc::plain(&text)).map_err(|error| failed(error.to_string()))
}

/// The folder that its paths start from.
fn base(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The Compose files that it names, if it does.
pub(crate) fn compose_files(folder: &Folder<'_>, name: &str) -> Result<Option<Found>, DetectError> {
    let value = read(folder, name)?;
    let files: Vec<&str> = match &value["dockerComposeFile"] {
        Value::String(file) => vec![file],
        Value::Array(files) => files.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(None),
    };
    let directory = folder.join(base(name));
    let files: Vec<_> = files.iter().map(|file| clean_path(file, &directory)).collect();
    let directory = files.first().and_then(|file| file.parent()).unwrap_or(&directory);
    Ok(Some(Found {
        directory: directory.to_owned(),
        files: files.clone(),
    }))
}

pub(crate) fn propose(folder: &Folder<'_>, settings: &Settings) -> Result<Proposal, DetectError> {
    let name = find(folder).unwrap_or(NAMES[0]);
    let value = read(folder, name)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let project = folder
        .path()
        .file_name()
        .map_or("project".into(), |name| name.to_string_lossy());
    let workspace = text(&value["workspaceFolder"])
        .map(|path| path.replace("${localWorkspaceFolderBasename}", &project))
        .unwrap_or_else(|| format!("/workspaces/{project}"));
    let mut reasons = Vec::new();
    let build = build(&value, name);
    let image = text(&value["image"]);
    if image.is_none() && build.is_none() {
        return Err(DetectError::File {
            path: folder.join(name),
            reason: "says neither image, build nor dockerComposeFile".to_owned(),
        });
    }
    reasons.push(match (&build, &image) {
        (Some(build), _) => format!(
            "image: built of {}",
            build.dockerfile.as_deref().unwrap_or("Dockerfile")
        ),
        (None, image) => format!("image {}: {name} says so", image.as_deref().unwrap_or_default()),
    });
    reasons.push(format!("{workspace} is this folder: one works in it"));
    let start = settings.commands.start.clone();
    let draft = Draft {
        title: format!("Proposed by HyperBox: {name}"),
        image: if build.is_some() { None } else { image },
        build,
        // A development container waits to be worked in, unless it says that its own command does something.
        command: match (start, &value["overrideCommand"]) {
            (Some(line), _) => Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line]),
            (None, Value::Bool(false)) => None,
            (None, _) => Some(
                ["/bin/sh", "-c", "while :; do sleep 3600 & wait $!; done"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
        },
        user: text(&value["containerUser"]).or_else(|| text(&value["remoteUser"])),
        environment: environment(&value, &workspace),
        ports: ports(&value, settings),
        volumes: vec![format!(".:{workspace}")],
        init: true,
        working_dir: Some(workspace),
        watch: Vec::new(),
    };
    Ok(Proposal {
        compose: write(&draft),
        reasons,
        notes: notes(&value, name),
    })
}

fn build(value: &Value, name: &str) -> Option<Build> {
    let said = &value["build"];
    let dockerfile = said["dockerfile"].as_str().or_else(|| value["dockerFile"].as_str())?;
    let base = base(name);
    let below = |path: &str| {
        if base.is_empty() {
            path.to_owned()
        } else {
            format!("{base}/{path}")
        }
    };
    let context = said["context"]
        .as_str()
        .or_else(|| value["context"].as_str())
        .unwrap_or(".");
    let args = said["args"].as_object().into_iter().flatten();
    // The Dockerfile is named from the context, both from the file that names them.
    let dockerfile = match context {
        ".." => below(dockerfile),
        _ => dockerfile.to_owned(),
    };
    let context = match context {
        ".." if !base.is_empty() => ".".to_owned(),
        context => below(context),
    };
    Some(Build {
        context,
        dockerfile: Some(dockerfile),
        inline: None,
        target: said["target"].as_str().map(str::to_owned),
        args: args
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
    })
}

fn environment(value: &Value, workspace: &str) -> Vec<(String, String)> {
    let said = value["containerEnv"].as_object().into_iter().flatten();
    said.filter_map(|(name, value)| {
        let value = value.as_str()?.replace("${containerWorkspaceFolder}", workspace);
        Some((name.clone(), value))
    })
    .collect()
}

fn ports(value: &Value, settings: &Settings) -> Vec<u16> {
    if let Some(port) = settings.app.port {
        return vec![port];
    }
    let port = |value: &Value| match value {
        Value::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
        Value::String(text) => text.rsplit(':').next()?.parse().ok(),
        _ => None,
    };
    let said = value["forwardPorts"].as_array().into_iter().flatten();
    let also = match &value["appPort"] {
        Value::Array(list) => list.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let mut ports: Vec<u16> = said.chain(also).filter_map(port).filter(|port| *port > 0).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn notes(value: &Value, name: &str) -> Vec<String> {
    let unserved: Vec<&str> = UNSERVED.iter().copied().filter(|key| !value[*key].is_null()).collect();
    if unserved.is_empty() {
        return Vec::new();
    }
    vec![format!("{name}: not served in this version: {}", unserved.join(", "))]
}
