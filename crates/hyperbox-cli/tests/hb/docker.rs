// SPDX-License-Identifier: MIT
//! `hb` in the place of Docker's command line: plugins, contexts, and what `config.json` says.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::daemon::{Daemon, answer};
use super::program::Finished;

/// A home directory and a link named `docker` to `hb`.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join(".docker/cli-plugins")).unwrap();
        std::fs::write(directory.path().join(".docker/config.json"), config).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hb"), directory.path().join("docker")).unwrap();
        Self { directory }
    }

    fn plugin(&self, name: &str, metadata: &str) {
        let path = self.config().join("cli-plugins").join(format!("docker-{name}"));
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = docker-cli-plugin-metadata ]; then echo '{metadata}'; exit; fi\n\
             echo \"$*\"; echo \"$DOCKER_HOST\"; echo \"$DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND\"; exit 7\n"
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join(".docker")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.directory.path().join("docker"));
        command.env_clear().env("HOME", self.directory.path()).args(words);
        command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command
    }

    fn docker(&self, words: &[&str]) -> Finished {
        self.command(words).output().unwrap().into()
    }
}

const METADATA: &str = r#"{"SchemaVersion":"0.1.0","Vendor":"me","Version":"1","ShortDescription":"Says hello"}"#;

#[test]
fn plugins_are_run_as_docker_does() {
    let home = Home::new("{}");
    home.plugin("hello", METADATA);
    home.plugin("broken", r#"{"SchemaVersion":"0.1.0"}"#);
    let caller = home.directory.path().join("docker").display().to_string();
    let own = "unix:///run/hyperbox/hyperbox.sock";
    for (words, host) in [
        (&["hello", "--a", "b"][..], own),
        (&["-l", "debug", "hello", "--help"], own),
        (&["help", "hello"], own),
        // The plugin reads these words itself.
        (&["--host", "unix:///x", "hello"], ""),
    ] {
        let result = home.docker(words);
        let expected = format!("{}\n{host}\n{caller}\n", words.join(" "));
        assert_eq!((result.code, &result.stdout), (Some(7), &expected), "{result:?}");
    }
    let told = home
        .command(&["hello"])
        .env("DOCKER_HOST", "unix:///y")
        .output()
        .unwrap();
    assert!(Finished::from(told).stdout.contains("\nunix:///y\n"));
    for words in [&["broken"][..], &["nosuch"]] {
        let result = home.docker(words);
        assert_eq!(result.code, Some(1));
        let expected = format!("docker: unknown command: docker {}\n", words[0]);
        assert!(result.stderr.starts_with(&expected), "{result:?}");
    }
    let help = home.docker(&["--help"]).stdout;
    assert!(help.contains("\n  hello*      Says hello\n"), "{help}");
    assert!(
        help.contains("\nInvalid Plugins:\n  broken      plugin metadata does not define a vendor\n"),
        "{help}"
    );
}

#[test]
fn building_is_the_work_of_a_plugin() {
    let home = Home::new("{}");
    let without = home.docker(&["build", "."]);
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.starts_with("failed to read dockerfile: open "));
    home.plugin("buildx", METADATA);
    for (words, given) in [
        (&["build", "-t", "x", "."][..], "buildx build -t x ."),
        (&["-D", "image", "build", "."], "-D buildx build ."),
        (&["builder", "prune"], "buildx prune"),
        (&["buildx", "version"], "buildx version"),
    ] {
        let result = home.docker(words);
        assert_eq!(result.stdout.lines().next(), Some(given), "{result:?}");
    }
}

#[test]
fn plugins_of_other_directories() {
    let other = Home::new("{}");
    other.plugin("hello", METADATA);
    let directory = other.config().join("cli-plugins");
    let home = Home::new(&format!("{{\"cliPluginsExtraDirs\":[\"{}\"]}}", directory.display()));
    assert_eq!(home.docker(&["hello"]).code, Some(7));
    // hb itself has no plugins.
    let mut plain = super::program::hb(&["hello"]);
    let result: Finished = plain.env("HOME", home.directory.path()).output().unwrap().into();
    assert_eq!(result.code, Some(1), "{result:?}");
}

