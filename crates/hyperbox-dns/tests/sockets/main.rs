// SPDX-License-Identifier: MIT
//! The service at real sockets: on the loopback link of whoever runs the tests, and, as root, in network namespaces.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod connections;
mod containers;
mod forwarding;
mod local;
mod rate;
mod served;
mod upstream;

use std::sync::Arc;

use hyperbox_testkit::conformance::names::{BySockets, Subject, check_all};

use crate::served::service;

#[tokio::test(flavor = "multi_thread")]
async fn the_service_conforms() {
    check_all(|| Subject {
        names: Arc::new(service()),
        questions: Box::new(BySockets),
    })
    .await;
}
