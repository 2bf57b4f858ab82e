// SPDX-License-Identifier: MIT
//! Outlines and targets as Docker Engine 28.5 answers them.

use std::collections::BTreeMap;

use super::{outline, targets};
use crate::check::{BaseImage, CheckedStages, Mistake, Surroundings};

const FILE: &str = "\
# check=skip=StageNameCasing
# GO_V is the version
ARG GO_V=1.2
# VARIANT names which
ARG VARIANT=1
ARG NODEF

# base has the base
FROM base:${VARIANT} AS base
# INNER is inside
ARG INNER=\"x y\"
ARG GO_V
RUN --mount=type=secret,id=tok,required --mount=type=ssh --mount=type=cache,target=/c echo $INNER

# other does other
FROM base AS Other
ARG OTHER=$INNER
RUN --mount=type=secret,target=/d/opt --mount=type=ssh,id=gh,required true

FROM scratch AS unused
ARG UN=1

# a second line
# release is last

FROM other AS release
# A2 is the second
# A1 is the first
ARG A1=1 A2 A3=${A1}
FROM release
";

fn told(text: &str, target: Option<&str>, given: &[(&str, &str)]) -> Result<super::Outline, Mistake> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let arguments: BTreeMap<String, String> = given.iter().map(owned).collect();
    let predefined = BTreeMap::from([("TARGETARCH".to_owned(), "amd64".to_owned())]);
    outline(
        text,
        &Surroundings {
            arguments: &arguments,
            predefined: &predefined,
            target,
            stages: CheckedStages::Needed,
            ignore: None,
            image: &|name| {
                (name == "base:1").then(|| BaseImage {
                    environment: vec!["PATH=/p".to_owned()],
                    has_shell: false,
                })
            },
        },
    )
}

fn arguments(text: &str, target: Option<&str>, given: &[(&str, &str)]) -> Vec<String> {
    let found = told(text, target, given).expect("an outline").arguments;
    found
        .iter()
        .map(|argument| {
            let line = argument.lines.first;
            format!("{line} {}={} {}", argument.name, argument.value, argument.description)
        })
        .collect()
}

#[test]
fn all_that_a_target_can_be_given() {
    assert_eq!(
        arguments(FILE, None, &[]),
        [
            "3 GO_V=1.2 is the version",
            "5 VARIANT=1 names which",
            "11 INNER=x y is inside",
            "17 OTHER=x y ",
            "29 A1=1 is the first",
            "29 A2= is the second",
            "29 A3=1 ",
        ]
    );
    let outline = told(FILE, Some("release"), &[]).expect("an outline");
    assert_eq!(
        (outline.name.as_deref(), outline.description.as_str()),
        (Some("release"), "is last")
    );
    let needs = |needs: &[super::Need]| -> Vec<(String, bool)> {
        needs.iter().map(|need| (need.name.clone(), need.is_required)).collect()
    };
    assert_eq!(
        needs(&outline.secrets),
        [("tok".to_owned(), true), ("opt".to_owned(), false)]
    );
    assert_eq!(
        needs(&outline.agents),
        [("default".to_owned(), false), ("gh".to_owned(), true)]
    );
    assert_eq!(
        arguments(FILE, Some("base"), &[("INNER", "zz"), ("UN", "2")]),
        [
            "3 GO_V=1.2 is the version",
            "5 VARIANT=1 names which",
            "11 INNER=zz is inside"
        ]
    );
}

#[test]
fn who_is_nearest_decides() {
    let text = "# A is dep one\n# second line\nARG A=1\nARG B=$A\nARG C=unused\nFROM base:$B AS tools\n\
        ARG X1=a X2=${TARGETARCH}${C}$PATH\nARG A\nARG TARGETARCH\nENV E=$X1\nARG F=$E\nFROM scratch\nCOPY --from=tools / /\nARG X1=bb\nARG NOVAL\n";
    assert_eq!(
        arguments(text, None, &[]),
        [
            "3 A=1 is dep one",
            "4 B=1 ",
            "7 X2=/p ",
            "11 F=a ",
            "14 X1=bb ",
            "15 NOVAL= "
        ]
    );
    assert_eq!(arguments(text, Some("tools"), &[("B", "1")])[0], "3 A=1 is dep one");
}

#[test]
fn many_stages_on_long_variables_are_outlined() {
    let mut text = String::from("ARG G=global\n");
    (0..1000).for_each(|number| text.push_str(&format!("ARG G{number}=$G\n")));
    text.push_str(&format!("FROM scratch AS s0\nENV LONG={}\n", "x".repeat(1 << 20)));
    for number in 1..2000 {
        text.push_str(&format!("FROM s{} AS s{number}\nENV E{number}=1\nARG G1\n", number - 1));
    }
    text.push_str("ARG LAST=$E1$E1999$G1$E2000\n");
    assert_eq!(
        arguments(&text, None, &[]),
        ["1 G=global ", "3 G1=global ", "7001 LAST=11global "]
    );
}

#[test]
fn values_have_an_end() {
    let mut text = format!("FROM scratch\nENV LONG={}\n", "x".repeat(5 << 20));
    (0..3).for_each(|number| text.push_str(&format!("ENV E{number}=$LONG\n")));
    let error = told(&text, None, &[]).expect_err("too much");
    assert_eq!(
        error.message,
        "failed to process \"$LONG\": values are longer than 16 MiB in all"
    );
}

#[test]
fn targets_are_listed() {
    let found = targets(FILE).expect("targets");
    let shown: Vec<String> = found
        .iter()
        .map(|target| {
            let name = target.name.as_deref().unwrap_or("-");
            format!("{name} {} {} {}", target.base, target.is_default, target.description)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "base base:${VARIANT} false has the base",
            "other base false does other",
            "unused scratch false ",
            "release other false is last",
            "- release true ",
        ]
    );
}

#[test]
fn mistakes_are_those_of_builds() {
    for (text, target, message) in [
        (
            "FROM a\nRUNN x\n",
            None,
            "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
        ),
        ("FROM a\n", Some("nosuch"), "target stage \"nosuch\" could not be found"),
        (
            "FROM a\nARG X=${Y\n",
            None,
            "failed to process \"${Y\": unsupported modifier (\u{fffd}) in substitution",
        ),
    ] {
        let error = told(text, target, &[]).expect_err("a mistake");
        assert!(error.message.starts_with(message), "{text}: {}", error.message);
    }
    assert!(targets("").is_err());
}
