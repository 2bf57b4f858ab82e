// SPDX-License-Identifier: MIT
//! bollard, the Rust client of Docker's API, against hyperboxd: a smoke of each area by typed answers.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions, StopContainerOptionsBuilder,
    TagImageOptionsBuilder, WaitContainerOptions,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyperbox_testkit::environment::{STARTER, TestEnvironment};

/// Seconds that one request may take.
const PATIENCE: u64 = 60;

async fn connect(environment: &TestEnvironment) -> Docker {
    let docker = Docker::connect_with_socket(&environment.host(), PATIENCE, bollard::API_DEFAULT_VERSION).unwrap();
    docker.negotiate_version().await.unwrap()
}

async fn create(docker: &Docker, name: &str, command: &[&str]) {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let body = ContainerCreateBody {
        image: Some(STARTER.to_owned()),
        cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        ..ContainerCreateBody::default()
    };
    docker.create_container(Some(options), body).await.unwrap();
}

#[tokio::test]
async fn privileged_bollard_containers() {
    let environment = TestEnvironment::with_starter();
    let docker = connect(&environment).await;
    create(&docker, "job", &["sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    docker.start_container("job", None).await.unwrap();
    let ended = docker
        .wait_container("job", None::<WaitContainerOptions>)
        .next()
        .await
        .unwrap();
    // bollard makes an error of an exit code that is not 0.
    let code = match ended {
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code, 3);
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let logs: Vec<LogOutput> = docker.logs("job", Some(options)).try_collect().await.unwrap();
    let mut lines: Vec<String> = logs.iter().map(ToString::to_string).collect();
    lines.sort();
    assert_eq!(lines, ["err\n", "out\n"]);
    let inspected = docker.inspect_container("job", None).await.unwrap();
    assert_eq!(inspected.state.unwrap().exit_code, Some(3));
    let listed = docker
        .list_containers(Some(ListContainersOptionsBuilder::default().all(true).build()))
        .await
        .unwrap();
    assert_eq!(listed[0].names.as_deref(), Some(&["/job".to_owned()][..]));
    docker.remove_container("job", None).await.unwrap();
    let missing = docker.inspect_container("job", None).await.unwrap_err();
    assert!(missing.to_string().contains("No such container: job"), "{missing}");
    environment.finish();
}

#[tokio::test]
async fn privileged_bollard_exec_and_stop() {
    let environment = TestEnvironment::with_starter();
    let docker = connect(&environment).await;
    create(&docker, "web", &["sleep", "600"]).await;
    docker.start_container("web", None).await.unwrap();
    let config = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["sh", "-c", "echo inside; exit 4"]),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec("web", config).await.unwrap();
    let StartExecResults::Attached { output, .. } =
        docker.start_exec(&exec.id, None::<StartExecOptions>).await.unwrap()
    else {
        panic!("the exec is not attached");
    };
    let output: Vec<LogOutput> = output.try_collect().await.unwrap();
    assert_eq!(output.iter().map(ToString::to_string).collect::<String>(), "inside\n");
    assert_eq!(docker.inspect_exec(&exec.id).await.unwrap().exit_code, Some(4));
    docker.pause_container("web").await.unwrap();
    docker.unpause_container("web").await.unwrap();
    let options = StopContainerOptionsBuilder::default().t(0).build();
    docker.stop_container("web", Some(options)).await.unwrap();
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container("web", Some(options)).await.unwrap();
    environment.finish();
}

#[tokio::test]
async fn privileged_bollard_volumes_and_networks() {
    let environment = TestEnvironment::with_starter();
    let docker = connect(&environment).await;
    let request = VolumeCreateRequest {
        name: Some("data".to_owned()),
        ..VolumeCreateRequest::default()
    };
    assert_eq!(docker.create_volume(request).await.unwrap().name, "data");
    assert_eq!(docker.inspect_volume("data").await.unwrap().driver, "local");
    docker.remove_volume("data", None::<RemoveVolumeOptions>).await.unwrap();
    let request = NetworkCreateRequest {
        name: "net".to_owned(),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await.unwrap();
    create(&docker, "web", &["sleep", "600"]).await;
    docker.start_container("web", None).await.unwrap();
    let request = NetworkConnectRequest {
        container: "web".to_owned(),
        endpoint_config: Some(EndpointSettings::default()),
    };
    docker.connect_network("net", request).await.unwrap();
    let inspected = docker.inspect_container("web", None).await.unwrap();
    let networks = inspected.network_settings.unwrap().networks.unwrap();
    assert!(
        networks.contains_key("net") && networks.contains_key("bridge"),
        "{networks:?}"
    );
    let request = NetworkDisconnectRequest {
        container: "web".to_owned(),
        ..NetworkDisconnectRequest::default()
    };
    docker.disconnect_network("net", request).await.unwrap();
    docker.remove_network("net").await.unwrap();
    environment.finish();
}

#[tokio::test]
async fn privileged_bollard_images_and_system() {
    let environment = TestEnvironment::with_starter();
    let docker = connect(&environment).await;
    assert_eq!(docker.ping().await.unwrap(), "OK");
    assert_eq!(docker.version().await.unwrap().os.as_deref(), Some("linux"));
    assert_eq!(docker.info().await.unwrap().images, Some(1));
    let mut events = docker.events(Some(EventsOptionsBuilder::default().build()));
    let first = tokio::spawn(async move { events.next().await.unwrap().unwrap() });
    let options = TagImageOptionsBuilder::default().repo("other").tag("1").build();
    // The stream may begin after the first tag: tags are given until an event has come.
    while !first.is_finished() {
        docker.tag_image(STARTER, Some(options.clone())).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(first.await.unwrap().action.as_deref(), Some("tag"));
    let image = docker.inspect_image("other:1").await.unwrap();
    assert_eq!(image.repo_tags.unwrap().len(), 2);
    assert_eq!(docker.image_history("other:1").await.unwrap().len(), 1);
    docker
        .remove_image("other:1", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    environment.finish();
}
