// SPDX-License-Identifier: MIT
//! Images through a real registry and through archives.

use hyperbox_core::seam::Compression;
use hyperbox_testkit::environment::TestEnvironment;
use hyperbox_testkit::images::{ArchiveKind, LONG_NAME, LONG_PATH, LayoutOptions, MediaTypes, showcase, starter};
use hyperbox_testkit::registry::RegistryAccess;

/// What `images::showcase` promises, as a shell script.
fn showcase_script() -> String {
    format!(
        "cd /show; ls removed opaque refilled 2>&1; cat kept replaced hard-a hard-b; \
         [ $(stat -c %i hard-a) = $(stat -c %i hard-b) ] && echo ' same inode'; stat -c '%a %u:%g %F' setuid sticky owned null pipe; \
         stat -c '%t:%T' null; cat /{LONG_NAME} /{LONG_PATH} relative absolute; wc -c <empty"
    )
}

const SHOWCASE_RESULT: &str = "ls: removed: No such file or directory\n\
    opaque:\nnew\n\nrefilled:\nsecond\n\
    firstsecondlinkedlinked same inode\n\
    4755 0:0 regular file\n1777 0:0 directory\n644 1000:100 regular file\n666 0:0 character special file\n600 0:0 fifo\n\
    1:3\nlonglongfirstfirst0";

#[test]
fn privileged_every_kind_of_image_is_pulled_right() {
    let environment = TestEnvironment::start();
    let registry = environment.registry(RegistryAccess::Anyone);
    let kinds = [
        (Compression::Gzip, MediaTypes::Docker, false),
        (Compression::Gzip, MediaTypes::Oci, true),
        (Compression::Zstd, MediaTypes::Oci, false),
        (Compression::None, MediaTypes::Oci, false),
        (Compression::Gzip, MediaTypes::Docker, true),
    ];
    for (number, (compression, media_types, index)) in kinds.into_iter().enumerate() {
        let options = LayoutOptions {
            compression,
            media_types,
            index,
        };
        let layout = environment.layout(&showcase(), options);
        let image = registry.add(&format!("show/case:{number}"), &layout);
        let output = environment.hb(["pull", &image]).exits_with(0);
        assert!(output.stdout.contains(&layout.top.digest.to_string()), "{output}");
        let text = environment
            .hb(["run", "--rm", &image, "sh", "-c", &showcase_script()])
            .succeeds();
        assert_eq!(text, SHOWCASE_RESULT, "{options:?}");
        let inspected = environment.hb(["image", "inspect", &image]).json();
        assert_eq!(inspected[0]["Id"], layout.config.digest.to_string());
        assert_eq!(inspected[0]["Config"]["Labels"]["org.hyperbox.test"], "showcase");
        environment.hb(["rmi", "-f", &image]).succeeds();
    }
    environment.finish();
}

#[test]
fn privileged_attributes_of_files_survive() {
    let environment = TestEnvironment::start();
    environment.load(&showcase(), "showcase:1");
    let id = environment.hb(["run", "-d", "showcase:1", "sleep", "600"]).succeeds();
    let pid = environment.inspect(&id)["State"]["Pid"].to_string();
    let file = format!("/proc/{pid}/root/show/attributed");
    let mut getfattr = environment.command("getfattr".as_ref());
    let value =
        hyperbox_testkit::environment::Output::of(getfattr.args(["--only-values", "-n", "user.hyperbox", &file]));
    assert_eq!(value.succeeds(), "value");
    environment.finish();
}

