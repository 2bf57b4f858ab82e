// SPDX-License-Identifier: MIT
//! A project with a real database: Debian's Redis, a job and workers that write into it, and a web server that shows what is in it. What is
//! acknowledged by the database is there whatever happens around it.
//!
//! The names begin with `docker_cli_`: the packages come with Docker's clients (`cargo xtask setup`).

use docker_compat::images::{REDIS, redis};
use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::project_folder::{Folder, nothing_is_left};
use crate::project_watch::Foreground;

/// Each `up` runs the job, which counts it; the page tells the count. The database writes each change to its volume before it answers.
const BLOG: &str = r#"
services:
  db:
    image: redis:1
    command: [redis-server, --appendonly, "yes", --appendfsync, always, --save, "", --protected-mode, "no"]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, redis-cli, ping], interval: 100ms, retries: 100}
    networks: [back]
  job:
    image: redis:1
    command: [redis-cli, -h, db, INCR, visits]
    depends_on: {db: {condition: service_healthy}}
    networks: [back]
  web:
    image: redis:1
    command: [sh, -c, "mkdir /www; echo page of $$WHO $$(redis-cli -h db GET visits) > /www/index.html; exec httpd -f -p 80 -h /www"]
    stop_signal: KILL
    environment: {WHO: nobody}
    ports: ["80"]
    depends_on: {job: {condition: service_completed_successfully}}
    networks: [front, back]
    develop: {watch: [{path: pages, action: sync, target: /www}]}
  worker:
    image: redis:1
    command: [sh, -c, "while redis-cli -h db INCR work; do sleep 0.1; done"]
    stop_signal: KILL
    restart: always
    scale: 2
    depends_on: {db: {condition: service_healthy}}
    networks: [back]
networks: {front: {}, back: {}}
volumes: {data: {}}
"#;

fn blog(environment: &TestEnvironment) -> Folder {
    environment.load(&redis(), REDIS);
    Folder::new(environment, "blog", BLOG)
}

/// Asks the database for a number.
#[track_caller]
fn number(environment: &TestEnvironment, blog: &Folder, key: &str) -> u64 {
    let answer = blog.hb(environment, &["project", "exec", "-T", "db", "redis-cli", "GET", key]);
    let answer = answer.succeeds();
    answer.trim().parse().unwrap_or_else(|_| panic!("{key} is {answer:?}"))
}

/// The workers work: the database counts what they do.
#[track_caller]
fn works(environment: &TestEnvironment, blog: &Folder) -> u64 {
    let before = number(environment, blog, "work");
    wait_for("the workers to work", || match number(environment, blog, "work") {
        now if now > before => Ok(now),
        now => Err(format!("still {now}")),
    })
}

#[test]
fn docker_cli_privileged_project_with_a_database_lives() {
    let environment = TestEnvironment::start();
    let blog = blog(&environment);
    let ids = |service: &str| blog.ids(&environment, service);
    blog.hb(&environment, &["up", "-d"]).succeeds();
    blog.is_up(&environment, 2);
    assert_eq!(blog.page(&environment), "page of nobody 1");
    let work = works(&environment, &blog);

    let (database, workers) = (ids("db"), ids("worker"));
    blog.write("compose.yaml", &BLOG.replace("WHO: nobody", "WHO: somebody"));
    blog.hb(&environment, &["up", "-d", "--scale", "worker=3"]).succeeds();
    blog.is_up(&environment, 3);
    assert_eq!(blog.page(&environment), "page of somebody 2");
    assert_eq!(
        (ids("db"), &ids("worker")[..2]),
        (database, &workers[..]),
        "only the page is another one"
    );

    // It comes down with its database, and up with all that was in it.
    blog.hb(&environment, &["down"]).succeeds();
    assert_eq!(environment.container_ids().len(), 0);
    blog.hb(&environment, &["up", "-d"]).succeeds();
    blog.is_up(&environment, 2);
    assert_eq!(blog.page(&environment), "page of somebody 3");
    assert!(works(&environment, &blog) > work);

    watched(&environment, &blog);
    blog.hb(&environment, &["down", "-v"]).succeeds();
    // Anonymous volumes of containers that were brought down without -v stay, as with Docker Compose.
    let volumes = environment.hb(["volume", "ls", "-q"]).succeeds();
    assert!(!volumes.contains("blog"), "{volumes}");
    environment.hb(["project", "remove", "blog"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

/// Files are copied as they change, and the project is brought up as its Compose file changes.
fn watched(environment: &TestEnvironment, blog: &Folder) {
    let pages = environment.path("projects").join("blog/pages");
    std::fs::create_dir(&pages).unwrap();
    let foreground = Foreground::start(environment, blog, &["watch"]);
    foreground.says("watching files of web");
    std::fs::write(pages.join("index.html"), "page of the watched\n").unwrap();
    shows(environment, blog, "page of the watched");
    let before = (blog.ids(environment, "web"), blog.ids(environment, "db"));
    blog.write("compose.yaml", &BLOG.replace("WHO: nobody", "WHO: ["));
    wait_for("the mistake to be told", || match foreground.text() {
        text if text.contains("compose.yaml:") => Ok(()),
        text => Err(text),
    });
    blog.write("compose.yaml", &BLOG.replace("WHO: nobody", "WHO: everybody"));
    foreground.says("the project's files changed, reading them again");
    wait_for("the new file to be up", || match foreground.text() {
        text if text.contains("\nblog: 1 created, ") => Ok(()),
        text => Err(text),
    });
    let page = blog.page(environment);
    assert!(page.starts_with("page of everybody "), "{page}");
    let after = (blog.ids(environment, "web"), blog.ids(environment, "db"));
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
    // Nothing is to be done at its end: the signal ends it.
    let (code, text) = foreground.interrupt();
    assert_eq!(code, None, "{text}");
    blog.is_up(environment, 2);
}

#[track_caller]
fn shows(environment: &TestEnvironment, blog: &Folder, page: &str) {
    wait_for("the page", || match blog.page(environment) {
        found if found == page => Ok(()),
        found => Err(found),
    });
}

#[test]
fn docker_cli_privileged_project_with_a_database_survives_the_daemon() {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some("start.after-launch:1".to_owned()),
        ..DaemonOptions::default()
    });
    let blog = blog(&environment);
    let cut_off = blog.hb(&environment, &["up", "-d"]);
    assert_ne!(cut_off.code, 0, "{cut_off}");
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    // A job that runs while there is no daemon finds nobody's name and fails, which a run that waits for it tells; the next starts it again.
    let up = |environment: &TestEnvironment| {
        wait_for("the project to be up", || match blog.hb(environment, &["up", "-d"]) {
            again if again.code == 0 => Ok(()),
            again => Err(again.to_string()),
        });
        blog.is_up(environment, 2);
    };
    up(&environment);
    let (work, database) = (works(&environment, &blog), blog.ids(&environment, "db"));

    // It dies while all runs: nobody notices, and who asks afterwards finds what there was.
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    blog.is_up(&environment, 2);
    assert!(works(&environment, &blog) > work);
    assert_eq!(blog.ids(&environment, "db"), database);
    up(&environment);
    assert_eq!(blog.ids(&environment, "db"), database, "nothing has changed");
    blog.hb(&environment, &["down", "-v"]).succeeds();
    environment.hb(["project", "remove", "blog"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}