#[test]
fn lists_look_as_configured() {
    let container = r#"[{"Id":"0123456789abcdef","Names":["/web"],"Image":"i"}]"#;
    let config = r#"{"psFormat":"is {{.Names}}","HttpHeaders":{"X-Meta":"yes"}}"#;
    for (words, expected) in [
        (&["ps"][..], "is web\n"),
        (&["ps", "-q"], "0123456789ab\n"),
        (&["ps", "--format", "{{.Image}}"], "i\n"),
        (&["container", "ls"], "is web\n"),
    ] {
        let home = Home::new(config);
        let daemon = Daemon::start(vec![answer("200 OK", container)]);
        let result = home.docker(&[&["--host", daemon.address()], words].concat());
        assert_eq!(result.stdout, expected, "{words:?}: {result:?}");
        assert!(
            daemon.request(0).contains("\r\nX-Meta: yes\r\n"),
            "{}",
            daemon.request(0)
        );
    }
    let daemon = Daemon::start(vec![answer("200 OK", container)]);
    let home = Home::new(config);
    let mut plain = super::program::hb(&["--host", daemon.address(), "ps"]);
    let result: Finished = plain.env("HOME", home.directory.path()).output().unwrap().into();
    assert!(result.stdout.starts_with("CONTAINER ID"), "{result:?}");
    assert!(!daemon.request(0).contains("X-Meta"));
}

