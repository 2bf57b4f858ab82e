// SPDX-License-Identifier: MIT
//! Docker's own clients build: `docker build` and buildx through BuildKit's protocols.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment, binary};
use hyperbox_testkit::registry::RegistryAccess;
use hyperbox_testkit::wait_for;

/// Docker's command line with its plugins.
pub(crate) struct Client {
    pub(crate) environment: TestEnvironment,
}

impl Client {
    pub(crate) fn new() -> Self {
        let environment = TestEnvironment::with_starter();
        configure(&environment);
        Self { environment }
    }

    pub(crate) fn docker(&self, words: &[&str]) -> Output {
        self.environment.docker(words)
    }

    /// Builds; what it says of the course is on standard error.
    pub(crate) fn build(&self, options: &[&str]) -> Output {
        let words = [&["buildx", "build", "--progress", "plain"][..], options].concat();
        self.docker(&words)
    }

    /// Writes files below a directory of the environment; returns its path.
    pub(crate) fn lay_out(&self, directory: &str, files: &[(&str, &str)]) -> String {
        let root = self.environment.path(directory);
        for (name, content) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root.to_str().unwrap().to_owned()
    }

    /// Removes these images and what builds kept, and ends.
    pub(crate) fn end(self, images: &[&str]) {
        for image in images {
            self.environment.hb(["rmi", "-f", image]).succeeds();
        }
        self.environment.hb(["image", "prune", "-f"]).succeeds();
        self.environment.hb(["builder", "prune", "-af"]).succeeds();
        self.environment.finish();
    }
}

/// Tells the command line where its plugins are.
pub(crate) fn configure(environment: &TestEnvironment) {
    let target = binary("hb").ancestors().nth(2).unwrap().to_owned();
    let plugins: Vec<PathBuf> = ["buildx/cli-plugins", "suite-tools/cli-plugins"]
        .map(|directory| target.join(directory))
        .to_vec();
    assert!(plugins[0].join("docker-buildx").exists(), "run cargo xtask setup");
    let home = environment.path("home/.docker");
    fs::create_dir_all(&home).unwrap();
    let config = serde_json::json!({ "cliPluginsExtraDirs": plugins });
    fs::write(home.join("config.json"), config.to_string()).unwrap();
}

/// Tells whether a process with these words runs on this machine.
pub(crate) fn runs(words: &str) -> bool {
    let wanted = words.replace(' ', "\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).trim_end_matches('\0') == wanted)
}

#[test]
fn docker_cli_privileged_builds_go_through_buildkit() {
    let client = Client::new();
    let dockerfile = format!("FROM {STARTER}\nARG A=1\nCOPY x /x\nRUN cat /x; echo arg $A\nCMD [\"cat\",\"/x\"]\n");
    let context = client.lay_out(
        "c",
        &[("Dockerfile", &dockerfile), ("x", "content\n"), ("y", "unread\n")],
    );
    let identity = client.environment.path("id");
    let metadata = client.environment.path("metadata");
    let output = client.docker(&[
        "build",
        "--progress",
        "plain",
        "--build-arg",
        "A=2",
        "--label",
        "l=v",
        "-t",
        "built:1",
        "-t",
        "built:2",
        "--iidfile",
        identity.to_str().unwrap(),
        "--metadata-file",
        metadata.to_str().unwrap(),
        &context,
    ]);
    let course = output.stderr.clone();
    output.succeeds();
    for part in [
        "[internal] load build definition from Dockerfile",
        "[2/3] COPY x /x",
        "arg 2",
        "writing image sha256:",
        "naming to docker.io/library/built:1 ",
    ] {
        assert!(course.contains(part), "{part}: {course}");
    }
    assert_eq!(client.docker(&["run", "--rm", "built:2"]).succeeds(), "content");
    let inspected = client.docker(&["inspect", "built:1"]).json();
    assert_eq!(inspected[0]["Config"]["Labels"]["l"], "v");
    assert_eq!(inspected[0]["Id"], fs::read_to_string(identity).unwrap().as_str());
    let metadata: serde_json::Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], inspected[0]["Id"]);
    assert_eq!(
        metadata["image.name"],
        "docker.io/library/built:1,docker.io/library/built:2"
    );
    let again = client.build(&["--build-arg", "A=2", &context]).complains("CACHED");
    assert_eq!(again.stderr.matches("CACHED").count(), 3, "{}", again.stderr);
    // The file that the Dockerfile does not read is not asked for.
    assert!(!again.stderr.contains("unread"), "{}", again.stderr);
    client.end(&["built:1", "built:2"]);
}

