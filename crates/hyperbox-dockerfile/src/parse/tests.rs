// SPDX-License-Identifier: MIT
//! Tables of instructions and of mistakes.

use proptest::prelude::*;

use super::*;
use crate::instruction::{Healthcheck, KeyValue, RunNetwork, Source};
use crate::{MountKind, RunSecurity};

fn one(line: &str) -> Instruction {
    let file = Dockerfile::parse(&format!("FROM scratch\n{line}\n")).unwrap_or_else(|error| panic!("{line}: {error}"));
    file.stages[0].instructions[0].value.clone()
}

fn mistake(text: &str) -> String {
    Dockerfile::parse(text).unwrap_err().to_string()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn stages_and_arguments_before_them() {
    let file = Dockerfile::parse(
        "# syntax=docker/dockerfile:1\nARG V=1 W\nFROM --platform=$BUILDPLATFORM base:$V AS Build\nRUN a\nfrom build as next\nFROM scratch\n",
    )
    .unwrap();
    assert_eq!(file.directives.syntax.as_deref(), Some("docker/dockerfile:1"));
    let arguments: Vec<_> = file
        .arguments
        .iter()
        .map(|one| (one.value.name.as_str(), one.value.default.as_deref()))
        .collect();
    assert_eq!(arguments, [("V", Some("1")), ("W", None)]);
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| (stage.name.as_deref(), stage.base.as_str(), stage.lines.first))
        .collect();
    assert_eq!(
        stages,
        [
            (Some("build"), "base:$V", 3),
            (Some("next"), "build", 5),
            (None, "scratch", 6)
        ]
    );
    assert_eq!(file.stages[0].platform.as_deref(), Some("$BUILDPLATFORM"));
    assert_eq!(file.stages[0].instructions[0].text, "RUN a");
}

#[test]
fn simple_instructions() {
    let pair = |name: &str, value: &str| KeyValue {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        one("CMD [\"a\", \"b\"]"),
        Instruction::Command(CommandLine::Exec(texts(&["a", "b"])))
    );
    assert_eq!(
        one("cmd a  b"),
        Instruction::Command(CommandLine::Shell("a  b".to_owned()))
    );
    assert_eq!(one("CMD"), Instruction::Command(CommandLine::Shell(String::new())));
    assert_eq!(
        one("ENTRYPOINT []"),
        Instruction::Entrypoint(CommandLine::Exec(Vec::new()))
    );
    assert_eq!(
        one("ENV a=\"b c\" d=$e"),
        Instruction::Environment(vec![pair("a", "\"b c\""), pair("d", "$e")])
    );
    assert_eq!(one("LABEL \"x y\"=z"), Instruction::Label(vec![pair("\"x y\"", "z")]));
    assert_eq!(
        one("EXPOSE 80 90/udp $P"),
        Instruction::Expose(texts(&["80", "90/udp", "$P"]))
    );
    assert_eq!(one("VOLUME /a /b"), Instruction::Volume(texts(&["/a", "/b"])));
    assert_eq!(one("VOLUME [\"/a b\"]"), Instruction::Volume(texts(&["/a b"])));
    assert_eq!(one("WORKDIR /a b"), Instruction::WorkingDirectory("/a b".to_owned()));
    assert_eq!(one("USER 1:2"), Instruction::User("1:2".to_owned()));
    assert_eq!(one("STOPSIGNAL 9"), Instruction::StopSignal("9".to_owned()));
    assert_eq!(one("SHELL [\"sh\", \"-c\"]"), Instruction::Shell(texts(&["sh", "-c"])));
    assert_eq!(one("ONBUILD COPY x"), Instruction::OnBuild("COPY x".to_owned()));
    assert_eq!(one("MAINTAINER a b"), Instruction::Maintainer("a b".to_owned()));
    assert_eq!(one("ONBUILD copy a b"), Instruction::OnBuild("copy a b".to_owned()));
    assert_eq!(
        one("ONBUILD RUN <<E\nx\nE"),
        Instruction::OnBuild("RUN <<E\nx\nE".to_owned())
    );
}

