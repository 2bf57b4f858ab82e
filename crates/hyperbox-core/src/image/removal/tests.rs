// SPDX-License-Identifier: MIT

use hyperbox_types::{Architecture, Platform};

use super::*;
use crate::image::ImageLayer;
use crate::seam::Descriptor;

fn digest(number: u8) -> Digest {
    Digest::from_sha256([number; 32])
}

fn id(number: u8) -> ImageId {
    ImageId(digest(number))
}

fn descriptor(number: u8) -> Descriptor {
    Descriptor {
        media_type: "x".to_owned(),
        digest: digest(number),
        size: ByteSize(1),
        annotations: BTreeMap::new(),
    }
}

/// An image with names, layers and perhaps a parent.
fn image(number: u8, names: &[&str], layers: &[u8], parent: Option<u8>) -> (ImageId, Arc<ImageRecord>) {
    let parsed = names.iter().map(|name| ImageReference::parse(name).expect("a name"));
    let (digests, references) = parsed.partition(|name| name.digest().is_some());
    let record = ImageRecord {
        id: id(number),
        manifest: descriptor(number),
        configuration: descriptor(number),
        platform: Platform {
            os: "linux".to_owned(),
            architecture: Architecture::new("amd64"),
            variant: None,
        },
        created_at: None,
        size: ByteSize(1),
        layers: layers
            .iter()
            .map(|layer| ImageLayer {
                diff_id: DiffId(digest(*layer)),
                blob: descriptor(*layer),
            })
            .collect(),
        elsewhere: Default::default(),
        config: crate::image::ImageConfig::default(),
        history: Vec::new(),
        author: String::new(),
        comment: String::new(),
        parent: parent.map(id),
        tagged_at: None,
        labels_given: false,
        references,
        digests,
    };
    (id(number), Arc::new(record))
}

fn user(image: u8, running: bool) -> ImageUser {
    ImageUser {
        container: "c0ffee".to_owned(),
        running,
        image: id(image),
        layers: vec![DiffId(digest(image))],
    }
}

/// Plans a removal and shows it in a line: what is said, then the events.
fn plan(images: &[(ImageId, Arc<ImageRecord>)], users: &[ImageUser], reference: &str, force: bool) -> String {
    let mut removal = Removal {
        images: images.iter().cloned().collect(),
        users,
        force,
        prune: true,
        plan: Plan::default(),
    };
    if let Err(error) = removal.run(reference) {
        return error.message().to_owned();
    }
    let removed = removal.plan.removed.iter().map(|entry| match entry {
        RemovedImage::Untagged(name) => format!("-{}", name.split("@sha256").next().unwrap_or(name)),
        RemovedImage::Deleted(id) => format!("x{}", &id[7..9]),
    });
    let events = removal.plan.events.iter().map(|(action, _)| (*action).to_owned());
    let removed: Vec<String> = removed.collect();
    let events: Vec<String> = events.collect();
    format!("{} | {}", removed.join(" "), events.join(" "))
}

#[test]
fn names_ids_and_force() {
    let at = format!("r.io/a@{}", digest(9));
    let one = image(1, &["a:1"], &[1], None);
    let two = image(2, &["b:1", "b:2"], &[2], None);
    let pulled = image(3, &["r.io/a:1", &at], &[3], None);
    let all = [one, two, pulled];
    let short = |number: u8| digest(number).hex()[..12].to_owned();
    let several = format!(
        "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
        short(2)
    );
    let used = format!(
        "conflict: unable to remove repository reference \"a:1\" (must force) - container c0ffee is using its referenced image {}",
        short(1)
    );
    let running = format!(
        "conflict: unable to delete {} (cannot be forced) - image is being used by running container c0ffee",
        short(1)
    );
    let stopped = format!(
        "conflict: unable to delete {} (must be forced) - image is being used by stopped container c0ffee",
        short(1)
    );
    let nobody: &[ImageUser] = &[];
    for (reference, force, users, expected) in [
        ("a:1", false, nobody, "-a:1 x01 x01 | untag delete"),
        ("b:1", false, nobody, "-b:1 | untag"),
        (short(2).as_str(), false, nobody, several.as_str()),
        (&short(2), true, nobody, "-b:1 -b:2 x02 x02 | untag untag delete"),
        // The digest of a repository goes with its last tag, without an event of its own.
        ("r.io/a:1", false, nobody, "-r.io/a:1 -r.io/a x03 x03 | untag delete"),
        (&at, false, nobody, "-r.io/a | untag"),
        (
            &short(3),
            false,
            nobody,
            "-r.io/a:1 -r.io/a x03 x03 | untag untag delete",
        ),
        ("a:1", false, &[user(1, false)], &used),
        // Containers keep their layers, so none of them is told of.
        ("a:1", true, &[user(1, false)], "-a:1 x01 | untag delete"),
        ("a:1", true, &[user(1, true)], "-a:1 | untag"),
        (&short(1), true, &[user(1, true)], &running),
        (&short(1), false, &[user(1, false)], &stopped),
        ("nosuch", false, nobody, "No such image: nosuch:latest"),
    ] {
        assert_eq!(
            plan(&all, users, reference, force),
            expected,
            "{reference} force={force}"
        );
    }
}

#[test]
fn parents_go_with_their_last_child() {
    let images = [
        image(1, &[], &[1], None),
        image(2, &[], &[1, 2], Some(1)),
        image(3, &["c:1"], &[1, 2, 3], Some(2)),
    ];
    assert_eq!(
        plan(&images, &[], &digest(2).hex()[..12], true),
        format!(
            "conflict: unable to delete {} (cannot be forced) - image has dependent child images",
            &digest(2).hex()[..12]
        )
    );
    let chains = chain_ids(&[&DiffId(digest(1)), &DiffId(digest(2)), &DiffId(digest(3))]);
    let short: Vec<&str> = chains.iter().map(|chain| &chain.hex()[..2]).collect();
    assert_eq!(
        plan(&images, &[], "c:1", false),
        format!(
            "-c:1 x03 x{} x02 x{} x01 x{} | untag delete delete delete",
            short[2], short[1], short[0]
        )
    );
    let kept = plan(&images, &[user(2, false)], "c:1", false);
    assert!(kept.ends_with("| untag delete"), "{kept}");
}
