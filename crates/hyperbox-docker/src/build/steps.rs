// SPDX-License-Identifier: MIT
//! `Step 3/9 : RUN make`: the instructions of a Dockerfile as the classic builder counts them. Pure.
//!
//! It counts all instructions, from the first ARG to the last one of the target's stage, and one more for labels that the client wants.
//! Those of stages that are not needed do not count here: they are not done. Ours are done side by side, so a step is told when it begins,
//! with its own number, after those before it in its stage.

use std::collections::{BTreeMap, HashMap};

use hyperbox_dockerfile::{Dockerfile, Globals, Lines, StageGraph};

/// What decides how many steps a build has, besides its Dockerfile.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) target: Option<String>,
    pub(super) arguments: BTreeMap<String, String>,
    /// Variables that each file has.
    pub(super) predefined: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
}

/// The instructions of a build.
#[derive(Debug, Default)]
pub(super) struct Steps {
    rows: Vec<Row>,
    /// What stands together: what is before the first stage, and each stage.
    parts: Vec<Part>,
    /// Where each is.
    places: HashMap<Lines, usize>,
}

#[derive(Debug)]
struct Row {
    part: usize,
    text: String,
}

/// Rows that stand together.
#[derive(Debug)]
struct Part {
    /// The first one that was not told.
    next: usize,
    /// Behind the last one.
    end: usize,
}

impl Steps {
    /// Counts the instructions of a Dockerfile. One that is malformed has none: the build says why.
    pub(super) fn of(text: &str, asked: &Asked) -> Self {
        Self::counted(text, asked).unwrap_or_default()
    }

    fn counted(text: &str, asked: &Asked) -> Option<Self> {
        let file = Dockerfile::parse(text).ok()?;
        let globals = Globals::new(&file, &asked.arguments, asked.predefined.clone()).ok()?;
        let base = |word: &str| globals.expand(word).result.unwrap_or_else(|_| word.to_owned());
        let graph = StageGraph::new(&file, asked.target.as_deref(), base).ok()?;
        let written_lines: Vec<&str> = text.lines().collect();
        let mut steps = Self::default();
        // One ARG can have several arguments.
        let mut before: Vec<_> = file.arguments.iter().map(|one| (one.lines, one.text.clone())).collect();
        before.dedup_by_key(|(lines, _)| *lines);
        steps.part(before);
        for index in &graph.needed {
            let stage = &file.stages[*index];
            let from = (stage.lines, written(&written_lines, stage.lines));
            let own = stage.instructions.iter().map(|one| (one.lines, one.text.clone()));
            steps.part(std::iter::once(from).chain(own));
        }
        // They belong to the target, which is the last stage that is needed.
        if let Some(part) = steps.parts.len().checked_sub(1).filter(|_| !asked.labels.is_empty()) {
            let pairs: Vec<String> = asked
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let text = format!("LABEL {}", pairs.join(" "));
            steps.rows.push(Row { part, text });
            steps.parts[part].end += 1;
        }
        Some(steps)
    }

    fn part(&mut self, rows: impl IntoIterator<Item = (Lines, String)>) {
        let (part, next) = (self.parts.len(), self.rows.len());
        for (lines, text) in rows {
            self.places.entry(lines).or_insert(self.rows.len());
            self.rows.push(Row { part, text });
        }
        let end = self.rows.len();
        self.parts.push(Part { next, end });
    }

    /// Returns what is told when the step at these lines begins, such as `3/9 : RUN make`: those before it in its stage that were not
    /// told, and itself. Empty when it was told.
    pub(super) fn begin(&mut self, lines: Lines) -> Vec<String> {
        let Some(at) = self.places.get(&lines).copied() else {
            return Vec::new();
        };
        let mut told = self.tell(0, at + 1);
        told.extend(self.tell(self.rows[at].part, at + 1));
        told
    }

    /// Returns what was not told: what makes no layer, at the end of stages.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let all = self.rows.len();
        (0..self.parts.len()).flat_map(|part| self.tell(part, all)).collect()
    }

    /// Tells what of a part was not told, as far as that is before a row.
    fn tell(&mut self, part: usize, before: usize) -> Vec<String> {
        let total = self.rows.len();
        let part = &mut self.parts[part];
        let first = part.next;
        part.next = before.min(part.end).max(first);
        let rows = self.rows[first..part.next].iter().enumerate();
        rows.map(|(index, row)| format!("{}/{total} : {}", first + index + 1, row.text))
            .collect()
    }
}