#[test]
fn docker_cli_privileged_failures_are_shown_where_they_are() {
    let client = Client::new();
    let context = client.lay_out(
        "c",
        &[
            ("fails", &format!("FROM {STARTER}\nRUN echo said; exit 3\n")),
            ("malformed", &format!("FROM {STARTER}\nNOSUCH x\n")),
            ("missing", &format!("FROM {STARTER}\nCOPY nosuch /\n")),
            ("foreign", &format!("# syntax=other/frontend\nFROM {STARTER}\n")),
            (
                "secret",
                &format!("FROM {STARTER}\nRUN --mount=type=secret,id=s,required=true true\n"),
            ),
            ("warned", &format!("FROM {STARTER} AS Big\nRUN true\n")),
        ],
    );
    for (file, parts) in [
        (
            "fails",
            &["exit code: 3", "fails:2", "   2 | >>> RUN echo said; exit 3", "said"][..],
        ),
        ("malformed", &["unknown instruction: NOSUCH", "malformed:2"]),
        ("missing", &["\"/nosuch\": not found", "missing:2"]),
        ("foreign", &["frontend \"other/frontend\" is not supported"]),
        ("secret", &["secret s: not found", "secret:2"]),
        (
            "nosuch",
            &["failed to read dockerfile: open nosuch: no such file or directory"],
        ),
    ] {
        let path = format!("{context}/{file}");
        let mut output = client.build(&["-f", &path, &context]).exits_with(1);
        for part in parts {
            output = output.complains(part);
        }
    }
    let path = format!("{context}/warned");
    let warned = client.build(&["-f", &path, "-t", "warned:1", &context]);
    let _said = warned.complains("StageNameCasing: Stage name 'Big' should be lowercase (line 1)");
    let checked = client.docker(&["buildx", "build", "--check", "-f", &path, &context]);
    let _found = checked
        .exits_with(1)
        .says("WARNING: StageNameCasing - https://docs.docker.com/");
    client.end(&["warned:1"]);
}

#[test]
fn docker_cli_privileged_outputs_contexts_and_secrets() {
    let client = Client::new();
    let dockerfile = format!(
        "FROM {STARTER} AS made\nCOPY --from=other o /made/o\n\
         RUN --mount=type=secret,id=s cp /run/secrets/s /made/s\n\
         FROM scratch\nCOPY --from=made /made /made\nCOPY --chmod=751 x /x\n"
    );
    let context = client.lay_out(
        "c",
        &[("Dockerfile", &dockerfile), ("x", "x\n"), ("secret", "hidden\n")],
    );
    let other = client.lay_out(
        "other",
        &[("o", "other\n"), ("ignored", "i"), (".dockerignore", "ignored\n")],
    );
    let (directory, archive) = (client.environment.path("out"), client.environment.path("out.tar"));
    let other = format!("other={other}");
    let secret = format!("id=s,src={context}/secret");
    let options = ["--build-context", &other, "--secret", &secret];
    let to_directory = format!("type=local,dest={}", directory.display());
    let to_archive = format!("type=tar,dest={}", archive.display());
    client
        .build(&[&options[..], &["-o", &to_directory, &context]].concat())
        .succeeds();
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(
        [read("x"), read("made/o"), read("made/s")],
        ["x\n", "other\n", "hidden\n"]
    );
    client
        .build(&[&options[..], &["-o", &to_archive, &context]].concat())
        .succeeds();
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let mut modes: Vec<(String, u32)> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.header().entry_type().is_file())
        .map(|entry| {
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            (path, entry.header().mode().unwrap() & 0o7777)
        })
        .collect();
    modes.sort();
    let names: Vec<&str> = modes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["made/o", "made/s", "x"]);
    assert_eq!(modes[2].1, 0o751);
    // A context from standard input, and a Dockerfile.
    let mut bytes = tar::Builder::new(Vec::new());
    bytes.append_dir_all(".", &context).unwrap();
    let input = bytes.into_inner().unwrap();
    let words = [&["buildx", "build", "--progress", "plain"][..], &options, &["-"]].concat();
    let mut command = client.environment.command("docker".as_ref());
    command.env("DOCKER_HOST", client.environment.host()).args(words);
    Output::with_input(&mut command, &input).succeeds();
    let mut command = client.environment.command("docker".as_ref());
    let words = [
        "buildx",
        "build",
        "--progress",
        "plain",
        "-t",
        "in:1",
        "-f",
        "-",
        &context,
    ];
    command.env("DOCKER_HOST", client.environment.host()).args(words);
    let dockerfile = format!("FROM {STARTER}\nCOPY x /y\n");
    Output::with_input(&mut command, dockerfile.as_bytes()).succeeds();
    assert_eq!(client.docker(&["run", "--rm", "in:1", "cat", "/y"]).succeeds(), "x");
    client.end(&["in:1"]);
}

#[test]
fn docker_cli_privileged_pushes_go_to_registries() {
    let client = Client::new();
    let registry = client.environment.registry(RegistryAccess::Anyone);
    let name = registry.image("pushed:1");
    let context = client.lay_out("c", &[("Dockerfile", &format!("FROM {STARTER}\nRUN echo a > /a\n"))]);
    client.build(&["--push", "-t", &name, &context]).succeeds();
    assert!(registry.has_tag("pushed", "1"));
    client.docker(&["rmi", &name]).succeeds();
    let based = client.lay_out("d", &[("Dockerfile", &format!("FROM {name}\nRUN cat /a\n"))]);
    let _pulled = client.build(&["--pull", &based]).complains("[2/2] RUN cat /a");
    client.end(&[&name]);
}