#[test]
fn copies() {
    let Instruction::Copy(copy) =
        one("COPY --from=build --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=b a 'b c' /d/")
    else {
        panic!("no COPY");
    };
    assert_eq!(
        (copy.from.as_deref(), copy.owner.as_deref(), copy.mode.as_deref()),
        (Some("build"), Some("1:2"), Some("u+x"))
    );
    assert!(copy.link && copy.parents);
    assert_eq!(copy.excludes, texts(&["*.o", "b"]));
    assert_eq!(
        copy.sources,
        ["a", "'b", "c'"].map(|path| Source::Path(path.to_owned()))
    );
    assert_eq!(copy.destination, "/d/");
    let Instruction::Copy(copy) = one("COPY [\"a b\", \"c\"]") else {
        panic!("no COPY")
    };
    assert_eq!(
        (copy.sources.as_slice(), copy.destination.as_str()),
        ([Source::Path("a b".to_owned())].as_slice(), "c")
    );
    let Instruction::Copy(copy) = one("COPY <<one <<\"two\" file /d/\n1 $x\none\n2\ntwo") else {
        panic!("no COPY")
    };
    let [Source::Path(path), Source::Heredoc(one_file), Source::Heredoc(two_file)] = copy.sources.as_slice() else {
        panic!("{:?}", copy.sources);
    };
    assert_eq!(
        (
            one_file.content.as_str(),
            one_file.expands,
            two_file.content.as_str(),
            two_file.expands
        ),
        ("1 $x\n", true, "2\n", false)
    );
    assert_eq!(path, "file");
    let Instruction::Add(add) =
        one("ADD --checksum=sha256:0 --keep-git-dir=true --unpack=false --chown=x http://a/b /c")
    else {
        panic!("no ADD");
    };
    assert_eq!(
        (add.checksum.as_deref(), add.keep_git_directory, add.unpack),
        (Some("sha256:0"), true, Some(false))
    );
    assert_eq!(add.copy.owner.as_deref(), Some("x"));
}

#[test]
fn runs() {
    let run = |line: &str| match one(line) {
        Instruction::Run(run) => run,
        other => panic!("{other:?}"),
    };
    let plain = run(
        "RUN --mount=type=cache,target=/c --mount=type=secret,id=s --network=none --security=insecure make -j && $x",
    );
    assert_eq!(plain.command, CommandLine::Shell("make -j && $x".to_owned()));
    assert_eq!(plain.mounts.len(), 2);
    assert!(matches!(plain.mounts[0].kind, MountKind::Cache { .. }));
    assert_eq!(
        (plain.network, plain.security),
        (RunNetwork::None, RunSecurity::Insecure)
    );
    assert_eq!(run("RUN [\"a\"]").command, CommandLine::Exec(texts(&["a"])));
    assert_eq!(run("RUN [ -f x ]").command, CommandLine::Shell("[ -f x ]".to_owned()));
    let script = run("RUN <<EOF\n#!/bin/sh\necho\nEOF");
    assert_eq!(script.heredocs[0].content, "#!/bin/sh\necho\n");
}

#[test]
fn health_checks() {
    assert_eq!(one("HEALTHCHECK none"), Instruction::Healthcheck(Healthcheck::None));
    assert_eq!(
        one("HEALTHCHECK --interval= --retries= CMD true"),
        one("HEALTHCHECK CMD true")
    );
    let Instruction::Healthcheck(Healthcheck::Command {
        command,
        interval,
        retries,
        timeout,
        ..
    }) = one("HEALTHCHECK --interval=5s --retries=3 CMD curl x")
    else {
        panic!("no command");
    };
    assert_eq!(command, CommandLine::Shell("curl x".to_owned()));
    assert_eq!(
        (interval.as_deref(), retries.as_deref(), timeout),
        (Some("5s"), Some("3"), None)
    );
}

