// SPDX-License-Identifier: MIT
//! Names, ports and addresses that one container gives up and another one gets: nothing is made or started beside what is in its way.

use hyperbox_project::plan::{ContainerState, Observed, ObservedContainer, UpOptions, service_hash, up};

use super::{complete, container, model, planned, says};

fn orphan(observed: &Observed, name: &str) -> ObservedContainer {
    ObservedContainer {
        id: "orphan1".to_owned(),
        service: "old".to_owned(),
        name: name.to_owned(),
        ..observed.containers[0].clone()
    }
}

fn without_orphans() -> UpOptions {
    UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    }
}

#[test]
fn a_service_that_is_renamed_waits_for_the_one_of_its_name_and_port() {
    let model = model("services: {new: {image: a, container_name: same, ports: ['8080:80']}, other: {image: b}}");
    let mut observed = complete(&model);
    let old = orphan(&observed, "same");
    observed.containers = vec![old];
    says(
        &up(&model, &observed, &without_orphans()).unwrap().to_string(),
        "1 stop same (orphan)
         2 remove same (orphan) after 1
         3 create same (missing) after 2
         4 start same (missing) after 2, 3
         5 create p-other-1 (missing)
         6 start p-other-1 (missing) after 2, 5",
    );
}

#[test]
fn a_broken_container_goes_before_the_next_one_of_its_name() {
    let model = model("services: {web: {image: a, scale: 2}}");
    let mut observed = complete(&model);
    container(&mut observed, "p-web-1").state = ContainerState::Dead;
    says(
        &planned(&model, &observed),
        "1 remove p-web-1 (broken)
         2 create p-web-1 (missing) after 1
         3 start p-web-1 (missing) after 2",
    );
}

#[test]
fn services_swap_their_ports() {
    let before = model("services: {a: {image: a, ports: ['8080:80']}, b: {image: b, ports: ['8081:80']}}");
    let after = model("services: {a: {image: a, ports: ['8081:80']}, b: {image: b, ports: ['8080:80']}}");
    says(
        &planned(&after, &complete(&before)),
        "1 recreate p-a-1 (configuration changed)
         2 recreate p-b-1 (configuration changed)
         3 start p-a-1 (configuration changed) after 1, 2
         4 start p-b-1 (configuration changed) after 1, 2",
    );
}

#[test]
fn a_port_moves_to_a_service_that_comes_before() {
    let before = model("services: {a: {image: a}, b: {image: b, ports: ['8080:80']}, c: {image: c}}");
    let after = model("services: {a: {image: a, ports: ['8080:80']}, b: {image: b}, c: {image: c}}");
    let mut observed = complete(&before);
    container(&mut observed, "p-c-1").state = ContainerState::Exited(0);
    says(
        &planned(&after, &observed),
        "1 recreate p-a-1 (configuration changed)
         2 recreate p-b-1 (configuration changed)
         3 start p-a-1 (configuration changed) after 1, 2
         4 start p-b-1 (configuration changed) after 2
         5 start p-c-1 (not running)",
    );
    // What does not run has no port.
    container(&mut observed, "p-b-1").state = ContainerState::Exited(0);
    says(
        &planned(&after, &observed),
        "1 recreate p-a-1 (configuration changed)
         2 start p-a-1 (configuration changed) after 1
         3 recreate p-b-1 (configuration changed)
         4 start p-b-1 (configuration changed) after 3
         5 start p-c-1 (not running)",
    );
}

#[test]
fn the_name_follows_the_files() {
    let named = |name| format!("services: {{web: {{image: a, container_name: {name}}}}}");
    let (first, second) = (named("first").leak(), named("second").leak());
    let plain = "services: {web: {image: a}}";
    for (before, after, name) in [
        (&*first, &*second, "second"),
        (plain, first, "first"),
        (first, plain, "p-web-1"),
    ] {
        says(
            &planned(&model(after), &complete(&model(before))),
            &format!(
                "1 recreate {name} (configuration changed)
                 2 start {name} (configuration changed) after 1"
            ),
        );
    }
}

