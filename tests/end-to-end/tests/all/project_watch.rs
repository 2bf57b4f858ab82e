// SPDX-License-Identifier: MIT
//! `hb up --watch` in the foreground: output with names, files that are copied, removed and built in, and an end by Ctrl-C.

use std::fs::{self, File};
use std::process::{Child, Command};

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::project_folder::{Folder, nothing_is_left};

const SITE: &str = r#"
services:
  web:
    build:
      context: .
      dockerfile_inline: |
        FROM starter:latest
        COPY pages /www
        COPY version /version
    command: [sh, -c, "echo serving; trap 'echo ending; exit 0' TERM; while :; do sleep 0.1; done"]
    develop:
      watch:
        - {path: pages, action: sync, target: /www, ignore: ["*.tmp"]}
        - {path: version, action: rebuild}
"#;

/// A client in the foreground, and what it writes.
pub(crate) struct Foreground {
    client: Child,
    output: std::path::PathBuf,
}

impl Foreground {
    pub(crate) fn start(environment: &TestEnvironment, folder: &Folder, words: &[&str]) -> Self {
        let output = environment.path("output");
        let file = File::create(&output).unwrap();
        let mut command = folder.command(environment, words);
        command.stderr(file.try_clone().unwrap()).stdout(file);
        Self {
            client: command.spawn().unwrap(),
            output,
        }
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    #[track_caller]
    pub(crate) fn says(&self, line: &str) {
        wait_for("a line", || match self.text() {
            text if text.lines().any(|known| known == line) => Ok(()),
            text => Err(format!("{line:?} is not in\n{text}")),
        });
    }

    /// Presses Ctrl-C and returns the exit code.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = self.client.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
        let status = self.client.wait().unwrap();
        (status.code(), self.text())
    }
}

#[test]
fn privileged_project_files_are_watched() {
    let environment = TestEnvironment::with_starter();
    let site = Folder::new(&environment, "site", SITE);
    let pages = environment.path("projects").join("site/pages");
    fs::create_dir(&pages).unwrap();
    fs::write(pages.join("index"), "first").unwrap();
    site.write("version", "one");
    let foreground = Foreground::start(&environment, &site, &["up", "--watch"]);
    foreground.says("web-1  | serving");
    foreground.says("watching files of web");
    let read = |path: &str| site.hb(&environment, &["project", "exec", "-T", "web", "cat", path]);
    let shows = |path: &str, text: &str| {
        wait_for("the file in the container", || match read(path) {
            output if output.stdout.trim() == text => Ok(()),
            output => Err(format!("{path}: {output}")),
        });
    };
    shows("/www/index", "first");
    fs::write(pages.join("a.tmp"), "ignored").unwrap();
    fs::write(pages.join("index"), "second").unwrap();
    fs::create_dir(pages.join("new")).unwrap();
    fs::write(pages.join("new/page"), "third").unwrap();
    shows("/www/index", "second");
    shows("/www/new/page", "third");
    assert_ne!(read("/www/a.tmp").code, 0, "it is ignored");
    fs::remove_dir_all(pages.join("new")).unwrap();
    wait_for("the file to go", || match read("/www/new/page").code {
        0 => Err("it is there".to_owned()),
        _ => Ok(()),
    });
    let before = site.ids(&environment, "web");
    site.write("version", "two");
    foreground.says("web: built and started anew");
    shows("/version", "two");
    assert_ne!(site.ids(&environment, "web"), before);

    let (code, text) = foreground.interrupt();
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("web-1  | ending\n"), "{text}");
    assert!(
        text.ends_with("web-1 exited with code 0\n") || text.contains("stop site-web-1"),
        "{text}"
    );
    assert_eq!(site.containers(&environment, "web")[0]["state"], "exited");
    environment.hb(["project", "remove", "site"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_in_the_foreground_ends_with_its_container() {
    let environment = TestEnvironment::with_starter();
    let compose = "services:\n  job: {image: 'starter:latest', command: [sh, -c, 'echo done; exit 3']}\n  \
        web: {image: 'starter:latest', command: [sleep, '6000'], stop_signal: KILL}\n";
    let jobs = Folder::new(&environment, "jobs", compose);
    let ended = jobs.hb(&environment, &["up", "--abort-on-container-exit"]);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stdout.contains("job-1  | done\n"), "{ended}");
    assert_eq!(jobs.containers(&environment, "web")[0]["state"], "exited");
    let only = jobs.hb(&environment, &["up", "--no-log-prefix", "job"]);
    assert_eq!(only.code, 0, "{only}");
    // Of a run that is over at once its beginning is known by the second only: the line before it may be shown again.
    assert!(only.stdout.ends_with("done\njob-1 exited with code 3\n"), "{only}");
    environment.hb(["project", "remove", "jobs"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_in_the_foreground_ends_with_the_daemon() {
    let mut environment = TestEnvironment::with_starter();
    let compose =
        "services: {web: {image: 'starter:latest', command: [sh, -c, 'echo up; sleep 6000'], stop_signal: KILL}}\n";
    let site = Folder::new(&environment, "site", compose);
    let mut foreground = Foreground::start(&environment, &site, &["up"]);
    foreground.says("web-1  | up");
    // The run itself is over by then.
    wait_for("the run to end", || match foreground.text() {
        text if text.contains("1 started in") => Ok(()),
        text => Err(text),
    });
    environment.stop_daemon();
    let status = foreground.client.wait().unwrap();
    let text = foreground.text();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("lost the connection to the daemon"), "{text}");
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(site.containers(&environment, "web")[0]["state"], "running");
    site.hb(&environment, &["down"]).succeeds();
    environment.hb(["project", "remove", "site"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_that_cannot_be_watched_is_not_begun() {
    let environment = TestEnvironment::with_starter();
    let compose = "services: {web: {image: 'starter:latest', command: [sleep, '6000']}}\n";
    let site = Folder::new(&environment, "site", compose);
    let refused = site.hb(&environment, &["up", "--watch"]).exits_with(1);
    let _why = refused.complains("nothing is to be watched");
    assert_eq!(environment.container_ids(), Vec::<String>::new());
    environment.finish();
}
