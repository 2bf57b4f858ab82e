// SPDX-License-Identifier: MIT
//! Isolation over an engine on fakes: many projects, conflicts of two, quotas.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyperbox_core::seam::{BoundPort, GroupUsage};
use hyperbox_project::model::Model;
use hyperbox_testkit::fake::{FakeGroups, FakeHostNetwork};
use hyperbox_testkit::world::World;
use hyperbox_types::project::ProjectLimits;
use hyperbox_types::{ErrorKind, Protocol};
use serde_json::json;

use super::{Allotment, Isolation, IsolationConfig, PortWish, PortWishes};

/// An isolation and what it stands on.
struct Bench {
    isolation: Isolation,
    groups: FakeGroups,
    network: FakeHostNetwork,
}

impl Bench {
    async fn new() -> Self {
        let (groups, network) = (FakeGroups::default(), FakeHostNetwork::default());
        let config = IsolationConfig {
            cgroup_parent: "/hyperbox".to_owned(),
            groups: Arc::new(groups.clone()),
            network: Arc::new(network.clone()),
        };
        Self {
            isolation: Isolation::new(config, World::new().engine().await),
            groups,
            network,
        }
    }
}

fn model(name: &str) -> Model {
    let document = json!({ "name": name, "networks": { "default": { "name": format!("{name}_default") } } });
    Model::from_document(&document).unwrap()
}

fn wish(service: &str, published: Option<&str>) -> PortWish {
    PortWish {
        service: service.to_owned(),
        number: 1,
        container: format!("x-{service}-1"),
        target: 80,
        protocol: "tcp".to_owned(),
        host_ip: None,
        published: published.map(str::to_owned),
    }
}

fn wishes(wishes: &[PortWish], remap: bool) -> PortWishes {
    PortWishes {
        wishes: wishes.to_vec(),
        remap,
        ..PortWishes::default()
    }
}

fn port(number: u16) -> BoundPort {
    BoundPort {
        protocol: Protocol::Tcp,
        host: ([0, 0, 0, 0], number).into(),
    }
}

#[tokio::test]
async fn two_hundred_projects_have_nothing_in_common() {
    let bench = Bench::new().await;
    let mut all: Vec<(String, Allotment)> = Vec::new();
    for index in 0..250 {
        let name = format!("project{index}");
        let own = bench
            .isolation
            .allot(&name, &model(&name), &Allotment::default(), &all)
            .unwrap();
        let settled = bench
            .isolation
            .settle_ports(&name, wishes(&[wish("web", None)], false), &own, &all)
            .await
            .unwrap();
        assert!(settled.published[0].is_some());
        all.push((name, settled.allotment));
    }
    let unique = |texts: Vec<String>| {
        let count = texts.len();
        assert_eq!(texts.into_iter().collect::<BTreeSet<_>>().len(), count);
        count
    };
    let each = |text: fn(&Allotment) -> String| all.iter().map(|(_, own)| text(own)).collect::<Vec<_>>();
    assert_eq!(unique(each(|own| own.ports[0].host_port.to_string())), 250);
    assert_eq!(unique(each(|own| own.subnets["default"].to_string())), 250);
    assert_eq!(unique(each(|own| own.bridges["default"].clone())), 250);
    assert_eq!(unique(each(|own| own.group.clone())), 250);
    // What one gives back is the next one's.
    all.truncate(10);
    let (_, gone) = all.remove(7);
    let next = bench
        .isolation
        .allot("next", &model("next"), &Allotment::default(), &all)
        .unwrap();
    assert_eq!((&next.ranges, &next.subnets), (&gone.ranges, &gone.subnets));
    assert_eq!(
        bench.isolation.ports(&next).map(|range| range.first),
        Some(gone.ranges[0].first)
    );
    // Opened again it has the same.
    let again = bench.isolation.allot("next", &model("next"), &next, &all).unwrap();
    assert_eq!(again, next);
}

