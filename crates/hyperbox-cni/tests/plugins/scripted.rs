// SPDX-License-Identifier: MIT
//! Plugins that fail, hang, or say what they should not.

use std::time::{Duration, Instant};

use hyperbox_core::seam::{NetworkDriver as _, NetworkError};
use hyperbox_types::ErrorKind;

use crate::machine::{Machine, SHORT, network, on_a_machine, open_with, request, settled, wish};

const RESULT: &str = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:05","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.9.8.7/24","interface":0}]}"#;

fn list(plugins: &str) -> String {
    let plugins: Vec<_> = plugins
        .split(' ')
        .map(|name| format!(r#"{{"type": "{name}"}}"#))
        .collect();
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "scripted", "plugins": [{}]}}"#,
        plugins.join(",")
    )
}

/// Opens an endpoint in a network of one good plugin and a bad one, which is to fail; all that the good one made must be undone.
async fn refusal(machine: &Machine, bad: &str) -> NetworkError {
    machine.script(
        "good",
        &format!("cat > $D/good.$CNI_COMMAND; test $CNI_COMMAND = DEL || echo '{RESULT}'"),
    );
    machine.script("bad", bad);
    let driver = machine.driver();
    let network = network(&driver, &list("good bad")).await;
    let refused = open_with(&driver, request(&network)).await.unwrap_err();
    let deleted = std::fs::read_to_string(machine.path("good.DEL")).unwrap();
    assert!(deleted.contains("\"prevResult\""), "DEL gets what there is: {deleted}");
    refused
}

#[test]
fn privileged_failures_are_told_and_undone() {
    on_a_machine(|| async {
        let only_add = |script: &str| format!("test $CNI_COMMAND = ADD || exit 0; {script}");
        let error = r#"echo '{"cniVersion":"1.0.0","code":7,"msg":"no uplink","details":"eth9"}'; exit 1"#;
        for (script, expected, kind) in [
            (
                error,
                "plugin \"bad\" failed (ADD): no uplink: eth9",
                ErrorKind::InvalidArgument,
            ),
            (
                "echo oh no >&2; exit 1",
                "plugin \"bad\" failed (ADD): oh no",
                ErrorKind::Internal,
            ),
            (
                "echo hello",
                "plugin \"bad\" answered wrongly (ADD): it printed what is not a JSON object",
                ErrorKind::Internal,
            ),
            (
                "true",
                "plugin \"bad\" answered wrongly (ADD): it printed nothing",
                ErrorKind::Internal,
            ),
            (
                r#"echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/24"}}'"#,
                "plugin \"bad\" answered wrongly (ADD): its result is of version \"0.2.0\"",
                ErrorKind::Internal,
            ),
            (
                "while :; do echo 0123456789012345678901234567890123456789; done",
                "printed more than 1048576 bytes",
                ErrorKind::Internal,
            ),
            (
                "kill -9 $$",
                "plugin \"bad\" failed (ADD): it does not say why",
                ErrorKind::Internal,
            ),
        ] {
            let machine = Machine::new();
            let refused = refusal(&machine, &only_add(script)).await;
            assert!(refused.to_string().contains(expected), "{refused} for {script}");
            assert_eq!(refused.kind, kind, "{script}");
            assert_eq!(machine.notes(), 0, "{script}");
        }
    });
}

#[test]
fn privileged_a_plugin_that_hangs_is_given_up() {
    on_a_machine(|| async {
        let mut machine = Machine::new();
        machine.config.plugin_timeout = SHORT;
        let begin = Instant::now();
        let refused = refusal(&machine, "test $CNI_COMMAND = ADD || exit 0; sleep 1000 & wait").await;
        assert!(
            refused
                .to_string()
                .ends_with("it did not end within 0.5 seconds and was killed"),
            "{refused}"
        );
        assert_eq!(refused.kind, ErrorKind::Unavailable);
        assert!(begin.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn privileged_what_cannot_work_is_refused_at_once() {
    on_a_machine(|| async {
        let machine = Machine::new();
        machine.script("old", "true");
        let driver = machine.driver();
        let old = r#"{"cniVersion": "0.3.1", "name": "n", "plugins": [{"type": "old"}]}"#;
        let missing =
            r#"{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "old", "ipam": {"type": "nowhere"}}]}"#;
        for (text, expected, kind) in [
            (
                old,
                "plugin \"old\" does not support config version \"0.3.1\"",
                ErrorKind::InvalidArgument,
            ),
            (
                missing,
                "failed to find plugin \"nowhere\" in path [",
                ErrorKind::InvalidArgument,
            ),
            ("web", "no list named \"web\"", ErrorKind::NotFound),
            (
                "",
                "the cni driver needs option \"conflist\"",
                ErrorKind::InvalidArgument,
            ),
        ] {
            let refused = driver.choose(wish(text), &[]).await.unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
            assert_eq!(refused.kind, kind);
        }
    });
}

#[test]
fn privileged_wishes_that_plugins_ignore_are_refused() {
    on_a_machine(|| async {
        let machine = Machine::new();
        machine.script("stubborn", &format!("test $CNI_COMMAND = DEL || echo '{RESULT}'"));
        let driver = machine.driver();
        let network = network(&driver, &list("stubborn")).await;
        let mut wished = request(&network);
        wished.ipv4 = Some([10, 9, 8, 8].into());
        let refused = open_with(&driver, wished).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the plugins did not give the wished address 10.9.8.8"
        );
        let mut wished = request(&network);
        wished.mac_address = Some("02:00:00:00:00:06".to_owned());
        let refused = open_with(&driver, wished).await.unwrap_err();
        assert!(refused.to_string().contains("wished MAC address"), "{refused}");
        let mut wished = request(&network);
        wished.ipv4 = Some([10, 9, 8, 7].into());
        let (container, sandbox) = open_with(&driver, wished).await.unwrap();
        driver.release(&container, &sandbox.endpoint).await.unwrap();
        settled(&machine).await;
    });
}

#[test]
fn privileged_newer_plugins_are_asked_for_their_status_and_told_of_garbage() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let script = format!(
            r#"cat > $D/$CNI_COMMAND; test ! -e $D/broken || {{ echo '{{"code": 50, "msg": "not yet"}}'; exit 1; }}; test $CNI_COMMAND != ADD || echo '{RESULT}'"#
        );
        machine.script("new", &script);
        let driver = machine.driver();
        let text = list("new").replace("1.0.0", "1.1.0");
        let network = network(&driver, &text).await;
        let (container, sandbox) = open_with(&driver, request(&network)).await.unwrap();
        let after = machine.driver();
        let endpoints = [(container.clone(), sandbox.endpoint.clone())];
        after.adopt(std::slice::from_ref(&network), &endpoints).await.unwrap();
        let told = hyperbox_testkit::wait_for_async("GC", || async {
            std::fs::read_to_string(machine.path("GC"))
                .map_err(|error| error.to_string())
                .and_then(|text| if text.ends_with('}') { Ok(text) } else { Err(text) })
        });
        let told = told.await;
        let expected = format!(r#""cni.dev/valid-attachments":[{{"containerID":"{container}","ifname":"eth0"}}]"#);
        assert!(told.contains(&expected), "{told}");
        std::fs::write(machine.path("broken"), "").unwrap();
        let refused = after.ensure(&network).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.to_string().as_str()),
            (ErrorKind::Unavailable, "plugin \"new\" failed (STATUS): not yet")
        );
    });
}