#[test]
fn docker_cli_privileged_the_cache_is_listed_and_pruned() {
    let client = Client::new();
    let context = client.lay_out(
        "c",
        &[("Dockerfile", &format!("FROM {STARTER}\nRUN echo kept > /kept\n"))],
    );
    client.build(&["--output", "type=cacheonly", &context]).succeeds();
    let kept = client.docker(&["buildx", "du", "--verbose"]).succeeds();
    assert!(
        kept.contains("RUN echo kept > /kept") && kept.contains("Type:         regular"),
        "{kept}"
    );
    let none = client
        .docker(&["buildx", "du", "--filter", "type=exec.cachemount", "--verbose"])
        .succeeds();
    assert!(!none.contains("RUN echo kept"), "{none}");
    let inspected = client.docker(&["buildx", "inspect"]).succeeds();
    assert!(
        inspected.contains("Status:") && inspected.contains("running"),
        "{inspected}"
    );
    let _history = client.docker(&["buildx", "history", "ls"]).says("Completed");
    let other = client
        .docker(&["buildx", "prune", "-f", "--filter", "type=exec.cachemount"])
        .succeeds();
    assert!(other.contains("0B"), "{other}");
    let again = client.build(&["--output", "type=cacheonly", &context]);
    let _cached = again.complains("CACHED");
    client.docker(&["buildx", "prune", "-af"]).succeeds();
    let gone = client.docker(&["buildx", "du", "--verbose"]).succeeds();
    assert!(!gone.contains("RUN echo kept"), "{gone}");
    client.end(&[]);
}

/// What clients sent is part of the cache, whoever counts and prunes it.
#[test]
fn docker_cli_privileged_contexts_are_counted_and_pruned() {
    let client = Client::new();
    let large = "x".repeat(300_000);
    let context = client.lay_out(
        "c",
        &[("Dockerfile", "FROM scratch\nCOPY large /\n"), ("large", &large)],
    );
    let local = ["buildx", "du", "--verbose", "--filter", "type=source.local"];
    for prune in [
        &["builder", "prune", "-af"][..],
        &["system", "prune", "-af"],
        &["buildx", "prune", "-af"],
    ] {
        client.build(&["--output", "type=cacheonly", &context]).succeeds();
        let kept = client.docker(&local).succeeds();
        for part in [
            "Description:\tlocal source for context",
            "Mutable:\ttrue",
            "Type:\t\tsource.local",
        ] {
            let (name, value) = part.split_once(':').unwrap();
            let found = kept.lines().any(|line| {
                line.split_once(':')
                    .is_some_and(|(other, found)| other == name && found.trim() == value.trim())
            });
            assert!(found, "{part}: {kept}");
        }
        let used = client.docker(&["system", "df", "-v", "--format", "json"]).json();
        let caches = used["BuildCache"].as_array().unwrap();
        let sizes = |kind: &str| -> Vec<&str> {
            let of_kind = caches.iter().filter(|cache| cache["CacheType"] == kind);
            of_kind.map(|cache| cache["Size"].as_str().unwrap()).collect()
        };
        assert!(sizes("source.local").contains(&"300kB"), "{used}");
        let pruned = client.docker(prune).succeeds();
        assert!(!pruned.contains(" 0B"), "{prune:?}: {pruned}");
        assert!(!client.docker(&local).succeeds().contains("local source"), "{prune:?}");
    }
    client.end(&[]);
}

#[test]
fn docker_cli_privileged_a_build_ends_with_its_client() {
    let client = Client::new();
    let sleep = format!("sleep {}", 2_000_000 + u64::from(std::process::id()));
    let context = client.lay_out("c", &[("Dockerfile", &format!("FROM {STARTER}\nRUN {sleep}; true\n"))]);
    for signal in ["-INT", "-KILL"] {
        // The plugin is a process of its own, whom the signal has to reach.
        let plugin = binary("hb")
            .ancestors()
            .nth(2)
            .unwrap()
            .join("buildx/cli-plugins/docker-buildx");
        let mut command: Command = client.environment.command(&plugin);
        command.env("DOCKER_HOST", client.environment.host());
        command.args(["build", "--progress", "plain", "-t", "gone:1", &context]);
        let mut building = command.spawn().unwrap();
        let state = |wanted: bool| match runs(&sleep) == wanted {
            true => Ok(()),
            false => Err(format!("the command runs: {}", !wanted)),
        };
        wait_for("the command to run", || state(true));
        let pid = building.id().to_string();
        Output::of(client.environment.command("kill".as_ref()).args([signal, &pid])).succeeds();
        building.wait().unwrap();
        wait_for("the command to be gone", || state(false));
    }
    let names = client.docker(&["images", "--format", "{{.Repository}}"]).succeeds();
    assert!(!names.contains("gone"), "{names}");
    client.end(&[]);
}
