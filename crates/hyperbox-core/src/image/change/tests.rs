// SPDX-License-Identifier: MIT

use std::time::Duration;

use super::*;
use crate::container::HealthTest;

fn changed(lines: &[&str]) -> Result<ImageConfig> {
    let mut config = ImageConfig {
        env: vec!["A=1".to_owned()],
        command: vec!["sh".to_owned()],
        working_dir: "/srv".to_owned(),
        ..ImageConfig::default()
    };
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    apply(&mut config, &lines).map(|()| config)
}

/// The texts were recorded from Docker Engine 28.5.
#[test]
fn refusals_are_dockers() {
    for (line, expected) in [
        ("FOO x", "FOO is not a valid change command"),
        ("RUN x", "RUN is not a valid change command"),
        ("MAINTAINER joe", "MAINTAINER is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("LABEL", "LABEL requires at least one argument"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("", "file with no instructions"),
        (
            "CMD [\"a\", 1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK x", "Unknown type \"X\" in HEALTHCHECK (try CMD)"),
        ("STOPSIGNAL BAD", "invalid signal: BAD"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --interval=xx CMD x", "time: invalid duration \"xx\""),
        (
            "HEALTHCHECK --interval=1ns CMD x",
            "Interval \"interval\" cannot be less than 1ms",
        ),
        ("HEALTHCHECK --bogus=1 CMD x", "unknown flag: --bogus"),
        (
            "ENV X=${A:x}",
            "failed to process \"${A:x}\": unsupported modifier (:x) in substitution",
        ),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    ] {
        let error = changed(&[line]).expect_err(line);
        assert_eq!(error.message(), expected, "{line}");
    }
}

#[test]
fn words_pairs_and_quotes() {
    let config = changed(&[
        r#"ENV A=2 B="two words" C=it\ is"#,
        "ENV D the rest of it",
        r#"LABEL "a.b"="x y" c=d"#,
        "expose 80 53/udp 90-91",
        r#"VOLUME ["/a b"]"#,
        "VOLUME /c /d",
        "# a comment",
    ])
    .expect("valid");
    assert_eq!(config.env, ["A=2", "B=two words", "C=it is", "D=the rest of it"]);
    assert_eq!(config.labels["a.b"], "x y");
    assert_eq!(config.labels["c"], "d");
    assert_eq!(config.exposed_ports, ["80/tcp", "53/udp", "90/tcp", "91/tcp"]);
    assert_eq!(config.volumes, ["/a b", "/c", "/d"]);
}

#[test]
fn commands() {
    let config = changed(&["CMD echo hi"]).expect("valid");
    assert_eq!(config.command, ["/bin/sh", "-c", "echo hi"]);
    let config = changed(&[r#"ENTRYPOINT ["a"]"#]).expect("valid");
    assert_eq!((config.entrypoint, config.command), (vec!["a".to_owned()], Vec::new()));
    let config = changed(&["CMD x", r#"ENTRYPOINT ["a"]"#]).expect("valid");
    assert_eq!(config.command, ["/bin/sh", "-c", "x"]);
    let config = changed(&["WORKDIR a/../b", "USER web:1", "STOPSIGNAL SIGINT"]).expect("valid");
    assert_eq!(
        (
            config.working_dir.as_str(),
            config.user.as_str(),
            config.stop_signal.as_deref()
        ),
        ("/srv/b", "web:1", Some("SIGINT"))
    );
    let check = changed(&["HEALTHCHECK --interval=1m30s --retries=2 CMD true x"]).expect("valid");
    let check = check.health.expect("a check");
    assert_eq!(check.test, HealthTest::Shell("true x".to_owned()));
    assert_eq!(
        (check.interval, check.retries),
        (Some(Duration::from_secs(90)), Some(2))
    );
}

/// As Docker Engine 28.5: the environment that the lines before have left, and the shell's variables stay the shell's.
#[test]
fn variables_are_the_image_s() {
    let config = changed(&[
        "ENV X=$A Y=${A:-none}z",
        "ENV A=b B=$A",
        "LABEL l=\"$A\"",
        "WORKDIR /w/$A",
        "EXPOSE ${P:-77} \\\n 78",
        "USER $A",
        "VOLUME /v/$A",
        "CMD echo $A",
    ])
    .expect("valid");
    assert_eq!(config.env, ["A=b", "X=1", "Y=1z", "B=1"]);
    assert_eq!(config.labels["l"], "b");
    assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/w/b", "b"));
    assert_eq!(config.exposed_ports, ["77/tcp", "78/tcp"]);
    assert_eq!(config.volumes, ["/v/b"]);
    assert_eq!(config.command, ["/bin/sh", "-c", "echo $A"]);
}