#[test]
fn privileged_pull_by_digest_list_tag_and_remove() {
    let environment = TestEnvironment::start();
    let registry = environment.registry(RegistryAccess::Anyone);
    let layout = environment.layout(&starter(), LayoutOptions::default());
    let image = registry.add("one/two/three:tagged", &layout);
    let name = image.rsplit_once(':').unwrap().0;
    let by_digest = format!("{name}@{}", layout.top.digest);
    environment.hb(["pull", &by_digest]).succeeds();
    environment.hb(["pull", "-q", &image]).succeeds();
    environment.hb(["tag", &image, "mine:1"]).succeeds();
    let table = environment.hb(["images"]).succeeds();
    for part in [
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "SIZE",
        "mine",
        name,
        layout.config.digest.short(),
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    let removed = environment.hb(["rmi", "mine:1"]).succeeds();
    assert!(
        removed.contains("Untagged: mine:1") && !removed.contains("Deleted"),
        "{removed}"
    );
    let removed = environment.hb(["rmi", "-f", layout.config.digest.short()]).succeeds();
    assert!(removed.contains("Deleted: "), "{removed}");
    assert_eq!(environment.hb(["images", "-q"]).succeeds(), "");
    environment.finish();
}

#[test]
fn privileged_push_and_pull_back() {
    let environment = TestEnvironment::with_starter();
    let registry = environment.registry(RegistryAccess::Anyone);
    let image = registry.image("pushed/image:1");
    environment
        .hb(["tag", hyperbox_testkit::environment::STARTER, &image])
        .succeeds();
    let output = environment.hb(["push", &image]).exits_with(0);
    assert!(output.stdout.contains("digest: sha256:"), "{output}");
    assert!(registry.has_tag("pushed/image", "1"));
    environment
        .hb(["rmi", "-f", &image, hyperbox_testkit::environment::STARTER])
        .succeeds();
    assert_eq!(
        environment.hb(["run", "--rm", &image, "echo", "back"]).succeeds(),
        "back"
    );
    // The second push finds everything there.
    let again = environment.hb(["push", &image]).exits_with(0);
    assert!(again.stdout.contains("digest: sha256:"), "{again}");
    environment.finish();
}

#[test]
fn privileged_save_and_load() {
    let environment = TestEnvironment::start();
    environment.load(&showcase(), "showcase:1");
    let id = environment.hb(["images", "-q", "--no-trunc"]).succeeds();
    let archive = environment.path("saved.tar").display().to_string();
    environment.hb(["save", "-o", &archive, "showcase:1"]).succeeds();
    environment.hb(["rmi", "-f", "showcase:1"]).succeeds();
    let loaded = environment.hb(["load", "-i", &archive]).succeeds();
    assert!(loaded.contains("Loaded image: showcase:1"), "{loaded}");
    assert_eq!(environment.hb(["images", "-q", "--no-trunc"]).succeeds(), id);
    let text = environment
        .hb(["run", "--rm", "showcase:1", "sh", "-c", &showcase_script()])
        .succeeds();
    assert_eq!(text, SHOWCASE_RESULT);
    environment.finish();
}

#[test]
fn privileged_archives_of_all_kinds_load() {
    let environment = TestEnvironment::start();
    let layout = environment.layout(&starter(), LayoutOptions::default());
    for (kind, compression) in [
        (ArchiveKind::Docker, Compression::Gzip),
        (ArchiveKind::Docker, Compression::Zstd),
        (ArchiveKind::Oci, Compression::None),
        (ArchiveKind::Oci, Compression::Gzip),
    ] {
        let archive = environment.path("archive");
        layout
            .write_archive(&archive, kind, &["loaded:1"], compression)
            .unwrap();
        environment
            .hb_with_input(["load"], &std::fs::read(&archive).unwrap())
            .succeeds();
        let id = layout.config.digest.short();
        assert_eq!(
            environment.hb(["run", "--rm", id, "echo", "loaded"]).succeeds(),
            "loaded",
            "{kind:?} {compression:?}"
        );
        environment.hb(["rmi", "-f", id]).succeeds();
    }
    let _garbage = environment.hb_with_input(["load"], b"this is no archive").exits_with(1);
    environment.finish();
}

#[test]
fn privileged_shared_layers_are_fetched_once() {
    let environment = TestEnvironment::start();
    let registry = environment.faulty_registry();
    let mut other = starter();
    other
        .layers
        .push(hyperbox_testkit::images::Layer::new().file("more", 0o644, "more"));
    let first = registry.add("first:1", &environment.layout(&starter(), LayoutOptions::default()));
    let second = registry.add("second:1", &environment.layout(&other, LayoutOptions::default()));
    std::thread::scope(|scope| {
        for image in [&first, &first, &second, &second] {
            let environment = &environment;
            scope.spawn(move || environment.hb(["pull", image]).succeeds());
        }
    });
    let base = environment.layout(&starter(), LayoutOptions::default()).layers[0]
        .digest
        .to_string();
    let fetched = registry
        .seen()
        .iter()
        .filter(|request| request.method == "GET" && request.path.contains(&base))
        .count();
    assert_eq!(fetched, 1, "one blob, one fetch");
    environment.finish();
}
