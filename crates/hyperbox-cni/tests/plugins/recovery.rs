// SPDX-License-Identifier: MIT
//! Daemons that die, callers that go away, networks that are left, and broken endpoints.

use std::os::fd::AsFd as _;

use hyperbox_core::seam::{EndpointRequest, NetworkDriver as _};
use hyperbox_testkit::{container_id, wait_for_async};

use crate::machine::{Machine, inside, network, on_a_machine, open, open_with, request, run, settled};

/// Lets an ADD run until a plugin says by a file that it waits; then nobody waits for the ADD any more.
async fn until_reached<T>(machine: &Machine, opening: impl Future<Output = T>) {
    let reached = wait_for_async("the plugin", || async {
        if machine.path("reached").exists() {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    tokio::select! {
        _ = opening => panic!("the plugin waits"),
        () = reached => {}
    }
}

/// No masquerading is left, in any form.
fn assert_no_rules() {
    for program in ["iptables-save", "ip6tables-save"] {
        let rules = run(program, &["-t", "nat"]);
        assert!(!rules.contains("CNI"), "{rules}");
    }
}

#[test]
fn privileged_what_a_dead_daemon_left_is_undone() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let before = machine.driver();
        let network = network(&before, &machine.bridge_list("crash", "198.18.1.0/24", "")).await;
        let (living, living_sandbox) = open(&before, &network).await;
        let (_, lost) = open(&before, &network).await;
        drop((before, lost));
        assert_eq!((machine.addresses("crash").len(), machine.notes()), (2, 2));
        let after = machine.driver();
        let endpoints = [(living.clone(), living_sandbox.endpoint.clone())];
        after.adopt(std::slice::from_ref(&network), &endpoints).await.unwrap();
        wait_for_async("the lost endpoint to be undone", || async {
            if machine.notes() == 1 {
                Ok(())
            } else {
                Err(format!("{} notes", machine.notes()))
            }
        })
        .await;
        assert_eq!(machine.addresses("crash"), ["198.18.1.2"]);
        let rules = run("iptables-save", &["-t", "nat"]);
        assert!(rules.contains("198.18.1.2/32"), "{rules}");
        assert!(!rules.contains("198.18.1.3"), "{rules}");
        after.release(&living, &living_sandbox.endpoint).await.unwrap();
        settled(&machine).await;
        assert!(machine.addresses("crash").is_empty());
        assert_no_rules();
    });
}

#[test]
fn privileged_a_daemon_that_died_during_add_is_undone() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        machine.script(
            "stuck",
            "test $CNI_COMMAND = ADD || exit 0; touch $D/reached; sleep 1000",
        );
        let list = machine.bridge_list("during", "198.18.2.0/24", r#", {"type": "stuck"}"#);
        let network = network(&driver, &list).await;
        until_reached(&machine, open_with(&driver, request(&network))).await;
        assert_eq!((machine.addresses("during").len(), machine.notes()), (1, 1));
        // What a dead daemon leaves is its note; the task of the one here still waits for its plugin.
        let after = machine.driver();
        after.adopt(std::slice::from_ref(&network), &[]).await.unwrap();
        settled(&machine).await;
        assert!(machine.addresses("during").is_empty());
        assert_no_rules();
    });
}

/// The plugin has done everything and dies before it says so: its pipe has nobody who reads.
#[test]
fn privileged_a_daemon_that_died_before_the_answer_is_undone() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        machine.script(
            "bridge",
            "test $CNI_COMMAND = ADD || exec /usr/lib/cni/bridge; /usr/lib/cni/bridge > $D/answer; touch $D/reached; sleep 1000",
        );
        let network = network(&driver, &machine.bridge_list("unsaid", "198.18.10.0/24", "")).await;
        until_reached(&machine, open_with(&driver, request(&network))).await;
        assert!(run("iptables-save", &["-t", "nat"]).contains("198.18.10.2/32"));
        let after = machine.driver();
        after.adopt(std::slice::from_ref(&network), &[]).await.unwrap();
        settled(&machine).await;
        assert!(machine.addresses("unsaid").is_empty());
        assert_no_rules();
    });
}

/// Those with both families, on a link that is not the first, and by the other plugin that looks into the namespace.
#[test]
fn privileged_rules_of_lost_endpoints_go_in_all_forms() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let before = machine.driver();
        let list = |name: &str, kind: &str, third: u8| {
            format!(
                r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [{{"type": "{kind}", "bridge": "cni-{name}", "ipMasq": true, "ipam": {{"type": "host-local",
                    "dataDir": "{}", "ranges": [[{{"subnet": "198.18.{third}.0/24"}}], [{{"subnet": "fd00:{third}::/64"}}]]}}}}]}}"#,
                machine.path("addresses").display()
            )
        };
        let both = network(&before, &list("both", "bridge", 11)).await;
        let pair = network(&before, &list("pair", "ptp", 12)).await;
        let second = EndpointRequest {
            link: "lan7".to_owned(),
            ..request(&both)
        };
        let lost = (open_with(&before, second).await.unwrap(), open(&before, &pair).await);
        drop((before, lost));
        for (program, text) in [("iptables-save", "198.18.12.2"), ("ip6tables-save", "fd00:11::2")] {
            assert!(run(program, &["-t", "nat"]).contains(text));
        }
        let after = machine.driver();
        after.adopt(&[both, pair], &[]).await.unwrap();
        settled(&machine).await;
        assert_no_rules();
    });
}

