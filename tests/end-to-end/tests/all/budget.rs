// SPDX-License-Identifier: MIT
//! What one container's life may cost: system calls of the daemon, its launcher, the shim and the container's first process.
//!
//! Times on a busy machine say nothing; these counts are the same everywhere. The budget is recorded in `budget.txt`: upper bounds a
//! little above what is needed. Who raises one says in the commit what the start got for it; who saves lowers it. Calls that fail do not
//! count: a program is looked for in several directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::wait_for;

/// Lives that are averaged: pools are refilled beside them, in batches.
const LIVES: u32 = 20;

/// What a life may need: for each scenario and kind the most calls of one life.
const RECORDED: &str = include_str!("budget.txt");

/// Kinds of system calls by the names that the file has for them; none means all.
const KINDS: [(&str, &[&str]); 5] = [
    ("execute", &["execve", "execveat"]),
    ("fork", &["clone", "clone3", "fork", "vfork"]),
    ("mkdir", &["mkdir", "mkdirat"]),
    ("open", &["open", "openat", "openat2"]),
    ("all", &[]),
];

#[test]
fn privileged_a_life_keeps_its_budget_of_system_calls() {
    let environment = TestEnvironment::with_starter();
    let mut over = Vec::new();
    for (scenario, options) in [("bridge", &[][..]), ("none", &["--network", "none"])] {
        for _ in 0..3 {
            environment.run(options, &["true"]);
        }
        let counts = count_calls(&environment, || {
            for _ in 0..LIVES {
                environment.run(options, &["true"]);
            }
        });
        // A count that sees nothing would keep every budget.
        assert!(
            counts.get("execve").is_some_and(|calls| *calls >= u64::from(LIVES)),
            "{counts:#?}"
        );
        for (kind, names) in KINDS {
            let each = of_each_life(&counts, names);
            let budget = recorded(scenario, kind);
            println!("{scenario} {kind}: {each:.1} of {budget}");
            if each > budget {
                over.push(format!("{scenario} {kind}: {each:.1}, budget {budget}\n{counts:#?}"));
            }
        }
    }
    assert!(over.is_empty(), "over budget: {}", over.join("\n"));
    environment.finish();
}

/// Returns how many of these calls each life needed.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn of_each_life(counts: &BTreeMap<String, u64>, names: &[&str]) -> f64 {
    let counted = counts
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(&name.as_str()));
    counted.map(|(_, calls)| *calls).sum::<u64>() as f64 / f64::from(LIVES)
}

/// Reads a number of the recorded budget.
fn recorded(scenario: &str, kind: &str) -> f64 {
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let mut rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.len() == 3 && row[0] == scenario && row[1] == kind);
    row.and_then(|row| row[2].parse().ok())
        .unwrap_or_else(|| panic!("budget.txt has no line for {scenario} {kind}"))
}

/// Counts the system calls that succeed, of the daemon and of all its descendants, by name, while `work` runs.
fn count_calls(environment: &TestEnvironment, work: impl FnOnce()) -> BTreeMap<String, u64> {
    let file = environment.path("calls");
    let mut strace = attached(environment.daemon_pid(), &file);
    work();
    // Asked to end, it lets go of all and writes what it counted.
    let asked = Command::new("kill").args(["-INT", &strace.0.id().to_string()]).status();
    assert!(asked.unwrap().success());
    strace.0.wait().unwrap();
    let text = fs::read_to_string(&file).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, calls) = (words.next()?, words.next()?.parse::<u64>().ok()?);
            let failed = words.next().map_or(Some(0), |failed| failed.parse::<u64>().ok())?;
            Some((name.to_owned(), calls - failed))
        })
        .filter(|(name, _)| name != "total")
        .collect()
}

/// Attaches to a daemon and all its descendants. A shim that is forked ahead between the look at the family and the moment in which its
/// parent is traced would be missed, and with it a whole life: then everything is let go and attached again.
fn attached(daemon: u32, file: &Path) -> Tracer {
    let mut tracer = None;
    wait_for("strace to see every thread of a whole family", || {
        let pids = family(daemon);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-U", "name,calls,errors", "-o"]).arg(file);
        for pid in &pids {
            strace.args(["-p", &pid.to_string()]);
        }
        // The one before lets go with its end.
        drop(tracer.take());
        let started = strace.stderr(Stdio::null()).spawn();
        tracer = Some(Tracer(started.expect("strace starts (package strace)")));
        wait_for("strace to see every thread", || match untraced(&pids) {
            unseen if unseen.is_empty() => Ok(()),
            unseen => Err(format!("{unseen:?}")),
        });
        // What is forked from here on is traced from its first call.
        match untraced(&family(daemon)) {
            missed if missed.is_empty() => Ok(()),
            missed => Err(format!("{missed:?}")),
        }
    });
    tracer.expect("an attached strace")
}

/// Returns the threads of these processes that have no tracer.
fn untraced(pids: &[u32]) -> Vec<String> {
    let threads = pids.iter().flat_map(|pid| threads(*pid));
    threads.filter(|path| !is_traced(path)).collect()
}

/// Ends with the test, also with one that fails.
struct Tracer(Child);

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Returns a process and all its descendants.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        for thread in threads(pid) {
            let children = fs::read_to_string(format!("{thread}/children")).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    all
}

fn threads(pid: u32) -> Vec<String> {
    let directory = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    directory
        .map(|thread| thread.unwrap().path().to_string_lossy().into_owned())
        .collect()
}

/// Tells whether a thread has a tracer; one that has ended needs none.
fn is_traced(thread: &str) -> bool {
    let status = fs::read_to_string(format!("{thread}/status")).unwrap_or_else(|_| "TracerPid:\tended".to_owned());
    !status.contains("TracerPid:\t0\n")
}
