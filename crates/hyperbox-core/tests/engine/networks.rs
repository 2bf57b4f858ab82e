// SPDX-License-Identifier: MIT
//! Networks: made, used, in the way of each other, left; and what a restart of the daemon finds.

use std::net::{IpAddr, Ipv4Addr};

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerSpec, EndpointWish, NetworkMode, Phase, StopOptions};
use hyperbox_core::network::NetworkSpec;
use hyperbox_core::seam::{PoolWish, PortRequest};
use hyperbox_types::{ContainerId, ErrorKind};
use tokio::runtime::Runtime;

use crate::world::{create, pull, reach, spec, task, with_app};

fn in_network(name: &str, wish: EndpointWish) -> ContainerSpec {
    ContainerSpec {
        network: NetworkMode::Named(name.to_owned()),
        networks: [(name.to_owned(), wish)].into(),
        ..spec()
    }
}

fn subnet(text: &str) -> NetworkSpec {
    let pool = PoolWish {
        subnet: text.parse().ok(),
        ..PoolWish::default()
    };
    NetworkSpec {
        pools: vec![pool],
        ..NetworkSpec::default()
    }
}

async fn started(engine: &Engine, name: &str, spec: ContainerSpec) -> ContainerId {
    let id = create(engine, name, spec).await;
    engine.containers.start(&id).await.expect("start");
    ContainerId::parse(&id).expect("id")
}