#[test]
fn proxies_go_into_new_containers() {
    let home = Home::new(r#"{"proxies":{"default":{"httpProxy":"http://p:1"}}}"#);
    let daemon = Daemon::start(vec![answer("201 Created", r#"{"Id":"1","Warnings":[]}"#)]);
    let result = home.docker(&["--host", daemon.address(), "create", "-e", "http_proxy=mine", "i"]);
    assert_eq!(result.code, Some(0), "{result:?}");
    let request = daemon.request(0);
    assert!(
        request.contains(r#""Env":["http_proxy=mine","HTTP_PROXY=http://p:1"]"#),
        "{request}"
    );
}

#[test]
fn contexts_are_made_used_and_removed() {
    let home = Home::new(r#"{"auths":{}}"#);
    let step = |words: &[&str], stdout: &str, stderr: &str, code: i32| {
        let result = home.docker(&[&["context"], words].concat());
        assert_eq!(
            (result.stdout.as_str(), result.stderr.as_str(), result.code),
            (stdout, stderr, Some(code)),
            "{words:?}"
        );
    };
    let default = "Current DOCKER_HOST based configuration";
    let row = |name: &str, description: &str, host: &str| format!("{name:<12}{description:<42}{host:<37}\n");
    let title = "NAME        DESCRIPTION                               DOCKER ENDPOINT                      ERROR\n";
    let own = "unix:///run/hyperbox/hyperbox.sock";
    step(&["show"], "default\n", "", 0);
    let host = "host=unix:///run/x.sock";
    step(
        &["create", "box", "--description", "A box", "--docker", host],
        "box\n",
        "Successfully created context \"box\"\n",
        0,
    );
    step(
        &["create", "box", "--docker", host],
        "",
        "context \"box\" already exists\n",
        1,
    );
    let list = [
        title,
        &row("box", "A box", "unix:///run/x.sock"),
        &row("default *", default, own),
    ]
    .concat();
    step(&["ls"], &list, "", 0);
    step(&["use", "box"], "box\n", "Current context is now \"box\"\n", 0);
    step(&["show"], "box\n", "", 0);
    step(&["ls", "-q"], "box\ndefault\n", "", 0);
    step(
        &[
            "inspect",
            "--format",
            "{{.Name}} {{.Endpoints.docker.Host}} {{.Metadata.Description}}",
        ],
        "box unix:///run/x.sock A box\n",
        "",
        0,
    );
    step(
        &["rm", "box"],
        "",
        "context \"box\" is in use, set -f flag to force remove\n",
        1,
    );
    let copy = "Successfully created context \"copy\"\n";
    step(&["create", "copy", "--from", "box"], "copy\n", copy, 0);
    step(
        &["use", "default"],
        "default\n",
        "Current context is now \"default\"\n",
        0,
    );
    step(
        &["rm", "box", "copy", "nosuch"],
        "box\ncopy\n",
        "context \"nosuch\" does not exist\n",
        1,
    );
    let missing = home.docker(&["--context", "nosuch", "ps"]);
    assert!(
        missing
            .stderr
            .starts_with("context \"nosuch\": context not found: open /"),
        "{missing:?}"
    );
}

#[test]
fn a_broken_configuration_is_a_warning() {
    let home = Home::new("{");
    let daemon = Daemon::start(vec![answer("200 OK", "[]")]);
    let result = home.docker(&["--host", daemon.address(), "ps", "-q"]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert!(
        result.stderr.starts_with("WARNING: Error parsing config file ("),
        "{result:?}"
    );
}

#[test]
fn errors_are_shown_as_docker_shows_them() {
    let home = Home::new("{}");
    let usage = |command: &str| format!("Usage:  docker {command} [OPTIONS] ");
    for (words, code, expected) in [
        (&["run"][..], 1, "docker: 'docker run' requires at least 1 argument\n\n".to_owned() + &usage("run")),
        (&["run", "--bogus", "x"], 125, "unknown flag: --bogus\n\n".to_owned() + &usage("run")),
        (
            &["run", "--memory", "x", "y"],
            125,
            "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'\n\n".to_owned() + &usage("run"),
        ),
        (
            &["run", "--rm", "--restart", "always", "x"],
            125,
            "docker: conflicting options: cannot specify both --restart and --rm\n\nRun 'docker run --help' for more \
             information\n"
                .to_owned(),
        ),
        (
            &["create", "--rm", "--restart", "always", "x"],
            125,
            "docker: conflicting options: cannot specify both --restart and --rm\n\nRun 'docker create --help' for more \
             information\n"
                .to_owned(),
        ),
        (
            &["container", "nosuch"],
            1,
            "docker: unknown command: docker container nosuch\n\nUsage:  docker container\n\nRun 'docker container --help'"
                .to_owned(),
        ),
        (&["load", "-i", "/nosuch"], 1, "open /nosuch: no such file or directory\n".to_owned()),
        (
            &["pull", "A B"],
            1,
            "invalid reference format: repository name (library/A B) must be lowercase\n".to_owned(),
        ),
        (
            &["tag", "x", "A:b"],
            1,
            "Error parsing reference: \"A:b\" is not a valid repository/tag: invalid reference format: repository name \
             (library/A) must be lowercase\n"
                .to_owned(),
        ),
    ] {
        let result = home.docker(words);
        assert_eq!(result.code, Some(code), "{result:?}");
        assert!(result.stderr.starts_with(&expected), "{words:?}: {result:?}");
    }
}

#[test]
fn contexts_travel_in_archives() {
    let home = Home::new("{}");
    let ok = |words: &[&str]| {
        let result = home.docker(words);
        assert_eq!(result.code, Some(0), "{words:?}: {result:?}");
        result
    };
    let archive = home.directory.path().join("one.tar").display().to_string();
    let made = ok(&["context", "create", "one", "--docker", "host=unix:///run/x.sock"]);
    assert_eq!(made.stdout, "one\n");
    let updated = ok(&["context", "update", "one", "--description", "text"]);
    assert_eq!(updated.stderr, "Successfully updated context \"one\"\n");
    let exported = ok(&["context", "export", "one", archive.as_str()]);
    assert_eq!(exported.stderr, format!("Written file \"{archive}\"\n"));
    let again = home.docker(&["context", "export", "one", archive.as_str()]);
    assert_eq!(again.stderr, format!("open {archive}: file exists\n"));
    let imported = ok(&["context", "import", "two", archive.as_str()]);
    assert_eq!(imported.stderr, "Successfully imported context \"two\"\n");
    let format = "{{.Metadata.Description}} {{.Endpoints.docker.Host}}";
    let shown = ok(&["context", "inspect", "--format", format, "two"]);
    assert_eq!(shown.stdout, "text unix:///run/x.sock\n");
    let taken = home.docker(&["context", "import", "two", archive.as_str()]);
    assert_eq!(taken.stderr, "context \"two\" already exists\n");
    let reserved = home.docker(&["context", "update", "default"]);
    assert_eq!(reserved.stderr, "\"default\" is a reserved context name\n");
}
