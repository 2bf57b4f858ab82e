// SPDX-License-Identifier: MIT
//! `SOURCE_DATE_EPOCH`: two machines that have nothing in common but the files make the same image, bit by bit.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

use crate::build_contexts::{clean_up, lay_out};

/// 2023-11-14T22:13:20Z
const EPOCH: &str = "SOURCE_DATE_EPOCH=1700000000";

/// What steps of each kind read and make; what RUN makes has times of its own, and directories that were there before get new ones.
fn files() -> Vec<(&'static str, String)> {
    let dockerfile = format!(
        "FROM {STARTER} AS tools\nRUN mkdir -p /out/b /out/a && echo tool >/out/a/tool && ln -s tool /out/a/link && touch /out/b/x\n\
         FROM {STARTER}\nLABEL l=v\nWORKDIR /work/deep\nCOPY tree/ tree/\nADD tree.tar unpacked/\nCOPY --from=tools /out /out\n\
         COPY --chmod=600 --chown=7:8 <<EOF /etc/made\ntext\nEOF\nRUN echo more >>/etc/made && rm tree/c && touch /fresh && date >/dev/null\n\
         CMD [\"cat\", \"/etc/made\"]\n"
    );
    vec![
        ("Dockerfile", dockerfile),
        ("tree/a", "a\n".to_owned()),
        ("tree/b/deep/file", "b\n".to_owned()),
        ("tree/c", "c\n".to_owned()),
    ]
}

/// Writes the context in an order and dated so.
fn context(environment: &TestEnvironment, name: &str, backwards: bool, age: Duration) -> String {
    let mut files = files();
    if backwards {
        files.reverse();
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let root = lay_out(environment, name, &files);
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o640);
    header.set_size(3);
    header.set_mtime(1_000_000_000);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "in/archive", &b"abc"[..]).unwrap();
    fs::write(Path::new(&root).join("tree.tar"), archive.into_inner().unwrap()).unwrap();
    let moment = SystemTime::now() - age;
    for (path, _) in files {
        let path = Path::new(&root).join(path);
        fs::File::open(&path).unwrap().set_modified(moment).unwrap();
        fs::File::open(path.parent().unwrap())
            .unwrap()
            .set_modified(moment)
            .unwrap();
    }
    root
}

#[test]
fn privileged_two_machines_make_the_same_image() {
    let (one, other) = (TestEnvironment::with_starter(), TestEnvironment::with_starter());
    let here = context(&one, "context", false, Duration::ZERO);
    let there = context(&other, "elsewhere/other-name", true, Duration::from_secs(24 * 60 * 60));
    let archive = |environment: &TestEnvironment, context: &str| {
        let out = environment.path("image.tar");
        let destination = format!("type=oci,dest={}", out.display());
        environment
            .hb(["build", "--build-arg", EPOCH, "-o", &destination, context])
            .succeeds();
        fs::read(out).unwrap()
    };
    let build = |environment: &TestEnvironment, context: &str| {
        let words = ["build", "-q", "--build-arg", EPOCH, "-t", "same:1", context];
        environment.hb(words).succeeds()
    };
    let id = build(&one, &here);
    assert_eq!(id, build(&other, &there));
    assert!(archive(&one, &here) == archive(&other, &there), "archives are the same");
    // Done again, not found.
    let again = ["build", "-q", "--no-cache", "--build-arg", EPOCH, "-t", "same:2", &here];
    assert_eq!(one.hb(again).succeeds(), id);
    // As with BuildKit, the image and each of its steps are of that moment.
    let image = one.hb(["image", "inspect", "same:1"]).json();
    assert_eq!(image[0]["Created"], "2023-11-14T22:13:20Z");
    let history = one.hb([
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedAt}} {{.CreatedBy}}",
        "same:1",
    ]);
    let history = history.succeeds();
    let own = history
        .lines()
        .filter(|line| line.contains("tree") || line.contains("CMD [\"cat\""));
    let own: Vec<&str> = own.collect();
    assert!(
        own.len() >= 3 && own.iter().all(|line| line.starts_with("2023-11-14T22:13:20Z")),
        "{history}"
    );
    // No file is younger, and older ones keep their times.
    let find = "stat -c '%Y %n' /fresh /etc/made /work/deep/tree/a /out/a/tool /work/deep/unpacked/in/archive";
    let times = one.hb(["run", "--rm", "same:1", "sh", "-c", find]).succeeds();
    for line in times.lines() {
        let expected = if line.contains("archive") {
            "1000000000 "
        } else {
            "1700000000 "
        };
        assert!(line.starts_with(expected), "{times}");
    }
    assert_eq!(times.lines().count(), 5, "{times}");
    clean_up(one, &["same:1", "same:2"]);
    clean_up(other, &["same:1"]);
}