#[test]
fn privileged_an_endpoint_nobody_waits_for_is_undone() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        machine.script("slow", "test $CNI_COMMAND = ADD || exit 0; touch $D/reached; while [ ! -e $D/go ]; do sleep 0.01; done; sed 's/.*\"prevResult\"://; s/,\"type\":\"slow\"}$//'");
        let list = machine.bridge_list("cancel", "198.18.3.0/24", r#", {"type": "slow"}"#);
        let network = network(&driver, &list).await;
        until_reached(&machine, open_with(&driver, request(&network))).await;
        std::fs::write(machine.path("go"), "").unwrap();
        settled(&machine).await;
        assert!(machine.addresses("cancel").is_empty());
        let (container, sandbox) = open(&driver, &network).await;
        driver.release(&container, &sandbox.endpoint).await.unwrap();
        settled(&machine).await;
    });
}

#[test]
fn privileged_a_network_takes_its_attachments_along() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        let network = network(&driver, &machine.bridge_list("removed", "198.18.4.0/24", "")).await;
        let opened = (open(&driver, &network).await, open(&driver, &network).await);
        driver.remove(&network).await.unwrap();
        assert_eq!((machine.addresses("removed").len(), machine.notes()), (0, 0));
        drop(opened);
    });
}

#[test]
fn privileged_a_restart_of_a_container_waits_for_its_release() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        let network = network(&driver, &machine.bridge_list("restart", "198.18.5.0/24", "")).await;
        let container = container_id();
        let mut wished = request(&network);
        wished.ipv4 = Some([198, 18, 5, 9].into());
        for _ in 0..3 {
            let namespace = crate::machine::namespace();
            let attached = driver
                .attach(namespace.as_fd(), &container, wished.clone())
                .await
                .unwrap();
            drop(namespace);
            driver.release(&container, &attached).await.unwrap();
        }
        let namespace = crate::machine::namespace();
        let first = driver
            .attach(namespace.as_fd(), &container, wished.clone())
            .await
            .unwrap();
        let refused = driver
            .attach(namespace.as_fd(), &container, wished.clone())
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("has a link eth0"), "{refused}");
        // A start whose release was lost: the new namespace is the container's.
        let second = crate::machine::namespace();
        let again = driver.attach(second.as_fd(), &container, wished).await.unwrap();
        driver.release(&container, &first).await.unwrap();
        assert_eq!(
            machine.notes(),
            1,
            "a late release of the first does not harm the second"
        );
        driver.detach(second.as_fd(), &container, &again).await.unwrap();
        let links = inside(&second, || run("ip", &["link"]));
        assert!(!links.contains("eth0"), "{links}");
        assert_eq!(machine.notes(), 0);
        assert!(machine.addresses("restart").is_empty());
    });
}

#[test]
fn privileged_endpoints_are_checked_when_they_are_adopted() {
    on_a_machine(|| async {
        let machine = Machine::new();
        machine.script(
            "watch",
            "case $CNI_COMMAND in ADD) sed 's/.*\"prevResult\"://; s/,\"type\":\"watch\"}$//';; CHECK) echo $CNI_NETNS > $D/asked; cat > $D/check;; esac",
        );
        let before = machine.driver();
        let network = network(
            &before,
            &machine.bridge_list("check", "198.18.6.0/24", r#", {"type": "watch"}"#),
        )
        .await;
        let (container, sandbox) = open(&before, &network).await;
        // The namespace is found among those of processes.
        let mut process = inside(&sandbox.namespace, || {
            let mut cat = std::process::Command::new("cat");
            cat.stdin(std::process::Stdio::piped()).spawn().unwrap()
        });
        drop(before);
        let after = machine.driver();
        let endpoints = [(container.clone(), sandbox.endpoint.clone())];
        after.adopt(std::slice::from_ref(&network), &endpoints).await.unwrap();
        // The bridge plugin comes first: this one is asked only if that one found everything as it was, under another path.
        let asked = wait_for_async("CHECK", || async {
            let text = std::fs::read_to_string(machine.path("check")).map_err(|error| error.to_string())?;
            if text.ends_with('}') { Ok(text) } else { Err(text) }
        });
        let asked = asked.await;
        let path = std::fs::read_to_string(machine.path("asked")).unwrap();
        assert!(asked.contains(&format!("\"sandbox\":\"{}\"", path.trim())), "{asked}");
        drop(process.stdin.take());
        process.wait().unwrap();
        after.release(&container, &sandbox.endpoint).await.unwrap();
        settled(&machine).await;
    });
}
