// SPDX-License-Identifier: MIT
//! The suite that every task runtime passes.

use hyperbox_testkit::conformance::task;

use crate::bench::Bench;

#[tokio::test]
async fn privileged_shims_conform() {
    let bench = Bench::new();
    task::run(&bench).await;
}

#[tokio::test]
async fn privileged_shims_with_crun_conform() {
    let bench = Bench::with_crun();
    task::run(&bench).await;
}