#[tokio::test]
async fn who_comes_second_is_told_who_was_first() {
    let bench = Bench::new().await;
    let isolation = &bench.isolation;
    let first = isolation
        .allot("first", &model("first"), &Allotment::default(), &[])
        .unwrap();
    let others = [("first".to_owned(), first.clone())];
    let second = isolation
        .allot("second", &model("second"), &Allotment::default(), &others)
        .unwrap();
    let wanted = [wish("web", Some("8080"))];
    isolation
        .settle_ports("first", wishes(&wanted, false), &first, &[])
        .await
        .unwrap();
    let refused = isolation
        .settle_ports("second", wishes(&wanted, false), &second, &others)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(
        refused.message(),
        "port 8080/tcp of the host, which service web wants, is held by project first, which is being started; 11000 is free"
    );
    assert!(refused.hint().unwrap().to_string().contains("--remap"), "{refused:?}");
    let remapped = isolation
        .settle_ports("second", wishes(&wanted, true), &second, &others)
        .await
        .unwrap();
    assert_eq!(remapped.published, [Some("11000".to_owned())]);
    assert_eq!(remapped.notes.len(), 1);
    isolation.run_ended("first");
    let free = isolation
        .settle_ports("second", wishes(&wanted, false), &second, &others)
        .await
        .unwrap();
    assert_eq!(free.published, [Some("8080".to_owned())]);
}

#[tokio::test]
async fn a_process_that_has_the_port_is_named() {
    let bench = Bench::new().await;
    let own = bench
        .isolation
        .allot("shop", &model("shop"), &Allotment::default(), &[])
        .unwrap();
    bench.network.bind(port(8080), 4711, "nginx");
    bench.network.bind(port(10_000), 4711, "nginx");
    let wanted = [wish("web", Some("8080"))];
    let refused = bench
        .isolation
        .settle_ports("shop", wishes(&wanted, false), &own, &[])
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .ends_with("is held by process 4711 (nginx); 10001 is free"),
        "{refused}"
    );
    bench.network.release(port(8080));
    assert!(
        bench
            .isolation
            .settle_ports("shop", wishes(&wanted, false), &own, &[])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_host_s_routes_and_links_are_respected() {
    let bench = Bench::new().await;
    bench.network.add_route("10.89.0.0/17".parse().unwrap());
    bench.network.add_link("br-shop");
    let own = bench
        .isolation
        .allot("shop", &model("shop"), &Allotment::default(), &[])
        .unwrap();
    assert_eq!(
        bench.isolation.subnet(&own, "default").as_deref(),
        Some("10.89.128.0/24")
    );
    let bridge = bench.isolation.bridge(&own, "default").unwrap();
    assert!(bridge.starts_with("br-shop-"), "{bridge}");
}

#[tokio::test]
async fn quotas_are_set_told_and_given_back() {
    let bench = Bench::new().await;
    let isolation = &bench.isolation;
    let own = isolation
        .allot("shop", &model("shop"), &Allotment::default(), &[])
        .unwrap();
    assert_eq!(isolation.cgroup(&own).as_deref(), Some("/hyperbox/shop"));
    assert_eq!(isolation.usage(&own).await, None, "not there yet");
    let limits = ProjectLimits {
        cpus: Some(1.5),
        memory: Some(64 << 20),
        ..ProjectLimits::default()
    };
    isolation.restore(std::iter::once(("shop", &own, &limits)));
    assert_eq!(bench.groups.limits()["/hyperbox/shop"].memory, Some(64 << 20));
    isolation.enforce("shop", &own, &limits).await.unwrap();
    let running = GroupUsage {
        memory: 7,
        pids: 3,
        ..GroupUsage::default()
    };
    bench.groups.set_usage("/hyperbox/shop", running);
    let usage = isolation.usage(&own).await.unwrap();
    assert_eq!(
        (usage.memory.used, usage.memory.limit),
        (7.0, Some(f64::from(64 << 20)))
    );
    assert_eq!(
        (usage.cpus.limit, usage.pids.used, usage.pids.limit),
        (Some(1.5), 3.0, None)
    );
    isolation.release("shop", &own).await;
    assert_eq!(bench.groups.limits().len(), 1, "something runs in it");
    bench.groups.set_usage("/hyperbox/shop", GroupUsage::default());
    isolation.release("shop", &own).await;
    assert_eq!(bench.groups.limits().len(), 0);
}
