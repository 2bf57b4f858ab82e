// SPDX-License-Identifier: MIT
//! Copying into and out of containers, running and stopped. Which name lands where is tested as a table in the command line.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_files_go_in_and_out() {
    let environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "running", "-v", "kept:/data"], &["sleep", "600"]);
    environment
        .hb(["create", "--name", "stopped", "-v", "kept:/data", STARTER, "true"])
        .succeeds();
    let source = environment.path("source");
    fs::create_dir_all(source.join("below")).unwrap();
    let content: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(source.join("below/big"), &content).unwrap();
    fs::write(source.join("small"), "small").unwrap();
    std::os::unix::fs::chown(source.join("small"), Some(1234), Some(99)).unwrap();
    symlink("small", source.join("link")).unwrap();
    for container in ["running", "stopped"] {
        for directory in ["/copied", "/data/copied"] {
            let inside = format!("{container}:{directory}-{container}");
            environment.hb(["cp", source.to_str().unwrap(), &inside]).succeeds();
            let back = environment.path(&format!("back{}", directory.len()));
            environment.hb(["cp", &inside, back.to_str().unwrap()]).succeeds();
            assert!(fs::read(back.join("below/big")).unwrap() == content, "{inside}");
            assert_eq!(fs::read_link(back.join("link")).unwrap().to_str(), Some("small"));
            fs::remove_dir_all(&back).unwrap();
        }
    }
    // What was written to the volume of one is seen by the other, and owners are kept.
    let seen = environment.hb(["exec", "running", "stat", "-c", "%u:%g", "/data/copied-stopped/small"]);
    assert_eq!(seen.succeeds(), "1234:99");
    // The stopped one starts, although its files were mounted a moment ago.
    environment.hb(["start", "-a", "stopped"]).succeeds();
    environment.hb(["rm", "-f", "running", "stopped"]).succeeds();
    environment.hb(["volume", "rm", "kept"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_links_of_a_container_do_not_lead_out() {
    let environment = TestEnvironment::with_starter();
    let outside = environment.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "of the host").unwrap();
    let script = format!(
        "ln -s {0} /there; ln -s {0}/secret /file; ln -s ../../../../../..{0} /up; exec sleep 600",
        outside.display()
    );
    environment.detached(&["--name", "hostile"], &["sh", "-c", &script]);
    hyperbox_testkit::wait_for("the links", || {
        let looked = environment.hb(["exec", "hostile", "readlink", "/up"]);
        if looked.code == 0 {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    });
    let taken = environment.path("taken");
    for path in ["hostile:/there/secret", "hostile:/up/secret"] {
        let _missing = environment.hb(["cp", path, taken.to_str().unwrap()]).exits_with(1);
    }
    let _dangling = environment
        .hb(["cp", "-L", "hostile:/file", taken.to_str().unwrap()])
        .exits_with(1);
    let put = environment.path("put");
    fs::write(&put, "from the container").unwrap();
    let before = fs::metadata(&outside).unwrap().mtime_nsec();
    for path in ["hostile:/there/", "hostile:/up/secret", "hostile:/file"] {
        drop(environment.hb(["cp", put.to_str().unwrap(), path]));
    }
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "of the host");
    assert_eq!(fs::metadata(&outside).unwrap().mtime_nsec(), before);
    environment.hb(["rm", "-f", "hostile"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_many_small_files() {
    let environment = TestEnvironment::with_starter();
    environment
        .hb(["create", "--name", "subject", STARTER, "true"])
        .succeeds();
    let source = environment.path("many");
    fs::create_dir(&source).unwrap();
    for number in 0..10_000 {
        fs::write(source.join(number.to_string()), number.to_string()).unwrap();
    }
    environment
        .hb(["cp", source.to_str().unwrap(), "subject:/many"])
        .succeeds();
    let back = environment.path("back");
    environment
        .hb(["cp", "subject:/many", back.to_str().unwrap()])
        .succeeds();
    assert_eq!(fs::read_dir(&back).unwrap().count(), 10_000);
    assert_eq!(fs::read_to_string(back.join("9999")).unwrap(), "9999");
    environment.hb(["rm", "subject"]).succeeds();
    environment.finish();
}
