// SPDX-License-Identifier: MIT
//! Registries that misbehave: a clear error that names image and cause, a retry where it makes sense, nothing unverified kept.

use std::time::Duration;

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::images::{Layout, LayoutOptions, starter};
use hyperbox_testkit::registry::{Fault, FaultyRegistry};

struct Setting {
    environment: TestEnvironment,
    registry: FaultyRegistry,
    layout: Layout,
    image: String,
}

fn setting() -> Setting {
    let environment = TestEnvironment::start();
    let registry = environment.faulty_registry();
    let layout = environment.layout(&starter(), LayoutOptions::default());
    let image = registry.add("library/faulty:1", &layout);
    Setting {
        environment,
        registry,
        layout,
        image,
    }
}

impl Setting {
    /// Requires that the pull fails with a sentence that names the image, that nothing is kept, and that it succeeds once the
    /// registry behaves.
    #[track_caller]
    fn fails(self, part: &str, fault: Fault, cause: &str) {
        self.registry.misbehave(part, usize::MAX, fault);
        let output = self.environment.hb(["pull", &self.image]).exits_with(1);
        // Docker's whole sentence for credentials that a registry does not take is this one.
        let refused = output.stderr.contains("unauthorized: authentication required");
        assert!(
            refused || output.stderr.contains("faulty"),
            "the image is not named in {output}"
        );
        assert!(
            output.stderr.to_lowercase().contains(cause),
            "{cause:?} is not in {output}"
        );
        assert!(output.stderr.trim().lines().count() <= 4, "{output}");
        assert_eq!(self.environment.hb(["images", "-q"]).succeeds(), "");
        self.registry.behave();
        self.recovers();
    }

    /// Requires that the pull succeeds although the registry misbehaves some times.
    #[track_caller]
    fn overcomes(self, part: &str, times: usize, fault: Fault) {
        self.registry.misbehave(part, times, fault);
        self.recovers();
    }

    #[track_caller]
    fn recovers(self) {
        self.environment.hb(["pull", &self.image]).succeeds();
        assert_eq!(
            self.environment
                .hb(["run", "--rm", &self.image, "echo", "well"])
                .succeeds(),
            "well"
        );
        self.environment.finish();
    }
}

fn status(code: u16) -> Fault {
    let (name, message) = match code {
        401 => ("UNAUTHORIZED", "authentication required"),
        403 => ("DENIED", "requested access to the resource is denied"),
        404 => ("MANIFEST_UNKNOWN", "manifest unknown"),
        _ => ("UNKNOWN", "unknown error"),
    };
    let body = format!(r#"{{"errors":[{{"code":"{name}","message":"{message}"}}]}}"#);
    Fault::Status(code, Vec::new(), body)
}

#[test]
fn privileged_wrong_bytes_are_never_kept() {
    setting().fails("/blobs/", Fault::WrongBytes, "does not match");
}

#[test]
fn privileged_a_wrong_manifest_is_refused() {
    setting().fails("/manifests/", Fault::WrongBytes, "manifest");
}

#[test]
fn privileged_a_truncated_blob_is_resumed() {
    setting().overcomes("/blobs/", 2, Fault::Truncate(1000));
}

#[test]
fn privileged_a_blob_that_is_always_truncated_is_given_up() {
    let setting = setting();
    let layer = setting.layout.layers[0].digest.hex().to_owned();
    setting.fails(&layer, Fault::Truncate(0), "");
}

#[test]
fn privileged_missing_and_forbidden() {
    setting().fails("/manifests/", status(404), "not found");
}

#[test]
fn privileged_unauthorized() {
    setting().fails("/v2/", status(401), "auth");
}

#[test]
fn privileged_denied() {
    setting().fails("/manifests/", status(403), "denied");
}

#[test]
fn privileged_rate_limits_are_waited_for() {
    let retry = Fault::Status(429, vec!["Retry-After: 0".to_owned()], String::new());
    setting().overcomes("/manifests/", 2, retry);
}

#[test]
fn privileged_server_errors_are_retried() {
    setting().overcomes("/blobs/", 2, status(503));
}

#[test]
fn privileged_dropped_connections_are_retried() {
    setting().overcomes("/blobs/", 2, Fault::Drop);
}

#[test]
fn privileged_server_errors_without_end_are_given_up() {
    setting().fails("/manifests/", Fault::Status(500, Vec::new(), String::new()), "500");
}

#[test]
fn privileged_redirect_loops_end() {
    setting().fails("/blobs/", Fault::RedirectLoop, "redirect");
}

#[test]
fn privileged_huge_manifests_are_refused() {
    setting().fails("/manifests/", Fault::Huge(64 << 20), "manifest");
}

#[test]
fn privileged_slow_connections_are_waited_for() {
    let setting = setting();
    setting.overcomes("/blobs/", 1, Fault::Slow(100_000, Duration::from_millis(20)));
}

#[test]
fn privileged_an_unreachable_registry_is_named() {
    let environment = TestEnvironment::start();
    let output = environment.hb(["pull", "127.0.0.1:1/nothing/here:1"]).exits_with(1);
    let output = output.complains("127.0.0.1:1");
    assert!(
        output.stderr.contains("refused") || output.stderr.contains("connect"),
        "{output}"
    );
    environment.finish();
}

#[test]
fn privileged_foreign_media_types_are_refused_clearly() {
    let setting = setting();
    let body = r#"{"schemaVersion":1,"name":"old","tag":"1","fsLayers":[]}"#.to_owned();
    let headers = vec!["Content-Type: application/vnd.docker.distribution.manifest.v1+json".to_owned()];
    setting.fails("/manifests/1", Fault::Status(200, headers, body), "manifest");
}

#[test]
fn privileged_an_interrupted_pull_leaves_nothing_half_made() {
    let setting = setting();
    setting
        .registry
        .misbehave("/blobs/", 1, Fault::Slow(1000, Duration::from_millis(50)));
    let mut pull = setting
        .environment
        .hb_command(["pull", &setting.image])
        .spawn()
        .unwrap();
    hyperbox_testkit::wait_for("the blob to be asked for", || {
        let asked = setting
            .registry
            .seen()
            .iter()
            .any(|request| request.path.contains("/blobs/"));
        if asked { Ok(()) } else { Err("not yet".to_owned()) }
    });
    pull.kill().unwrap();
    pull.wait().unwrap();
    assert_eq!(setting.environment.hb(["images", "-q"]).succeeds(), "");
    setting.recovers();
}
