// SPDX-License-Identifier: MIT
//! Steps that another machine has done, by Docker's client: two daemons that have nothing in common but a registry.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::registry::RegistryAccess;

use crate::buildkit_clients::Client;

/// Makes a port of one machine's loopback interface that of another's, as long as connections come.
fn forward(from: &TestEnvironment, to: &TestEnvironment, port: u16) {
    let listener = from.network().enter(|| TcpListener::bind(("127.0.0.1", port))).unwrap();
    let far = to.network().holder();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let connect = || TcpStream::connect(("127.0.0.1", port));
            // A registry that is gone ends the test.
            let (Ok(near), Ok(far)) = (near, hyperbox_testkit::environment::enter_network_of(far, connect)) else {
                return;
            };
            let pass = |mut source: TcpStream, mut target: TcpStream| {
                std::thread::spawn(move || {
                    // Either side may end when it has what it wants.
                    drop(io::copy(&mut source, &mut target));
                    drop(target.shutdown(Shutdown::Write));
                });
            };
            pass(near.try_clone().unwrap(), far.try_clone().unwrap());
            pass(far, near);
        }
    });
}

#[test]
fn docker_cli_privileged_steps_of_another_machine_are_not_done_again() {
    let (one, other) = (Client::new(), Client::new());
    let registry = one.environment.registry(RegistryAccess::Anyone);
    let name = registry.image("app:1");
    let port = registry.host().rsplit(':').next().unwrap().parse().unwrap();
    forward(&other.environment, &one.environment, port);
    let dockerfile =
        format!("FROM {STARTER}\nCOPY x /x\nRUN cat /proc/sys/kernel/random/uuid > /made\nRUN cat /made > /again\n");
    let files = [("Dockerfile", dockerfile.as_str()), ("x", "content\n")];
    let context = one.lay_out("c", &files);
    one.build(&["--cache-to", "type=inline", "--push", "-t", &name, &context])
        .succeeds();
    let made = one.docker(&["run", "--rm", &name, "cat", "/made"]).succeeds();
    // As a build argument, as devcontainers say it.
    let inline = ["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-q", &context];
    one.docker(&[&["buildx", "build"][..], &inline].concat()).succeeds();

    let context = other.lay_out("c", &files);
    let missing = registry.image("nosuch:1");
    let built = other.build(&[
        "--cache-from",
        &missing,
        "--cache-from",
        &name,
        "-t",
        "taken:1",
        &context,
    ]);
    let course = built.stderr.clone();
    built.succeeds();
    for step in ["[2/4] COPY x /x", "[3/4] RUN cat /proc", "[4/4] RUN cat /made"] {
        let (_, rest) = course.split_once(step).unwrap_or_else(|| panic!("{step}: {course}"));
        let end = rest.lines().nth(1).unwrap_or_default();
        assert!(end.ends_with(" CACHED"), "{step}: {course}");
    }
    assert!(
        course.contains(&format!("importing cache manifest from {name}")),
        "{course}"
    );
    let taken = other.docker(&["run", "--rm", "taken:1", "cat", "/made"]).succeeds();
    assert_eq!(taken, made);
    let names = other.docker(&["images", "--format", "{{.Repository}}"]).succeeds();
    assert!(!names.contains("app"), "{names}");
    drop(registry);
    other.end(&["taken:1"]);
    one.end(&[&name]);
}