fn networks_of(engine: &Engine, reference: &str) -> Vec<String> {
    let record = engine.containers.get(reference).expect("container");
    let ids = record
        .state
        .endpoints
        .iter()
        .map(|endpoint| endpoint.network.to_string());
    let names = ids.map(|id| engine.networks.get(&id).expect("network").name.to_string());
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_the_engines_own_are_its_own() {
    let (world, engine) = with_app().await;
    let front = engine
        .networks
        .create("front", subnet("10.9.0.0/24"))
        .await
        .expect("create");
    for (name, spec, kind, text) in [
        (
            "front",
            NetworkSpec::default(),
            ErrorKind::Conflict,
            "network with name front already exists",
        ),
        (
            "",
            NetworkSpec::default(),
            ErrorKind::InvalidArgument,
            "invalid name: name is empty",
        ),
        (
            "host",
            NetworkSpec::default(),
            ErrorKind::PermissionDenied,
            "operation is not permitted on predefined host network ",
        ),
        (
            "other",
            subnet("10.9.0.0/16"),
            ErrorKind::PermissionDenied,
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
        (
            "other",
            NetworkSpec {
                driver: "nosuch".to_owned(),
                ..NetworkSpec::default()
            },
            ErrorKind::NotFound,
            "plugin \"nosuch\" not found",
        ),
        (
            "other",
            NetworkSpec {
                driver: "host".to_owned(),
                ..NetworkSpec::default()
            },
            ErrorKind::PermissionDenied,
            "only one instance of \"host\" network is allowed",
        ),
    ] {
        let refused = engine.networks.create(name, spec).await.expect_err(name);
        assert_eq!((refused.kind(), refused.message()), (kind, text));
    }
    for (name, text) in [
        ("bridge", "bridge is a pre-defined network and cannot be removed"),
        ("nosuch", "network nosuch not found"),
    ] {
        assert_eq!(engine.networks.remove(name).await.expect_err(name).message(), text);
    }
    assert_eq!(
        engine
            .networks
            .get(&front.id.as_str()[..9])
            .expect("by the beginning")
            .id,
        front.id
    );
    let again = world.engine().await;
    assert_eq!(again.networks.get("front").expect("after a restart").id, front.id);
    again.networks.remove("front").await.expect("remove");
    assert!(world.engine().await.networks.get("front").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_in_use_stays() {
    let (world, engine) = with_app().await;
    engine
        .networks
        .create("front", NetworkSpec::default())
        .await
        .expect("create");
    let id = started(&engine, "web", in_network("front", EndpointWish::default())).await;
    let refused = engine.networks.remove("front").await.expect_err("in use");
    let text = format!(
        "error while removing network: network front has active endpoints (name:\"web\" id:\"{}\")",
        id.short()
    );
    assert_eq!(
        (refused.kind(), refused.message()),
        (ErrorKind::PermissionDenied, text.as_str())
    );
    assert!(engine.networks.prune(&|_| true).await.is_empty());
    engine
        .containers
        .stop("web", StopOptions::default())
        .await
        .expect("stop");
    reach(&engine, "web", Phase::Exited).await;
    hyperbox_testkit::wait_for_async("the endpoint to go", || {
        let left = world.network.endpoints();
        std::future::ready(left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}")))
    })
    .await;
    assert_eq!(engine.networks.prune(&|_| true).await, ["front"]);
    let refused = engine.containers.start("web").await.expect_err("its network is gone");
    assert_eq!(
        refused.message(),
        "failed to set up container networking: network front not found"
    );
    assert_eq!(engine.containers.get("web").expect("web").state.exit_code, 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_know_each_other_by_name() {
    let (world, engine) = with_app().await;
    engine
        .networks
        .create("front", subnet("10.9.0.0/24"))
        .await
        .expect("create");
    let wish = EndpointWish {
        ipv4: Some(Ipv4Addr::new(10, 9, 0, 77)),
        aliases: vec!["database".to_owned()],
        ..EndpointWish::default()
    };
    let db = started(&engine, "db", in_network("front", wish)).await;
    let links = EndpointWish {
        links: vec![("db".to_owned(), "store".to_owned())],
        ..EndpointWish::default()
    };
    let web = started(&engine, "web", in_network("front", links)).await;
    let alone = started(&engine, "alone", spec()).await;
    let address: IpAddr = [10, 9, 0, 77].into();
    for name in ["db", "DB", "database", "store", db.short()] {
        assert_eq!(world.names.resolve(&web, name), [address], "{name}");
    }
    assert_eq!(
        world.names.resolve(&db, "store"),
        Vec::<IpAddr>::new(),
        "a link is private"
    );
    assert_eq!(world.names.resolve(&alone, "db"), Vec::<IpAddr>::new());
    let gateway: IpAddr = [10, 9, 0, 1].into();
    assert_eq!(world.names.resolve(&web, "host.docker.internal"), [gateway]);
    let launched = world.tasks.launched();
    let launched = launched.iter().find(|task| task.container == web).expect("launched");
    let resolver = launched.files.iter().find(|(path, _)| path.ends_with("resolv.conf"));
    assert!(resolver.expect("resolv.conf").1.contains("\nnameserver 127.0.0.11\n"));

    let again = world.engine().await;
    assert_eq!(world.names.resolve(&web, "database"), [address], "after a restart");
    task(&world, &again, "db").exit(0);
    reach(&again, "db", Phase::Exited).await;
    hyperbox_testkit::wait_for_async("the name to go", || {
        let left = world.names.resolve(&web, "db");
        std::future::ready(left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}")))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_are_joined_and_left_while_a_container_runs() {
    let (world, engine) = with_app().await;
    for (name, range) in [("back", "10.8.0.0/24"), ("front", "10.9.0.0/24")] {
        engine.networks.create(name, subnet(range)).await.expect("create");
    }
    let web = started(&engine, "web", spec()).await;
    assert_eq!(networks_of(&engine, "web"), ["bridge"]);
    engine
        .containers
        .connect("front", "web", EndpointWish::default())
        .await
        .expect("connect");
    engine
        .containers
        .connect("back", "web", EndpointWish::default())
        .await
        .expect("connect");
    assert_eq!(networks_of(&engine, "web"), ["bridge", "front", "back"]);
    let routes = world.sandboxes.last_routes().expect("routes");
    assert_eq!(routes.ipv4, Some((Ipv4Addr::new(10, 8, 0, 1), "eth2".to_owned())));
    assert!(!world.names.resolve(&web, "web").is_empty(), "it has names from now on");
    let hosts = world.host.rewritten(format!("/containers/{web}/hosts").as_ref());
    assert!(hosts.expect("hosts").contains("10.9.0.2\t"));
    let twice = engine.containers.connect("front", "web", EndpointWish::default()).await;
    let text = "endpoint with name web already exists in network front";
    assert_eq!(twice.expect_err("twice").message(), text);
    let again = world.engine().await;
    assert_eq!(
        networks_of(&again, "web"),
        ["bridge", "front", "back"],
        "after a restart"
    );
    again
        .containers
        .disconnect("bridge", "web", false)
        .await
        .expect("disconnect");
    again
        .containers
        .disconnect("back", "web", false)
        .await
        .expect("disconnect");
    assert_eq!(networks_of(&again, "web"), ["front"]);
    let missing = again
        .containers
        .disconnect("back", "web", false)
        .await
        .expect_err("not in it");
    assert_eq!(
        missing.message(),
        format!("container {web} is not connected to network back")
    );
    again.networks.remove("back").await.expect("nobody is in it");
    again
        .containers
        .disconnect("front", "web", false)
        .await
        .expect("disconnect");
    assert!(world.network.endpoints().is_empty(), "{:?}", world.network.endpoints());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_combined_is_refused_in_dockers_words() {
    let (_world, engine) = with_app().await;
    engine
        .networks
        .create("front", subnet("10.9.0.0/24"))
        .await
        .expect("create");
    started(&engine, "web", spec()).await;
    let of_mode = |network| ContainerSpec { network, ..spec() };
    started(&engine, "machine", of_mode(NetworkMode::Host)).await;
    started(&engine, "private", of_mode(NetworkMode::None)).await;
    started(&engine, "guest", of_mode(NetworkMode::Container("web".to_owned()))).await;
    let shared =
        "container sharing network namespace with another container or host cannot be connected to any other network";
    let private = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
    let wish = EndpointWish::default();
    let fixed = EndpointWish {
        ipv4: Some(Ipv4Addr::new(10, 1, 2, 3)),
        ..wish.clone()
    };
    for (network, container, wish, text) in [
        ("front", "machine", &wish, shared),
        ("front", "guest", &wish, shared),
        ("front", "private", &wish, private),
        ("none", "web", &wish, private),
        (
            "host",
            "web",
            &wish,
            "cannot connect container to host network - container must be created in host network mode",
        ),
        (
            "front",
            "web",
            &fixed,
            "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.1.2.3",
        ),
    ] {
        let refused = engine
            .containers
            .connect(network, container, wish.clone())
            .await
            .expect_err(container);
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::InvalidArgument, text));
    }
    engine
        .containers
        .disconnect("none", "private", false)
        .await
        .expect("disconnect");
    engine
        .containers
        .connect("front", "private", wish)
        .await
        .expect("connect");
    assert_eq!(networks_of(&engine, "private"), ["front"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_published_as_long_as_the_container_runs() {
    let (world, engine) = with_app().await;
    let publish = |port: u16| ContainerSpec {
        ports: vec![PortRequest {
            container: "80/tcp".parse().expect("port"),
            host_address: None,
            host_ports: Some((port, port)),
        }],
        ..spec()
    };
    started(&engine, "web", publish(8080)).await;
    let ports = engine.containers.get("web").expect("web").state.ports.clone();
    assert_eq!(ports.len(), 2, "{ports:?}");
    create(&engine, "other", publish(8080)).await;
    let refused = engine.containers.start("other").await.expect_err("in use");
    assert!(
        refused.message().contains("address already in use (by web)"),
        "{}",
        refused.message()
    );
    assert_eq!(
        world.network.endpoints().len(),
        1,
        "what the failed start joined is given back"
    );
    let again = world.engine().await;
    assert_eq!(world.ports.held().len(), 2, "after a restart");
    again
        .containers
        .stop("web", StopOptions::default())
        .await
        .expect("stop");
    reach(&again, "web", Phase::Exited).await;
    hyperbox_testkit::wait_for_async("the ports to be free", || {
        let held = world.ports.held();
        std::future::ready(held.is_empty().then_some(()).ok_or_else(|| format!("{held:?}")))
    })
    .await;
    assert!(again.containers.get("web").expect("web").state.ports.is_empty());
    again.containers.start("other").await.expect("the port is free");
}

#[test]
fn an_endpoint_that_was_never_recorded_is_forgotten() {
    let scheduler = Runtime::new().expect("scheduler");
    let world = scheduler.block_on(async {
        let (world, engine) = with_app().await;
        engine
            .networks
            .create("front", NetworkSpec::default())
            .await
            .expect("create");
        started(&engine, "web", spec()).await;
        // The daemon dies before it can write that the network was joined.
        world.records.fail_next_apply();
        let failed = engine.containers.connect("front", "web", EndpointWish::default()).await;
        assert!(failed.is_err());
        assert_eq!(networks_of(&engine, "web"), ["bridge"]);
        world
    });
    scheduler.shutdown_background();
    let scheduler = Runtime::new().expect("scheduler");
    scheduler.block_on(async {
        let engine = world.engine().await;
        assert_eq!(networks_of(&engine, "web"), ["bridge"]);
        assert_eq!(world.network.endpoints().len(), 1);
        engine.networks.remove("front").await.expect("nobody is in it");
        let reference = world.publish("localhost:5000/other", &serde_json::json!({}));
        pull(&engine, &reference).await.expect("the engine works on");
    });
}
