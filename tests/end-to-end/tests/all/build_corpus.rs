// SPDX-License-Identifier: MIT
//! Dockerfiles whose images are those that Docker's BuildKit makes: `builds/NAME.build` is what is built, `builds/NAME.json` what came of
//! it there.
//!
//! A case is a text of sections, each headed by a line `==== PATH [MODE]`: a file of the context; `==== options` has options of the
//! command, one a line. Compared are the configuration, the history's shape, and the files that differ from the base image: kind, mode,
//! owner, target, content, attributes. Times are not.
//!
//! `HYPERBOX_RECORD_BUILDS=NAME|all` with `DOCKER_HOST` of a Docker Engine records instead (`docker buildx build` has to work).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What the cases call their base image.
const BASE: &str = "build-starter:1";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("builds")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "build"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Writes a case's context; returns its options.
fn lay_out(name: &str, context: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory().join(format!("{name}.build"))).unwrap();
    let mut options = Vec::new();
    for section in text.split("==== ").skip(1) {
        let (head, content) = section.split_once('\n').unwrap();
        let (path, rest) = head.split_once(' ').unwrap_or((head, ""));
        if path == "options" {
            options.extend(content.lines().filter(|line| !line.is_empty()).map(str::to_owned));
            continue;
        }
        let path = context.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(target) = rest.strip_prefix("-> ") {
            std::os::unix::fs::symlink(target, path).unwrap();
            continue;
        }
        fs::write(&path, content).unwrap();
        let mode = u32::from_str_radix(if rest.is_empty() { "644" } else { rest }, 8).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    options
}

/// The files of an image, by path, each in one line.
type Tree = BTreeMap<String, String>;

/// Reads a saved image.
fn read(archive: &Path) -> (Value, Tree) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(File::open(archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let configuration = serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
    let mut tree = Tree::new();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        apply(&files[layer.as_str().unwrap()], &mut tree);
    }
    (configuration, tree)
}

/// Applies a layer (OCI image-spec, `layer.md`).
fn apply(layer: &[u8], tree: &mut Tree) {
    let mut content: Box<dyn Read> = match layer {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(layer)),
        _ => Box::new(layer),
    };
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).unwrap();
    let mut added = Tree::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".wh..wh..opq" {
            tree.retain(|path, _| !path.starts_with(&format!("{parent}/")));
        } else if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = [parent, gone].join("/").trim_start_matches('/').to_owned();
            tree.retain(|path, _| *path != gone && !path.starts_with(&format!("{gone}/")));
        } else if !path.is_empty() {
            let line = describe(&mut entry, tree, &added);
            if !line.starts_with("dir") {
                tree.retain(|known, _| !known.starts_with(&format!("{path}/")));
            }
            added.insert(path, line);
        }
    }
    tree.extend(added);
}

fn describe(entry: &mut tar::Entry<'_, &[u8]>, tree: &Tree, added: &Tree) -> String {
    let header = entry.header().clone();
    let target = entry.link_name().unwrap();
    let target = target
        .map(|target| target.to_str().unwrap().to_owned())
        .unwrap_or_default();
    if header.entry_type().is_hard_link() {
        let target = target.trim_start_matches("./").trim_start_matches('/');
        return added.get(target).or_else(|| tree.get(target)).unwrap().clone();
    }
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    if let Some(records) = entry.pax_extensions().unwrap() {
        for record in records {
            let record = record.unwrap();
            if let Some(name) = record.key().unwrap().strip_prefix("SCHILY.xattr.") {
                attributes.insert(name.to_owned(), format!("{:x?}", record.value_bytes()));
            }
        }
    }
    let kind = match header.entry_type() {
        kind if kind.is_dir() => "dir".to_owned(),
        kind if kind.is_symlink() => format!("link {target}"),
        kind if kind.is_file() => {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let digest = Sha256::digest(&bytes);
            let short: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
            format!("file {} {short}", bytes.len())
        }
        other => format!("{other:?}"),
    };
    let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
    // The permissions of a symbolic link say nothing.
    let mode = if kind.starts_with("link") {
        0
    } else {
        header.mode().unwrap() & 0o7777
    };
    let more: String = attributes
        .iter()
        .map(|(name, value)| format!(" {name}={value}"))
        .collect();
    format!("{kind} {mode:o} {uid}:{gid}{more}")
}

/// Puts what matters of an image together.
fn summary(image: &(Value, Tree), base: &Tree) -> Value {
    let (configuration, tree) = image;
    let mut config = configuration["config"].as_object().cloned().unwrap_or_default();
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    config.retain(|_, value| says(value));
    let history = configuration["history"].as_array().cloned().unwrap_or_default();
    let history: Vec<Value> = history
        .iter()
        // What the base image came with differs in how it was loaded.
        .skip_while(|step| step["comment"] != "buildkit.dockerfile.v0")
        .map(|step| {
            let empty = step["empty_layer"].as_bool().unwrap_or(false);
            json!([step["created_by"], if empty { "empty" } else { "layer" }])
        })
        .collect();
    let mut files: Vec<String> = tree
        .iter()
        .filter(|(path, line)| base.get(*path) != Some(line))
        .map(|(path, line)| format!("{path} {line}"))
        .collect();
    let gone = base.keys().filter(|path| !tree.contains_key(*path));
    files.extend(gone.map(|path| format!("{path} gone")));
    json!({
        "author": configuration["author"].as_str().unwrap_or_default(),
        "config": config,
        "history": history,
        "files": files,
    })
}

