// SPDX-License-Identifier: MIT
//! Every fake passes the conformance suite of its seam.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::seam::{LaunchTask, TaskRuntime};
use hyperbox_types::shim::{LogTarget, RuntimeChoice, Stdio, UserSpec};
use hyperbox_types::{ContainerId, RootMount};

use super::{
    FakeGroups, FakeNames, FakeNetwork, FakeSnapshotter, FakeTaskRuntime, FakeVolumes, MemoryContent, MemoryRecords,
    Script,
};
use crate::conformance;
use crate::conformance::names::{Questions, Subject};
use crate::conformance::task::{Behaviour, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn content_conforms() {
    conformance::content::run(|| Arc::new(MemoryContent::new())).await;
}

#[test]
fn groups_conform() {
    conformance::groups::check_all(&FakeGroups::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn network_conforms() {
    conformance::network::check_all(|| Arc::new(FakeNetwork::new())).await;
}

#[async_trait]
impl Questions for FakeNames {
    async fn resolve(&self, container: &ContainerId, _server: SocketAddr, name: &str) -> Vec<IpAddr> {
        Self::resolve(self, container, name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_conform() {
    conformance::names::check_all(|| {
        let names = FakeNames::default();
        Subject {
            names: Arc::new(names.clone()),
            questions: Box::new(names),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_conform() {
    let ports = super::FakePorts::default();
    conformance::ports::check_all(|| Arc::new(ports.clone())).await;
}

#[test]
fn records_conform() {
    conformance::records::run(|| Arc::new(MemoryRecords::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshotter_conforms() {
    conformance::snapshot::run(|| Arc::new(FakeSnapshotter::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_conform() {
    conformance::volume::run(|| Arc::new(FakeVolumes::new())).await;
}

struct FakeBench(FakeTaskRuntime);

impl Bench for FakeBench {
    fn runtime(&self) -> &dyn TaskRuntime {
        &self.0
    }

    fn launch(&self, container: &ContainerId, behaviour: &Behaviour) -> LaunchTask {
        self.0.script_next(match behaviour {
            Behaviour::Ends { stdout, stderr, code } => Script {
                stdout: (*stdout).into(),
                stderr: (*stderr).into(),
                exit: Some(*code),
            },
            Behaviour::Waits => Script::default(),
        });
        LaunchTask {
            container: container.clone(),
            spec: "{}".to_owned(),
            seccomp: None,
            rootfs: RootMount::Bind {
                source: "/".into(),
                read_only: true,
            },
            user: UserSpec::default(),
            stdio: Stdio {
                stdin: true,
                stdin_once: false,
                terminal: None,
            },
            log: LogTarget::JsonFile {
                path: format!("/logs/{container}").into(),
                max_bytes: None,
                max_files: 1,
                compress: false,
                attributes: Default::default(),
            },
            runtime: RuntimeChoice::Embedded,
            init: false,
            network_namespace: None,
            attached: Vec::new(),
            files: Vec::new(),
            trace: None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn task_runtime_conforms() {
    conformance::task::run(&FakeBench(FakeTaskRuntime::new())).await;
}