/// `docker compose` fails here: each keeps its name until the other one is gone.
#[test]
fn services_swap_their_names() {
    let before = model("services: {a: {image: a, container_name: xx}, b: {image: b, container_name: yy}}");
    let after = model("services: {a: {image: a, container_name: yy}, b: {image: b, container_name: xx}}");
    says(
        &planned(&after, &complete(&before)),
        "1 stop xx (configuration changed)
         2 remove xx (configuration changed) after 1
         3 stop yy (configuration changed)
         4 remove yy (configuration changed) after 3
         5 create yy (configuration changed) after 2, 4
         6 start yy (configuration changed) after 5
         7 create xx (configuration changed) after 2, 4
         8 start xx (configuration changed) after 7",
    );
}

#[test]
fn a_name_is_taken_over_from_a_container_of_the_same_service() {
    let before = model("services: {web: {image: a, container_name: p-web-2}}");
    let after = model("services: {web: {image: a, scale: 2}}");
    says(
        &planned(&after, &complete(&before)),
        "1 stop p-web-2 (configuration changed)
         2 remove p-web-2 (configuration changed) after 1
         3 create p-web-1 (configuration changed) after 2
         4 start p-web-1 (configuration changed) after 3
         5 create p-web-2 (missing) after 2
         6 start p-web-2 (missing) after 5",
    );
}

#[test]
fn a_container_on_two_changed_networks_goes_once() {
    let text = "services: {a: {image: a, networks: [one, two]}}\nnetworks: {one: {}, two: {}}\n";
    let model = model(text);
    let mut observed = complete(&model);
    for network in observed.networks.values_mut() {
        network.config_hash = Some("other".to_owned());
    }
    let expected = "1 stop p-a-1 (network p_one is renewed)
         2 remove p-a-1 (network p_one is renewed) after 1
         3 remove network p_one (configuration changed) after 2
         4 create network p_one (configuration changed) after 3
         5 remove network p_two (configuration changed) after 2
         6 create network p_two (configuration changed) after 5
         7 create p-a-1 (missing) after 2, 4, 6
         8 start p-a-1 (missing) after 7";
    says(&planned(&model, &observed), expected);
    container(&mut observed, "p-a-1").state = ContainerState::Dead;
    let plan = planned(&model, &observed);
    assert_eq!(plan.matches("remove p-a-1").count(), 1, "{plan}");
}

#[test]
fn a_changed_network_waits_for_orphans_on_it() {
    let model = model("services: {a: {image: a}}");
    let mut observed = complete(&model);
    observed.networks.get_mut("p_default").unwrap().config_hash = Some("other".to_owned());
    let old = orphan(&observed, "p-old-1");
    observed.containers = vec![old];
    says(
        &up(&model, &observed, &without_orphans()).unwrap().to_string(),
        "1 stop p-old-1 (orphan)
         2 remove p-old-1 (orphan) after 1
         3 remove network p_default (configuration changed) after 2
         4 create network p_default (configuration changed) after 3
         5 create p-a-1 (missing) after 4
         6 start p-a-1 (missing) after 2, 5",
    );
}

#[test]
fn addresses_and_the_host_s_network_are_claims_too() {
    let text = |said: &str| format!("services: {{a: {{image: a, {said}}}, z: {{image: z, environment: {{A: b}}}}}}");
    for (said, waits) in [
        ("ports: ['80']", false),
        ("ports: ['8000-8010:80']", true),
        ("network_mode: host", true),
        ("network_mode: none", false),
        ("networks: {default: {ipv4_address: 10.1.2.3}}", true),
    ] {
        let model = model(text(said).leak());
        let mut observed = complete(&model);
        container(&mut observed, "p-z-1").config_hash = "other".to_owned();
        container(&mut observed, "p-a-1").state = ContainerState::Exited(0);
        let plan = planned(&model, &observed);
        let waiting = plan.contains("start p-a-1 (not running) after");
        assert_eq!(waiting, waits, "{said}: {plan}");
        assert_eq!(observed.containers[0].config_hash, service_hash(&model.services["a"]));
    }
}