/// The last part of a failure: what the builder says, without who says it.
fn complaint(text: &str) -> String {
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("failed to "))
        .unwrap_or_default();
    // Buildx tells the same failure by one of two tasks, whichever ends first.
    let start = [
        "failed to solve: ",
        "failed to build: ",
        "failed to run Build function: ",
    ]
    .iter()
    .filter_map(|mark| line.find(mark).map(|at| at + mark.len()))
    .max();
    let line = &line[start.unwrap_or(0)..];
    // BuildKit names the snapshot of its own that it looked in.
    match line.split_once("failed to calculate checksum of ref ") {
        Some((before, after)) => {
            let after = after.split_once(": ").map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => line.to_owned(),
    }
}

/// Builds and saves with a program; a build that fails is its complaint.
fn build(
    program: &mut dyn FnMut(&[&str]) -> (bool, String),
    context: &Path,
    options: &[String],
    saved: &Path,
    prefix: &[&str],
) -> Result<(Value, Tree), String> {
    let tag = "build-corpus:1";
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["--progress", "plain", "-t", tag]);
    words.extend(options.iter().map(String::as_str));
    words.push(context.to_str().unwrap());
    let (well, said) = program(&words);
    if !well {
        return Err(complaint(&said));
    }
    let (well, said) = program(&["save", "-o", saved.to_str().unwrap(), tag]);
    assert!(well, "{said}");
    let image = read(saved);
    let (well, said) = program(&["rmi", tag]);
    assert!(well, "{said}");
    Ok(image)
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn outcome(built: Result<(Value, Tree), String>, base: &Tree) -> Value {
    match built {
        Ok(image) => summary(&image, base),
        Err(complaint) => json!({ "error": complaint }),
    }
}

/// Compares with what was recorded.
fn difference(name: &str, ours: &Value, expected: &Path) -> Option<String> {
    let Ok(recorded) = fs::read(expected) else {
        return Some(format!("{name}: nothing is recorded"));
    };
    let theirs: Value = serde_json::from_slice(&recorded).unwrap();
    let show = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    (*ours != theirs).then(|| format!("{name}: ours {}\nDocker's {}", show(ours), show(&theirs)))
}

#[test]
fn docker_cli_privileged_images_are_those_of_buildkit_by_its_own_client() {
    let environment = TestEnvironment::with_starter();
    crate::buildkit_clients::configure(&environment);
    environment.hb(["tag", STARTER, BASE]).succeeds();
    let saved = environment.path("saved.tar");
    environment.hb(["save", "-o", saved.to_str().unwrap(), BASE]).succeeds();
    let (_, base) = read(&saved);
    let mut differences = Vec::new();
    for name in names() {
        let context = environment.path(&format!("context-{name}"));
        fs::create_dir(&context).unwrap();
        let options = lay_out(&name, &context);
        let mut docker = |words: &[&str]| {
            let mut command = environment.command("docker".as_ref());
            run(command.env("DOCKER_HOST", environment.host()).args(words))
        };
        let ours = outcome(
            build(&mut docker, &context, &options, &saved, &["buildx", "build"]),
            &base,
        );
        let expected = directory().join(format!("{name}.json"));
        differences.extend(difference(&name, &ours, &expected));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    environment.hb(["rmi", BASE]).succeeds();
    environment.hb(["image", "prune", "-f"]).succeeds();
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_images_are_those_of_buildkit() {
    let record = std::env::var("HYPERBOX_RECORD_BUILDS").ok();
    let environment = TestEnvironment::with_starter();
    environment.hb(["tag", STARTER, BASE]).succeeds();
    let saved = environment.path("saved.tar");
    environment.hb(["save", "-o", saved.to_str().unwrap(), BASE]).succeeds();
    let (_, base) = read(&saved);
    let mut differences = Vec::new();
    for name in names() {
        let context = environment.path(&format!("context-{name}"));
        fs::create_dir(&context).unwrap();
        let options = lay_out(&name, &context);
        let expected = directory().join(format!("{name}.json"));
        if let Some(wanted) = &record {
            if wanted == "all" || *wanted == name {
                let layout = environment.path("saved-base.tar");
                environment
                    .hb(["save", "-o", layout.to_str().unwrap(), BASE])
                    .succeeds();
                let (well, said) = run(Command::new("docker").args(["load", "-i"]).arg(&layout));
                assert!(well, "{said}");
                let mut docker = |words: &[&str]| run(Command::new("docker").args(words));
                let built = build(&mut docker, &context, &options, &saved, &["buildx", "build"]);
                let text = serde_json::to_string_pretty(&outcome(built, &base)).unwrap();
                fs::write(&expected, text + "\n").unwrap();
            }
            continue;
        }
        let mut hb = |words: &[&str]| run(&mut environment.hb_command(words.iter().copied()));
        let ours = outcome(build(&mut hb, &context, &options, &saved, &["build"]), &base);
        differences.extend(difference(&name, &ours, &expected));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    environment.hb(["rmi", BASE]).succeeds();
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}
