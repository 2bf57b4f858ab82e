// SPDX-License-Identifier: MIT
//! What an engine is asked for. `tests/create/bodies.json` was compared with what `docker compose create` makes of the same file on Docker
//! Engine: containers made of either show the same in `inspect`, but for the hash and for where `nocopy` is said.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hyperbox_project::compose::{Files, Request, load};
use hyperbox_project::create::{MissingContainer, Origin, Surroundings, container_body, network_body, volume_body};
use hyperbox_project::model::Model;
use serde_json::{Value, json};

struct One(String);

impl Files for One {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.clone())
    }
    fn is_file(&self, _path: &Path) -> bool {
        true
    }
}

fn model(text: &str) -> Model {
    let request = Request {
        files: vec!["/shop/compose.yaml".into()],
        directory: "/shop".into(),
        name: Some("shop".to_owned()),
        env_files: Vec::new(),
        environment: BTreeMap::new(),
        profiles: Vec::new(),
    };
    let project = load(&request, &One(text.to_owned())).unwrap();
    Model::from_document(project.document()).unwrap()
}

fn body(model: &Model, service: &str, surroundings: &Surroundings) -> Value {
    tried(model, service, surroundings).unwrap()
}

fn tried(model: &Model, service: &str, surroundings: &Surroundings) -> Result<Value, MissingContainer> {
    let origin = Origin {
        directory: "/shop".to_owned(),
        files: vec!["/shop/compose.yaml".to_owned()],
        ..Origin::default()
    };
    container_body(model, service, &model.services[service], 1, &origin, surroundings)
}

#[test]
fn bodies_are_those_that_were_compared() {
    let model = model(include_str!("create/compose.yaml"));
    let mut expected: Value = serde_json::from_str(include_str!("create/bodies.json")).unwrap();
    for service in model.services.keys() {
        let mut found = body(&model, service, &Surroundings::default());
        for value in [&mut found, &mut expected[service]] {
            let hash = value["Labels"]
                .as_object_mut()
                .unwrap()
                .remove("com.docker.compose.config-hash");
            assert_eq!(hash.unwrap().as_str().map(str::len), Some(64));
        }
        assert_eq!(found, expected[service], "{service}");
    }
}

#[test]
fn other_containers_are_named() {
    let model = model(
        "services:
  base: {image: b}
  web:
    image: w
    network_mode: service:base
    pid: service:base
    volumes_from: ['base:ro', 'container:other']
  linked: {image: l, links: ['base:alias', base], external_links: ['out:side']}
",
    );
    let surroundings = Surroundings {
        containers: BTreeMap::from([("base".to_owned(), vec!["id1".to_owned(), "id2".to_owned()])]),
        ..Surroundings::default()
    };
    let web = body(&model, "web", &surroundings);
    assert_eq!(web["HostConfig"]["NetworkMode"], "container:id1");
    assert_eq!(web["HostConfig"]["PidMode"], "container:id1");
    assert_eq!(web["HostConfig"]["VolumesFrom"], json!(["id1:ro", "other"]));
    assert_eq!(web.get("NetworkingConfig"), None);
    let linked = body(&model, "linked", &surroundings);
    assert_eq!(
        linked["NetworkingConfig"]["EndpointsConfig"]["shop_default"]["Links"],
        json!(["id1:alias", "id2:alias", "id1:base", "id2:base", "out:side"])
    );
}

/// As `docker compose up --no-deps` refuses them.
#[test]
fn what_is_shared_has_to_be_there() {
    for (said, expected) in [
        ("volumes_from: [db]", Some("volume")),
        ("volumes_from: ['db:ro']", Some("volume")),
        ("network_mode: 'service:db'", Some("network namespace")),
        ("pid: 'service:db'", Some("PID namespace")),
        ("ipc: 'service:db'", Some("IPC namespace")),
        ("links: [db]", None),
        ("volumes_from: ['container:other']", None),
    ] {
        let model = model(&format!("services:\n  db: {{image: d}}\n  web: {{image: w, {said}}}\n"));
        let error = tried(&model, "web", &Surroundings::default()).err();
        let expected = expected.map(|what| format!("cannot share {what} with service db: container missing"));
        assert_eq!(error.map(|error| error.to_string()), expected, "{said}");
    }
}

#[test]
fn secrets_and_configs_are_files() {
    let model = model(
        "services:
  web: {image: w, secrets: [s], configs: [c, {source: c, target: /etc/c}]}
secrets: {s: {file: ./s}}
configs: {c: {content: x}}
",
    );
    let surroundings = Surroundings {
        files: BTreeMap::from([
            ("secrets.s".to_owned(), "/run/files/s".to_owned()),
            ("configs.c".to_owned(), "/run/files/c".to_owned()),
        ]),
        ..Surroundings::default()
    };
    let mounts = body(&model, "web", &surroundings)["HostConfig"]["Mounts"].clone();
    let targets: Vec<_> = mounts
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["Target"].clone())
        .collect();
    assert_eq!(targets, ["/c", "/etc/c", "/run/secrets/s"]);
    assert!(mounts.as_array().unwrap().iter().all(|mount| mount["ReadOnly"] == true));
}

#[test]
fn networks_and_volumes() {
    let model = model(
        "services: {a: {image: a, networks: [plain, own], volumes: ['data:/d']}}
networks:
  plain: {}
  own: {driver: macvlan, enable_ipv6: false, ipam: {config: [{subnet: 10.9.0.0/24, ip_range: 10.9.0.0/25}]}}
volumes: {data: {driver: local, driver_opts: {o: size=1m}, labels: [x=y]}}
",
    );
    let plain = network_body(&model, "plain", Some("10.89.7.0/24")).unwrap();
    assert_eq!(plain["Name"], "shop_plain");
    assert_eq!(plain["IPAM"]["Config"], json!([{ "Subnet": "10.89.7.0/24" }]));
    assert_eq!(plain["Labels"]["com.docker.compose.network"], "plain");
    let own = network_body(&model, "own", Some("10.89.7.0/24")).unwrap();
    assert_eq!(own["Driver"], "macvlan");
    assert_eq!(own["EnableIPv6"], false);
    assert_eq!(
        own["IPAM"]["Config"],
        json!([{ "Subnet": "10.9.0.0/24", "IPRange": "10.9.0.0/25" }])
    );
    let data = volume_body(&model, "data").unwrap();
    assert_eq!((&data["Name"], &data["Driver"]), (&json!("shop_data"), &json!("local")));
    assert_eq!(data["Labels"]["x"], "y");
    assert_eq!(data["Labels"]["com.docker.compose.project"], "shop");
    assert_eq!(network_body(&model, "no", None), None);
    assert_eq!(volume_body(&model, "no"), None);
}

/// As `docker inspect` shows what `docker compose create` makes of the same.
#[test]
fn block_devices() {
    let text = "services: {web: {image: i, blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}], \
        device_read_bps: [{path: /dev/sda, rate: 12mb}], device_write_iops: [{path: /dev/sdb, rate: 30}]}}}";
    let body = body(&model(text), "web", &Surroundings::default());
    let host = &body["HostConfig"];
    assert_eq!(host["BlkioWeight"], 300);
    assert_eq!(
        host["BlkioWeightDevice"],
        json!([{ "Path": "/dev/sda", "Weight": 400 }])
    );
    assert_eq!(
        host["BlkioDeviceReadBps"],
        json!([{ "Path": "/dev/sda", "Rate": 12_582_912 }])
    );
    assert_eq!(
        host["BlkioDeviceWriteIOps"],
        json!([{ "Path": "/dev/sdb", "Rate": 30 }])
    );
}
