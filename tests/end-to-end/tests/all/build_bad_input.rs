// SPDX-License-Identifier: MIT
//! Builds that cannot succeed, and clients that go: the reason is told, nothing is tagged by half, no process and no file stays.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use hyperbox_testkit::environment::{Output, STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::disk_errors::small;
use crate::project_folder::Folder;

/// Writes a context with a Dockerfile; returns its path.
fn context(environment: &TestEnvironment, dockerfile: &str) -> String {
    let path = environment.path("context");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("Dockerfile"), dockerfile).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Tells whether a process with these words runs on this machine.
fn runs(words: &str) -> bool {
    let wanted = words.replace(' ', "\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).trim_end_matches('\0') == wanted)
}

/// Requires that of builds only the starter and `others` are there, and that nothing is under way any more.
#[track_caller]
fn nothing_is_left(environment: &TestEnvironment, others: &[&str]) {
    let names = environment
        .hb(["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .succeeds();
    let mut names: Vec<&str> = names.lines().collect();
    names.retain(|name| *name != STARTER && !others.contains(name));
    assert_eq!(names, [""; 0]);
    wait_for("files of a build to go", || {
        let mut left = Vec::new();
        for place in ["content/ingest", "overlay/staging", "spool", "build/files", "build/run"] {
            let entries = fs::read_dir(environment.root().join(place));
            left.extend(entries.into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}

fn end(environment: TestEnvironment) {
    environment.hb(["builder", "prune", "-af"]).succeeds();
    environment.finish();
}

fn spawn(command: &mut Command) -> Child {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Reads what a client says until a line has this text.
fn wait_until_it_says(client: &mut Child, text: &str) {
    let mut said = String::new();
    for line in BufReader::new(client.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains(text) {
            return;
        }
        said.push_str(&format!("{line}\n"));
    }
    panic!("it never said {text:?}: {said}");
}

fn a_client_goes(signal: &str) {
    let environment = TestEnvironment::with_starter();
    // Nobody else sleeps so long.
    let sleep = format!("sleep {}", 1_000_000 + u64::from(std::process::id()));
    let context = context(
        &environment,
        &format!("FROM {STARTER}\nRUN echo begun; {sleep}; true\nRUN echo never\n"),
    );
    let words = ["build", "--progress", "plain", "-t", "gone:1", &context];
    let mut client = spawn(&mut environment.hb_command(words));
    wait_until_it_says(&mut client, " begun");
    wait_for("the command to run", || {
        if runs(&sleep) {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    let pid = client.id().to_string();
    Output::of(environment.command("kill".as_ref()).args([signal, &pid])).succeeds();
    client.wait().unwrap();
    wait_for("the command to be gone", || {
        if runs(&sleep) { Err(sleep.clone()) } else { Ok(()) }
    });
    nothing_is_left(&environment, &[]);
    let kept = environment.hb(["builder", "du"]).succeeds();
    assert!(!kept.contains("begun"), "{kept}");
    end(environment);
}

#[test]
fn privileged_a_build_ends_with_its_client() {
    a_client_goes("-KILL");
}

#[test]
fn privileged_a_build_ends_when_it_is_interrupted() {
    a_client_goes("-INT");
}

#[test]
fn privileged_a_build_that_fails_does_not_wait_for_a_step_of_another() {
    let environment = TestEnvironment::with_starter();
    // Nobody else sleeps so long.
    let sleep = format!("sleep {}", 2_000_000 + u64::from(std::process::id()));
    let long = format!("FROM {STARTER} AS long\nRUN {sleep}; true\n");
    let other = context(&environment, &long);
    let mut client = spawn(&mut environment.hb_command(["build", "--progress", "plain", &other]));
    wait_for("the command to run", || {
        if runs(&sleep) {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    // The same step, and beside it one that fails once both builds wait for the same.
    let failing = environment.path("failing");
    fs::create_dir(&failing).unwrap();
    let text = format!("{long}FROM {STARTER}\nRUN sleep 1; exit 3\nCOPY --from=long /etc /etc\n");
    fs::write(failing.join("Dockerfile"), text).unwrap();
    let failing = failing.to_str().unwrap();
    let failed = environment.hb(["build", "--progress", "plain", failing]).exits_with(1);
    let _why = failed.complains("did not complete successfully: exit code: 3");
    assert!(runs(&sleep), "the other build goes on");
    client.kill().unwrap();
    client.wait().unwrap();
    wait_for("the command to be gone", || {
        if runs(&sleep) { Err(sleep.clone()) } else { Ok(()) }
    });
    nothing_is_left(&environment, &[]);
    end(environment);
}

#[test]
fn privileged_a_client_that_goes_while_it_sends_leaves_nothing() {
    let environment = TestEnvironment::with_starter();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    archive
        .append_data(&mut header, "large", std::io::repeat(7).take(8 << 20))
        .unwrap();
    let bytes = archive.into_inner().unwrap();
    let mut client = spawn(&mut environment.hb_command(["build", "-t", "cut:1", "-"]));
    // A part of the archive, and never its end.
    let mut input = client.stdin.take().unwrap();
    input.write_all(&bytes[..bytes.len() / 2]).unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
    drop(input);
    nothing_is_left(&environment, &[]);
    let archive = &bytes[..bytes.len() / 2];
    let _refused = environment
        .hb_with_input(["build", "-t", "cut:1", "-"], archive)
        .exits_with(1)
        .complains("cannot read the context");
    nothing_is_left(&environment, &[]);
    end(environment);
}

#[test]
fn privileged_a_name_stays_with_its_image_when_the_next_build_fails() {
    let environment = TestEnvironment::with_starter();
    let good = context(&environment, &format!("FROM {STARTER}\nRUN echo good >/file\n"));
    let id = environment.hb(["build", "-q", "-t", "keep:1", &good]).succeeds();
    let lines: Vec<String> = (1..=40).map(|number| format!("echo line-{number}")).collect();
    let bad = context(
        &environment,
        &format!(
            "FROM {STARTER}\nRUN echo good >/file\nRUN {}; exit 7\n",
            lines.join("; ")
        ),
    );
    let failed = environment
        .hb(["build", "-t", "keep:1", "-t", "other:1", &bad])
        .exits_with(1)
        .complains("did not complete successfully: exit code: 7")
        .complains("line-40")
        .complains("   3 | >>> RUN");
    let _last_lines = failed.complains("------\nline-21\n");
    assert_eq!(
        environment
            .hb(["image", "inspect", "--format", "{{.Id}}", "keep:1"])
            .succeeds(),
        id
    );
    nothing_is_left(&environment, &["keep:1"]);
    environment.hb(["rmi", "keep:1"]).succeeds();
    end(environment);
}

#[test]
fn privileged_the_first_service_that_fails_cancels_the_builds_beside_it() {
    let environment = TestEnvironment::with_starter();
    // Nobody else sleeps so long.
    let sleep = format!("sleep {}", 3_000_000 + u64::from(std::process::id()));
    let service =
        |run: &str| format!("{{build: {{context: ., dockerfile_inline: \"FROM starter:latest\\nRUN {run}\\n\"}}}}");
    let (slow, bad) = (service(&format!("{sleep}; true")), service("sleep 2; exit 4"));
    let folder = Folder::new(
        &environment,
        "beside",
        &format!("services:\n  bad: {bad}\n  slow: {slow}\n"),
    );
    let failed = folder.hb(&environment, &["project", "build"]).exits_with(1);
    let _why = failed.complains("bad").complains("exit code: 4");
    wait_for("the command to be gone", || {
        if runs(&sleep) { Err(sleep.clone()) } else { Ok(()) }
    });
    nothing_is_left(&environment, &[]);
    end(environment);
}

#[test]
fn privileged_the_network_of_the_machine_is_for_builds_that_are_allowed_to() {
    let environment = TestEnvironment::with_starter();
    let host = context(&environment, &format!("FROM {STARTER}\nRUN --network=host true\n"));
    let refused = environment.hb(["build", &host]).exits_with(1);
    let _why = refused.complains("network.host is not allowed");
    environment.hb(["build", "--allow", "network.host", &host]).succeeds();
    let folder = Folder::new(
        &environment,
        "allowed",
        "services: {web: {build: {context: ., dockerfile_inline: \"FROM starter:latest\\nRUN --network=host true\\n\", \
         entitlements: [network.host]}}}\n",
    );
    folder.hb(&environment, &["project", "build"]).succeeds();
    environment.hb(["rmi", "allowed-web"]).succeeds();
    environment.hb(["image", "prune", "-f"]).succeeds();
    end(environment);
}

#[test]
fn privileged_what_is_wrong_with_a_build_is_said() {
    let environment = TestEnvironment::with_starter();
    let down = "127.0.0.1:1/nothing:1";
    for (text, options, message) in [
        (
            format!("FROM {down}\n"),
            vec![],
            "failed to resolve source metadata for 127.0.0.1:1/nothing:1",
        ),
        (
            format!("FROM {STARTER}\nCOPY --from={down} /a /b\n"),
            vec![],
            "127.0.0.1:1/nothing:1",
        ),
        (
            format!("FROM {STARTER}\n"),
            vec!["--target", "none"],
            "target stage \"none\" could not be found",
        ),
        (
            format!("FROM {STARTER} AS a\nCOPY --from=a /a /b\n"),
            vec![],
            "circular dependency detected on stage: a",
        ),
        (
            format!("FROM {STARTER}\nCOPY none /b\n"),
            vec![],
            "\"/none\": not found",
        ),
        (
            format!("FROM {STARTER}\nCOPY ../../etc/hostname /b\n"),
            vec![],
            "\"/etc/hostname\": not found",
        ),
        (
            format!("FROM {STARTER}\nCOPY away/passwd /b\n"),
            vec![],
            "\"/away/passwd\": not found",
        ),
        (
            format!("FROM {STARTER}\nRUN --mount=source=away/passwd,target=/x cat /x\n"),
            vec![],
            "\"/away/passwd\": not found",
        ),
        (
            format!("FROM {STARTER}\nADD http://127.0.0.1:1/x /x\n"),
            vec![],
            "127.0.0.1:1",
        ),
        (
            "FROM\n".to_owned(),
            vec![],
            "FROM requires either one or three arguments",
        ),
        (
            format!("FROM {STARTER}\nRUN x\nNOPE\n"),
            vec![],
            "dockerfile parse error on line 3: unknown instruction: NOPE",
        ),
    ] {
        let path = context(&environment, &text);
        let link = environment.path("context/away");
        if !link.is_symlink() {
            std::os::unix::fs::symlink("/etc", link).unwrap();
        }
        let mut words = vec!["build", "-t", "wrong:1"];
        words.extend(&options);
        words.push(&path);
        let refused = environment.hb(&words).exits_with(1);
        assert!(refused.stderr.contains(message), "{text}: {refused}");
        nothing_is_left(&environment, &[]);
    }
    end(environment);
}

#[test]
fn privileged_a_full_disk_ends_a_build_and_gives_its_space_back() {
    let small = small(96, None, "");
    let environment = &small.environment;
    environment.load_starter();
    let large = environment.path("context/large");
    let path = context(environment, &format!("FROM {STARTER}\nCOPY large /large\n"));
    // Zeros would be stored as next to nothing.
    let mut noise = fs::File::open("/dev/urandom").unwrap().take(150 << 20);
    std::io::copy(&mut noise, &mut fs::File::create(&large).unwrap()).unwrap();
    let refused = environment.hb(["build", "-t", "full:1", &path]).exits_with(1);
    assert!(refused.stderr.to_lowercase().contains("no space left"), "{refused}");
    fs::remove_file(large).unwrap();
    let path = context(
        environment,
        &format!("FROM {STARTER}\nRUN dd if=/dev/zero of=/large bs=1M count=200\n"),
    );
    let refused = environment.hb(["build", "-t", "full:1", &path]).exits_with(1);
    assert!(refused.stderr.contains("No space left on device"), "{refused}");
    wait_for("what a build had begun to go", || match small.remains() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    let path = context(environment, &format!("FROM {STARTER}\nRUN echo fits >/file\n"));
    environment.hb(["build", "-q", "-t", "fits:1", &path]).succeeds();
    assert_eq!(
        environment.hb(["run", "--rm", "fits:1", "cat", "/file"]).succeeds(),
        "fits"
    );
    small.end();
}

#[test]
fn privileged_a_dockerfile_is_checked_without_being_built() {
    let environment = TestEnvironment::with_starter();
    let path = context(&environment, &format!("FROM {STARTER}\nCMD echo hi\nRUN exit 1\n"));
    let checked = environment.hb(["build", "--check", &path]).exits_with(1);
    let checked = checked.says("Check complete, 1 warning has been found!");
    let checked = checked
        .says("WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/");
    let _found = checked.says("   2 | >>> CMD echo hi");
    let built = environment.hb(["build", "--progress", "plain", &path]).exits_with(1);
    let _warned = built.complains("JSONArgsRecommended: JSON arguments recommended for CMD");
    let clean = context(&environment, &format!("FROM {STARTER}\nCMD [\"true\"]\n"));
    let said = environment.hb(["build", "--check", &clean]).succeeds();
    assert_eq!(said, "Check complete, no warnings found.");
    let strict = context(&environment, &format!("# check=error=true\nFROM {STARTER}\nCMD true\n"));
    let _refused = environment
        .hb(["build", &strict])
        .exits_with(1)
        .complains("lint violation found for rules: JSONArgsRecommended");
    nothing_is_left(&environment, &[]);
    end(environment);
}