#[test]
fn mistakes_are_told_as_docker_tells_them() {
    for (text, message) in [
        ("", "the Dockerfile cannot be empty"),
        ("# only a comment\n", "file with no instructions"),
        ("ARG a\n", "dockerfile contains no stages to build"),
        ("RUN a\n", "no build stage in current context"),
        (
            "FROM a\n\nFOO b\n",
            "dockerfile parse error on line 3: unknown instruction: FOO (did you mean FROM?)",
        ),
        (
            "FROM a\nSOMETHING b\n",
            "dockerfile parse error on line 2: unknown instruction: SOMETHING",
        ),
        (
            "FROM\n",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
        ),
        (
            "FROM a b\n",
            "dockerfile parse error on line 1: FROM requires either one or three arguments",
        ),
        (
            "FROM a AS 1x\n",
            "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
        ),
        (
            "FROM --platfrom=x a\n",
            "dockerfile parse error on line 1: unknown flag: --platfrom (did you mean platform?)",
        ),
        (
            "FROM a\nCOPY x\n",
            "dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nCOPY --form=x a b\n",
            "dockerfile parse error on line 2: unknown flag: --form (did you mean from?)",
        ),
        (
            "FROM a\nCOPY a <<E\nE\n",
            "dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination",
        ),
        (
            "FROM a\nADD x\n",
            "dockerfile parse error on line 2: ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nENV\n",
            "dockerfile parse error on line 2: ENV requires at least one argument",
        ),
        ("FROM a\nENV a\n", "ENV must have two arguments"),
        (
            "FROM a\nRUN --mount=type=x,target=/a b\n",
            "unsupported mount type \"x\"",
        ),
        (
            "FROM a\nRUN --network=x b\n",
            "dockerfile parse error on line 2: invalid network mode \"x\"",
        ),
        (
            "FROM a\nCMD [\"a\", 1]\n",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        (
            "FROM a\nSHELL sh\n",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form",
        ),
        (
            "FROM a\nSHELL []\n",
            "dockerfile parse error on line 2: SHELL requires at least one argument",
        ),
        (
            "FROM a\nUSER\n",
            "dockerfile parse error on line 2: USER requires exactly one argument",
        ),
        (
            "FROM a\nVOLUME\n",
            "dockerfile parse error on line 2: VOLUME requires at least one argument",
        ),
        (
            "FROM a\nVOLUME [\"\"]\n",
            "dockerfile parse error on line 2: VOLUME specified can not be an empty string",
        ),
        (
            "FROM a\nEXPOSE\n",
            "dockerfile parse error on line 2: EXPOSE requires at least one argument",
        ),
        (
            "FROM a\nHEALTHCHECK\n",
            "dockerfile parse error on line 2: HEALTHCHECK requires at least one argument",
        ),
        (
            "FROM a\nHEALTHCHECK FOO\n",
            "dockerfile parse error on line 2: Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
        ),
        (
            "FROM a\nHEALTHCHECK CMD\n",
            "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD",
        ),
        (
            "FROM a\nHEALTHCHECK NONE x\n",
            "dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments",
        ),
        (
            "FROM a\nONBUILD\n",
            "dockerfile parse error on line 2: ONBUILD requires at least one argument",
        ),
        (
            "FROM a\nONBUILD ONBUILD RUN x\n",
            "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
        ),
        (
            "FROM a\nONBUILD FROM x\n",
            "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM a\nRUN []\n",
            "dockerfile parse error on line 2: no command specified",
        ),
        (
            "FROM a\nUSER --x y\n",
            "dockerfile parse error on line 2: unknown flag: --x",
        ),
    ] {
        assert_eq!(mistake(text), message, "{text:?}");
    }
}

#[test]
fn changes_of_a_configuration() {
    let changes = Dockerfile::parse_changes("USER \\\n x\n# a comment\nonbuild RUN y").unwrap();
    let values: Vec<Instruction> = changes.into_iter().map(|one| one.value).collect();
    assert_eq!(
        values,
        [
            Instruction::User("x".to_owned()),
            Instruction::OnBuild("RUN y".to_owned())
        ]
    );
    let message = |text| Dockerfile::parse_changes(text).unwrap_err().message;
    assert_eq!(message("USER\nRUN x"), "RUN is not a valid change command");
    assert_eq!(message("FROM x"), "FROM is not a valid change command");
    assert_eq!(message("# nothing"), "file with no instructions");
    assert_eq!(message("USER"), "USER requires exactly one argument");
}

proptest! {
    #[test]
    fn nothing_panics(text in "(FROM a\n)?((RUN|COPY|ENV|ONBUILD|HEALTHCHECK|ADD|VOLUME) ?[-a<= \\\\\"'\\[\\],$\n]{0,20}\n){0,4}") {
        let _any = Dockerfile::parse(&text);
    }

    #[test]
    fn lines_never_leave_the_text(text in "[A-Z\\\\ <\n#]{0,60}") {
        if let Err(error) = Dockerfile::parse(&text)
            && let Some(lines) = error.lines
        {
            prop_assert!(lines.first >= 1 && lines.first <= lines.last && lines.last <= text.lines().count());
            lines.excerpt("Dockerfile", &text);
        }
    }
}
