// SPDX-License-Identifier: MIT
//! Expectations are what Docker Engine 28.5 answers.

use std::collections::{BTreeMap, BTreeSet};

use hyperbox_types::Platform;

use super::stage::Evaluated;
use super::{Action, Base, Plan, PlannedMountKind, PlannedSource, Reference, Scope, StageWish, evaluate};
use crate::config::ImageState;

fn plan_with(text: &str, target: Option<&str>, arguments: &[(&str, &str)], named: &[&str]) -> Result<Plan, String> {
    let arguments: BTreeMap<String, String> = arguments
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let named: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let platform = Platform::parse("linux/amd64").unwrap();
    Plan::new(text, target, &arguments, &platform, named).map_err(|error| error.to_string())
}

fn plan(text: &str) -> Plan {
    plan_with(text, None, &[], &[]).unwrap()
}

fn stage_of(plan: &Plan, index: usize, base: &[&str]) -> Result<Evaluated, String> {
    let mut image = ImageState::default();
    image.config.env = base.iter().map(|line| (*line).to_owned()).collect();
    evaluate(StageWish {
        plan,
        index,
        scope: Scope::new(&image.config.env),
        image,
    })
    .map_err(|error| error.to_string())
}

fn told(text: &str, arguments: &[(&str, &str)]) -> Vec<String> {
    let plan = plan_with(text, None, arguments, &[]).unwrap();
    let stage = stage_of(&plan, plan.target, &["PATH=/bin"]).unwrap();
    stage.history.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn arguments_are_scoped_as_in_docker() {
    let text = "ARG G=global\nARG H\nFROM base AS one\nARG G\nARG H=dflt\nARG N\nENV E=$G-x F=\"a b\"\nARG E=argwins\n\
        ARG Z=$E-z P\nRUN echo $E\nARG TARGETPLATFORM\nRUN true\nLABEL q=$G\n";
    assert_eq!(
        told(text, &[("H", "given"), ("HTTP_PROXY", "http://p")]),
        [
            "ARG G=global",
            "ARG H=given",
            "ARG N",
            "ENV E=global-x F=a b",
            "ARG E=argwins",
            "ARG Z=argwins-z P",
            "RUN |6 G=global H=given N= E=argwins Z=argwins-z P= /bin/sh -c echo $E # buildkit",
            "ARG TARGETPLATFORM=linux/amd64",
            "RUN |7 G=global H=given N= E=argwins Z=argwins-z P= TARGETPLATFORM=linux/amd64 /bin/sh -c true # buildkit",
            "LABEL q=global",
        ]
    );
}

#[test]
fn proxies_are_for_processes_alone() {
    let plan = plan_with("FROM a\nRUN x\n", None, &[("HTTP_PROXY", "p"), ("other", "o")], &[]).unwrap();
    let stage = stage_of(&plan, 0, &["PATH=/bin"]).unwrap();
    let Action::Run(run) = &stage.steps[0].action else {
        panic!("no RUN")
    };
    assert_eq!(run.proxies, ["HTTP_PROXY=p", "http_proxy=p"]);
    assert_eq!(run.environment, ["PATH=/bin"]);
    assert_eq!(stage.history[0].0, "RUN /bin/sh -c x # buildkit");
}

#[test]
fn histories_and_names_of_steps_are_buildkits() {
    let text = "FROM a AS one\nWORKDIR /app\nWORKDIR sub\nUSER 5:6\nWORKDIR /\nCOPY --chown=1:2 --chmod=644 f g /x/\nADD f .\n\
        RUN <<EOF\necho one\nEOF\nRUN cat <<EOF > /hd\ntwo $G\nEOF\nCOPY <<EOF <<X /t/\nhello\nEOF\nxx\nX\nMAINTAINER me\nONBUILD RUN x\n";
    let plan = plan(text);
    let stage = stage_of(&plan, 0, &[]).unwrap();
    let told: Vec<&str> = stage.history.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(
        told,
        [
            "WORKDIR /app",
            "WORKDIR /app/sub",
            "USER 5:6",
            "WORKDIR /",
            "COPY --chown=1:2 --chmod=644 f g /x/ # buildkit",
            "ADD f . # buildkit",
            "RUN /bin/sh -c echo one\n # buildkit",
            "RUN /bin/sh -c cat <<EOF > /hd\ntwo $G\nEOF # buildkit",
            "COPY <<EOF <<X /t/ # buildkit",
            "MAINTAINER me",
        ]
    );
    let names: Vec<&str> = stage.steps.iter().map(|step| step.name.as_str()).collect();
    // The only stage is not named, even where it has a name.
    assert_eq!(names[0], "[2/9] WORKDIR /app");
    assert_eq!(names[2], "[5/9] COPY --chown=1:2 --chmod=644 f g /x/");
    assert_eq!(names[4], "[7/9] RUN <<EOF (echo one)");
    assert_eq!(stage.image.author, "me");
    assert_eq!(stage.image.config.on_build, ["RUN x"]);
}

#[test]
fn scripts_with_an_interpreter_become_files() {
    let plan = plan("FROM a\nRUN <<X\n#!/usr/bin/env python\nprint(1)\nX\n");
    let stage = stage_of(&plan, 0, &[]).unwrap();
    let Action::Run(run) = &stage.steps[0].action else {
        panic!("no RUN")
    };
    assert_eq!(run.arguments, ["/bin/sh", "-c", "/dev/pipes/X"]);
    assert_eq!(run.files[0].content, "#!/usr/bin/env python\nprint(1)\n");
}

#[test]
fn triggers_take_files_from_earlier_stages_only() {
    let plan = plan("FROM a AS first\nFROM a AS own\nFROM own AS later\n");
    let evaluated = |trigger: &str| {
        let mut image = ImageState::default();
        image.config.on_build = vec![trigger.to_owned()];
        evaluate(StageWish {
            plan: &plan,
            index: 1,
            image,
            scope: Scope::default(),
        })
    };
    for (trigger, from) in [
        ("COPY --from=own x /y", "own"),
        ("COPY --from=1 x /y", "own"),
        ("RUN --mount=from=later,target=/x true", "later"),
    ] {
        let error = evaluated(trigger).expect_err("it is not there before");
        assert_eq!(
            error.to_string(),
            format!("cannot copy from stage {from:?}, it needs to be defined before current stage \"own\"")
        );
    }
    assert!(evaluated("COPY --from=first x /y").is_ok());
}

#[test]
fn triggers_come_first_and_are_gone_then() {
    let plan = plan("FROM a\nRUN own\n");
    let mut image = ImageState::default();
    image.config.on_build = vec!["RUN trig".to_owned(), "ENV A=1".to_owned()];
    let wish = StageWish {
        plan: &plan,
        index: 0,
        image,
        scope: Scope::default(),
    };
    let stage = evaluate(wish).unwrap();
    let told: Vec<String> = stage.history.into_iter().map(|(text, _)| text).collect();
    assert_eq!(
        told,
        [
            "RUN /bin/sh -c trig # buildkit",
            "ENV A=1",
            "RUN /bin/sh -c own # buildkit"
        ]
    );
    assert!(stage.image.config.on_build.is_empty());
    assert_eq!(stage.steps[0].name, "[2/3] ONBUILD RUN trig");
}

#[test]
fn bases_are_images_stages_contexts_or_nothing() {
    let text = "ARG V=9\nFROM img:$V AS a\nFROM a AS b\nFROM scratch AS c\nFROM ctx AS d\nFROM x AS swap\nFROM --platform=linux/arm64 y\n";
    let plan = plan_with(text, None, &[], &["ctx", "swap"]).unwrap();
    let bases: Vec<Base> = plan.stages.iter().map(|stage| stage.base.clone()).collect();
    let image = |name: &str, platform: Option<&str>| Base::Image {
        name: name.to_owned(),
        platform: platform.map(str::to_owned),
    };
    assert_eq!(
        bases,
        [
            image("img:9", None),
            Base::Stage(0),
            Base::Scratch,
            Base::Named("ctx".to_owned()),
            Base::Named("swap".to_owned()),
            image("y", Some("linux/arm64")),
        ]
    );
    assert!(plan.stages[4].replaced && !plan.stages[3].replaced);
    assert_eq!(plan.stages[5].label.as_deref(), Some("stage-5"));
}

#[test]
fn mounts_have_buildkits_defaults() {
    let text = "FROM a\nWORKDIR /w\nRUN --mount=type=cache,target=c --mount=type=secret,id=s/t --mount=type=secret,id=k,env=K \
        --mount=type=ssh --mount=source=sub,target=/b --mount=type=tmpfs,target=/t,size=1m true\n";
    let plan = plan(text);
    let stage = stage_of(&plan, 0, &[]).unwrap();
    let Action::Run(run) = &stage.steps[1].action else {
        panic!("no RUN")
    };
    let targets: Vec<Option<&str>> = run.mounts.iter().map(|mount| mount.target.as_deref()).collect();
    assert_eq!(
        targets,
        [
            Some("/w/c"),
            Some("/run/secrets/t"),
            None,
            Some("/run/buildkit/ssh_agent.3"),
            Some("/b"),
            Some("/t")
        ]
    );
    assert!(matches!(&run.mounts[0].kind, PlannedMountKind::Cache { id, mode: 0o755, .. } if id == "/w/c"));
    assert!(matches!(&run.mounts[4].kind, PlannedMountKind::Bind { from: Reference::Context, path } if path == "/sub"));
    assert!(run.mounts[4].read_only);
    assert_eq!(run.working_dir, "/w");
}

#[test]
fn copies_know_where_files_come_from() {
    let text = "FROM a AS first\nFROM b\nCOPY --from=first x y\nCOPY --from=0 x y\nCOPY --from=alpine x y\nCOPY --from=Named x y\n\
        ADD https://x/y git@z:a .\nADD f /\n";
    let plan = plan_with(text, None, &[], &["named"]).unwrap();
    let stage = stage_of(&plan, 1, &[]).unwrap();
    let from = |index: usize| match &stage.steps[index].action {
        Action::Copy(copy) => copy.from.clone(),
        _ => panic!("no COPY"),
    };
    assert_eq!((from(0), from(1)), (Reference::Stage(0), Reference::Stage(0)));
    assert_eq!(from(2), Reference::Image("alpine".to_owned()));
    assert_eq!(from(3), Reference::Named("named".to_owned()));
    let Action::Copy(add) = &stage.steps[4].action else {
        panic!("no ADD")
    };
    assert_eq!(
        add.sources,
        [
            PlannedSource::Remote("https://x/y".to_owned()),
            PlannedSource::Remote("git@z:a".to_owned())
        ]
    );
    assert_eq!(stage.steps[4].references(), Vec::<&Reference>::new());
}

#[test]
fn mistakes_are_named() {
    for (text, message) in [
        ("FROM $X\n", "base name ($X) should not be blank"),
        (
            "# syntax=other/frontend\nFROM a\n",
            "frontend \"other/frontend\" is not supported",
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/ x\n",
            "invalid mount target \"/\"",
        ),
        (
            "FROM a\nRUN --mount=from=$x,target=/y x\n",
            "doesn't support variable expansion",
        ),
        ("FROM a\nSTOPSIGNAL nope\n", "invalid signal: nope"),
        ("FROM a\nEXPOSE x\n", "invalid containerPort: x"),
        ("FROM a\nENV X=\"${y:?must be}\"\n", "must be"),
        ("FROM a AS b\nCOPY --from=3 x y\n", "invalid stage index 3"),
    ] {
        let failed = plan_with(text, None, &[], &[]).and_then(|plan| stage_of(&plan, 0, &[]).map(drop));
        let error = failed.unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
    assert!(
        plan_with("FROM a\n", Some("b"), &[], &[])
            .unwrap_err()
            .contains("target stage \"b\" could not be found")
    );
    for known in [
        "docker/dockerfile:1",
        "docker.io/docker/dockerfile:1.7-labs",
        "docker/dockerfile@sha256:x",
    ] {
        assert!(plan_with(&format!("# syntax={known}\nFROM a\n"), None, &[], &[]).is_ok());
    }
}
