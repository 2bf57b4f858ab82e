// SPDX-License-Identifier: MIT
//! What of the context a Dockerfile can read, so that nothing else is asked for. Pure, and never less than what the build reads.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use hyperbox_dockerfile::{Copy, Dockerfile, Globals, Instruction, MountKind, Source, StageGraph};

/// What is read of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Nothing.
    Nothing,
    /// These paths, which may be patterns.
    Paths(Vec<String>),
    /// Nobody can tell, or all of it.
    Everything,
}

/// Finds out for a target. `triggers` tells whether an image may bring instructions of its own (ONBUILD).
pub(crate) fn reads(
    file: &Dockerfile,
    target: Option<&str>,
    given: &BTreeMap<String, String>,
    triggers: impl Fn(&str) -> bool,
) -> Reads {
    let mut paths = BTreeSet::new();
    let mut stages: HashSet<&str> = HashSet::new();
    let needed = needed(file, target, given);
    for (index, stage) in file.stages.iter().enumerate() {
        let known = || stage.base == "scratch" || stages.contains(stage.base.to_lowercase().as_str());
        let asks = needed.contains(&index) && !known();
        stages.extend(stage.name.as_deref());
        if !needed.contains(&index) {
            continue;
        }
        if asks && triggers(&stage.base) {
            return Reads::Everything;
        }
        for instruction in &stage.instructions {
            if !add(&instruction.value, &mut paths) {
                return Reads::Everything;
            }
        }
    }
    match paths.is_empty() {
        true => Reads::Nothing,
        false => Reads::Paths(paths.into_iter().collect()),
    }
}

/// Returns the stages that are built: all of them where that cannot be told from the file and the arguments alone, none where there is
/// no such target, which the build tells.
fn needed(file: &Dockerfile, target: Option<&str>, given: &BTreeMap<String, String>) -> BTreeSet<usize> {
    // What is predefined depends on the machine: nobody says so here.
    let all = || (0..file.stages.len()).collect();
    let Ok(globals) = Globals::new(file, given, BTreeMap::new()) else {
        return all();
    };
    let unknown = Cell::new(globals.arguments().iter().any(|argument| argument.uses_unknown));
    let graph = StageGraph::new(file, target, |base| {
        let base = globals.expand(base);
        unknown.set(unknown.get() || base.uses_unknown || base.result.is_err());
        base.result.unwrap_or_default()
    });
    match graph {
        _ if unknown.get() => all(),
        Ok(graph) => graph.needed.into_iter().collect(),
        Err(_) => BTreeSet::new(),
    }
}

/// Adds what an instruction reads; tells whether that can be told.
fn add(instruction: &Instruction, paths: &mut BTreeSet<String>) -> bool {
    match instruction {
        Instruction::Copy(copy) => add_sources(copy, paths),
        Instruction::Add(add) => add_sources(&add.copy, paths),
        Instruction::Run(run) => run.mounts.iter().all(|mount| match &mount.kind {
            MountKind::Bind { from: None, source } => add_path(source.as_deref().unwrap_or("/"), paths),
            MountKind::Cache {
                from: None,
                source: Some(source),
                ..
            } => add_path(source, paths),
            _ => true,
        }),
        // What it brings may be built upon in the same file.
        Instruction::OnBuild(_) => false,
        _ => true,
    }
}

fn add_sources(copy: &Copy, paths: &mut BTreeSet<String>) -> bool {
    // A stage may be named by a variable, and that may be nothing.
    if copy.from.as_deref().is_some_and(|from| !from.contains('$')) {
        return true;
    }
    copy.sources.iter().all(|source| match source {
        Source::Path(path) => add_path(path, paths),
        Source::Heredoc(_) => true,
    })
}

fn add_path(path: &str, paths: &mut BTreeSet<String>) -> bool {
    if path.contains("://") || path.starts_with("git@") {
        return true;
    }
    // Variables, escapes and the separator of `--parents` mean something only when the build evaluates them.
    if path.contains(['$', '\\', '"', '\'']) || path.split('/').any(|part| part == "..") {
        return false;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() {
        return false;
    }
    paths.insert(parts.join("/"));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Reads {
        of_target(text, None)
    }

    fn of_target(text: &str, target: Option<&str>) -> Reads {
        let given = BTreeMap::from([("GIVEN".to_owned(), "b".to_owned())]);
        let file = Dockerfile::parse(text).expect("a Dockerfile");
        reads(&file, target, &given, |image| image == "triggers")
    }

    #[test]
    fn only_stages_that_are_built_count() {
        let text = "ARG GIVEN=x\nFROM a AS a\nCOPY one /\nFROM a AS b\nCOPY two /\nFROM triggers AS c\nFROM $GIVEN\nCOPY three /\n";
        let paths = |paths: &[&str]| Reads::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
        assert_eq!(of_target(text, None), paths(&["one", "three", "two"]));
        assert_eq!(of_target(text, Some("a")), paths(&["one"]));
        assert_eq!(of_target(text, Some("c")), Reads::Everything);
        // The build tells that there is none.
        assert_eq!(of_target(text, Some("nosuch")), Reads::Nothing);
        // What it stands on depends on the machine.
        let variable = "FROM a AS a-amd64\nCOPY one /\nFROM a AS unused\nCOPY two /\nFROM a-$TARGETARCH\n";
        assert_eq!(of_target(variable, None), paths(&["one", "two"]));
    }

    #[test]
    fn files_of_many_stages_are_looked_into() {
        let mut text = String::from("FROM a AS s0\n");
        (1..50_000).for_each(|number| text.push_str(&format!("FROM s{} AS s{number}\n", number - 1)));
        text.push_str("COPY one /\n");
        assert_eq!(of(&text), Reads::Paths(vec!["one".to_owned()]));
    }

    #[test]
    fn paths_are_collected() {
        for (text, expected) in [
            ("FROM a\nRUN x\n", Some(&[][..])),
            ("FROM a\nCOPY x ./y/z/ /d/\n", Some(&["x", "y/z"])),
            ("FROM a\nCOPY *.go go.??? /d/\n", Some(&["*.go", "go.???"])),
            (
                "FROM a AS b\nFROM b\nCOPY --from=b x /\nADD http://h/x y /\n",
                Some(&["y"]),
            ),
            ("FROM a\nRUN --mount=type=bind,source=s,target=/t x\n", Some(&["s"])),
            ("FROM a\nCOPY <<E /x\ntext\nE\n", Some(&[])),
            ("FROM a\nRUN --mount=type=bind,target=/t x\n", None),
            ("FROM a\nCOPY . /\n", None),
            ("FROM a\nCOPY / /\n", None),
            ("FROM a\nCOPY $X /\n", None),
            ("FROM a\nCOPY ../x /\n", None),
            ("FROM triggers\n", None),
            ("FROM a AS triggers\nFROM triggers\n", Some(&[])),
            ("FROM triggers\nFROM a\nCOPY x /\n", Some(&["x"])),
            ("FROM a\nONBUILD COPY x /\n", None),
        ] {
            let expected = match expected {
                None => Reads::Everything,
                Some([]) => Reads::Nothing,
                Some(paths) => Reads::Paths(paths.iter().map(|path| (*path).to_owned()).collect()),
            };
            assert_eq!(of(text), expected, "{text}");
        }
    }
}
