// SPDX-License-Identifier: MIT
//! A project's folder, what is done in it, and the project that the tests bring up: a database, a job that needs it, a web server that
//! needs the job, and workers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hyperbox_testkit::environment::{Output, TestEnvironment};
use hyperbox_testkit::wait_for;
use serde_json::Value;

/// Where all routes of projects are.
pub(crate) const PROJECTS: &str = "/hyperbox/v1/projects";

/// Four services. The first processes have no handlers, so they are ended the hard way.
pub(crate) const SHOP: &str = r#"
services:
  db:
    image: starter:latest
    command: [sh, -c, "echo visited >> /data/visits; touch /tmp/ready; exec httpd -f -p 5432 -h /data"]
    stop_signal: KILL
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 100ms, retries: 100}
    networks: [back]
  job:
    image: starter:latest
    command: [wget, -q, -O, "-", "http://db:5432/visits"]
    depends_on: {db: {condition: service_healthy}}
    networks: [back]
  web:
    image: starter:latest
    command: [sh, -c, "mkdir /www; echo page of $$WHO > /www/index.html; exec httpd -f -p 80 -h /www"]
    stop_signal: KILL
    environment: {WHO: nobody}
    ports: ["80"]
    depends_on: {job: {condition: service_completed_successfully}}
    networks: [front, back]
  worker:
    image: starter:latest
    command: [sleep, "6000"]
    stop_signal: KILL
    scale: 2
    depends_on: {db: {condition: service_healthy}}
    networks: [back]
networks: {front: {}, back: {}}
volumes: {data: {}}
"#;

/// The same with something else in the web server's environment.
pub(crate) fn shop_of(who: &str) -> String {
    SHOP.replace("WHO: nobody", &format!("WHO: {who}"))
}

/// A folder with a Compose file. Its name is the project's.
#[derive(Debug)]
pub(crate) struct Folder {
    /// The project.
    pub(crate) name: String,
    path: PathBuf,
}

impl Folder {
    /// Makes the folder.
    pub(crate) fn new(environment: &TestEnvironment, name: &str, compose: &str) -> Self {
        let path = environment.path("projects").join(name);
        fs::create_dir_all(&path).unwrap();
        let folder = Self {
            name: name.to_owned(),
            path,
        };
        folder.write("compose.yaml", compose);
        folder
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.path.join(file), text).unwrap();
    }

    /// Makes an `hb` command in the folder.
    pub(crate) fn command(&self, environment: &TestEnvironment, words: &[&str]) -> Command {
        let mut command = environment.hb_command(words);
        command.current_dir(&self.path);
        command
    }

    /// Runs `hb` in the folder.
    pub(crate) fn hb(&self, environment: &TestEnvironment, words: &[&str]) -> Output {
        Output::of(&mut self.command(environment, words))
    }

    /// Runs `docker compose` in the folder: Compose's own program, which needs no `docker` for that.
    pub(crate) fn compose(&self, environment: &TestEnvironment, words: &[&str]) -> Output {
        let program = compose_program();
        let mut command = environment.command(&program);
        command
            .env("DOCKER_HOST", environment.host())
            .args(words)
            .current_dir(&self.path);
        Output::of(&mut command)
    }

    /// Returns what the daemon says of the project.
    #[track_caller]
    pub(crate) fn status(&self, environment: &TestEnvironment) -> Value {
        let (code, body) = environment
            .api("GET", &format!("{PROJECTS}/{}", self.name), "")
            .unwrap();
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Returns the containers of a service, by number.
    #[track_caller]
    pub(crate) fn containers(&self, environment: &TestEnvironment, service: &str) -> Vec<Value> {
        let status = self.status(environment);
        let services = status["services"].as_array().unwrap();
        let found = services.iter().find(|one| one["name"] == service);
        let found = found.unwrap_or_else(|| panic!("no {service} in {status:#}"));
        found["containers"].as_array().unwrap().clone()
    }

    /// Returns the ids of the containers of a service, by number.
    #[track_caller]
    pub(crate) fn ids(&self, environment: &TestEnvironment, service: &str) -> Vec<String> {
        let containers = self.containers(environment, service);
        let ids = containers
            .iter()
            .map(|container| container["id"].as_str().unwrap().to_owned());
        ids.collect()
    }

    /// Returns the port of the host that leads to the first port of a service's first container.
    #[track_caller]
    pub(crate) fn host_port(&self, environment: &TestEnvironment, service: &str) -> u16 {
        let containers = self.containers(environment, service);
        let port = &containers[0]["ports"][0]["host_port"];
        port.as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or_else(|| panic!("no port in {containers:?}"))
    }

    /// Waits until the web server of [`SHOP`] gives its page, and returns it.
    #[track_caller]
    pub(crate) fn page(&self, environment: &TestEnvironment) -> String {
        let port = self.host_port(environment, "web");
        wait_for("the page", || fetch(environment, port))
    }

    /// Waits until all that should run runs, and nothing is there twice. The job runs again with each `up`.
    #[track_caller]
    pub(crate) fn is_up(&self, environment: &TestEnvironment, workers: usize) {
        for (service, count) in [("db", 1), ("job", 1), ("web", 1), ("worker", workers)] {
            let wanted = if service == "job" { "exited" } else { "running" };
            wait_for("the containers", || {
                let containers = self.containers(environment, service);
                let good = containers
                    .iter()
                    .filter(|container| container["state"] == wanted)
                    .count();
                if (good, containers.len()) == (count, count) {
                    return Ok(());
                }
                Err(format!("{service}: {containers:?}"))
            });
        }
        assert!(self.page(environment).starts_with("page of"));
    }
}

/// Where `cargo xtask setup` puts Compose.
pub(crate) fn compose_program() -> PathBuf {
    // The test itself is in `target/debug/deps`.
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let program = target.join("suite-tools/cli-plugins/docker-compose");
    assert!(program.exists(), "{} is missing: cargo xtask setup", program.display());
    program
}

/// Asks for the page at a port of the environment's host, in HTTP/1.0.
pub(crate) fn fetch(environment: &TestEnvironment, port: u16) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = environment.network().enter(ask).map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(format!("answered {answer:?}")),
    }
}

/// Requires that neither containers nor networks nor projects are left.
#[track_caller]
pub(crate) fn nothing_is_left(environment: &TestEnvironment) {
    assert_eq!(environment.container_ids(), [] as [String; 0]);
    let networks = environment.hb(["network", "ls", "--format", "{{.Name}}"]).succeeds();
    let mut networks: Vec<&str> = networks.lines().collect();
    networks.sort_unstable();
    assert_eq!(networks, ["bridge", "host", "none"]);
    let (code, body) = environment.api("GET", PROJECTS, "").unwrap();
    assert_eq!((code, body.trim()), (200, "[]"));
}