/// Returns a FROM line as it is written.
fn written(text: &[&str], lines: Lines) -> String {
    let own = text.get(lines.first.saturating_sub(1)..lines.last.min(text.len()));
    let own = own.into_iter().flatten().map(|line| line.trim());
    let joined: Vec<&str> = own.map(|line| line.trim_end_matches(['\\', '`']).trim_end()).collect();
    joined.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = list
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect()
    }

    fn steps(text: &str, target: Option<&str>, arguments: &[(&str, &str)], labels: &[(&str, &str)]) -> Steps {
        let asked = Asked {
            target: target.map(str::to_owned),
            arguments: pairs(arguments),
            predefined: pairs(&[("TARGETARCH", "amd64")]),
            labels: pairs(labels),
        };
        Steps::of(text, &asked)
    }

    const FILE: &str = "ARG BASE=one\nARG X Y\nFROM scratch AS one\nLABEL a=b\nCOPY f /f\nFROM scratch AS unused\nCOPY f /z\n\
                        # comment\nFROM \\\n  ${BASE} AS two\nENV x=y\nCOPY --from=one /f \\\n /g\nCMD [\"x\"]\n";

    #[test]
    fn instructions_are_counted_as_by_the_classic_builder() {
        let mut steps = steps(FILE, None, &[], &[("l", "v")]);
        assert_eq!(
            steps.begin(Lines::one(5)),
            [
                "1/10 : ARG BASE=one",
                "2/10 : ARG X Y",
                "3/10 : FROM scratch AS one",
                "4/10 : LABEL a=b",
                "5/10 : COPY f /f"
            ]
        );
        assert!(steps.begin(Lines::one(5)).is_empty(), "told once");
        assert!(steps.begin(Lines::one(7)).is_empty(), "not needed");
        let lines = Lines { first: 9, last: 10 };
        assert_eq!(steps.begin(lines), ["6/10 : FROM ${BASE} AS two"]);
        let lines = Lines { first: 12, last: 13 };
        assert_eq!(steps.begin(lines), ["7/10 : ENV x=y", "8/10 : COPY --from=one /f  /g"]);
        assert_eq!(steps.rest(), ["9/10 : CMD [\"x\"]", "10/10 : LABEL l=v"]);
        assert!(steps.rest().is_empty());
    }

    #[test]
    fn only_what_is_needed_counts() {
        for (target, arguments, total) in [
            (Some("one"), &[][..], 5),
            (Some("unused"), &[], 4),
            (None, &[("BASE", "unused")], 11),
            (Some("nowhere"), &[], 0),
        ] {
            let mut steps = steps(FILE, target, arguments, &[]);
            assert_eq!(steps.rest().len(), total, "{target:?} {arguments:?}");
        }
        let mut steps = steps("RUN nothing\n", None, &[], &[]);
        assert!(steps.rest().is_empty());
    }

    #[test]
    fn bases_mean_what_they_mean_to_the_build() {
        for base in ["base$V", "$B", "base3-$TARGETARCH"] {
            let name = if base.contains("ARCH") { "base3-amd64" } else { "base3" };
            let file = format!("ARG V=3\nARG B=base$V\nFROM a AS {name}\nRUN 1\nFROM {base}\nRUN 2\n");
            let mut steps = steps(&file, None, &[], &[]);
            assert_eq!(
                steps.begin(Lines::one(4)).last().map(String::as_str),
                Some("4/6 : RUN 1"),
                "{base}"
            );
        }
    }

    #[test]
    fn thousands_of_stages_are_counted() {
        let mut file = String::from("FROM a AS s0\n");
        (1..50_000).for_each(|number| file.push_str(&format!("FROM s{} AS s{number}\n", number - 1)));
        let mut steps = steps(&file, None, &[], &[]);
        for line in 1..50_000 {
            assert_eq!(steps.begin(Lines::one(line)).len(), 1);
        }
        assert_eq!(steps.rest(), ["50000/50000 : FROM s49998 AS s49999"]);
    }

    #[test]
    fn stages_that_are_done_side_by_side_are_told_as_they_begin() {
        let file = "FROM a AS x\nRUN 1\nFROM b AS y\nRUN 2\nFROM c\nCOPY --from=x / /\nCOPY --from=y / /\n";
        let mut steps = steps(file, None, &[], &[]);
        let mut told = Vec::new();
        for line in [3, 1, 4, 2, 6, 7] {
            told.extend(steps.begin(Lines::one(line)));
        }
        let numbers: Vec<&str> = told.iter().filter_map(|text| text.split('/').next()).collect();
        assert_eq!(numbers, ["3", "1", "4", "2", "5", "6", "7"]);
    }
}
