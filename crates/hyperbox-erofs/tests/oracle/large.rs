// SPDX-License-Identifier: MIT
//! Many, long, large.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use hyperbox_erofs::{BLOCK_SIZE, Builder, Device, Extent, Image, Metadata, Node, Options};

use crate::mounted::Mounted;
use crate::{index, tools, view};

#[test]
fn privileged_a_directory_of_a_hundred_thousand_names() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let data: Vec<u8> = (0..200_u32).flat_map(|number| vec![number as u8; 512]).collect();
    fs::write(place("data"), &data).unwrap();
    let mut builder = Builder::new(Options::default());
    let path = |number: u32| format!("directory/{:x}-{number}", number.wrapping_mul(2_654_435_761));
    for number in 0..100_000_u32 {
        let node = Node::contiguous(300, u64::from(number % 200) * BLOCK_SIZE);
        builder
            .insert(path(number).as_bytes(), &Metadata::default(), node)
            .unwrap();
    }
    let summary = builder
        .finish(
            &[index::device(data.len() as u64)],
            File::create(place("index")).unwrap(),
        )
        .unwrap();
    assert_eq!(
        (summary.inodes, summary.names, summary.mapped),
        (100_002, 100_001, 30_000_000)
    );
    tools::check_index(&place("index"), &place("data"));
    let mounted = Mounted::new(&place("index"), &[&place("data")]);
    assert_eq!(fs::read_dir(mounted.path().join("directory")).unwrap().count(), 100_000);
    for number in (0..100_000).step_by(97) {
        let content = fs::read(mounted.path().join(path(number))).unwrap();
        assert_eq!(content, [(number % 200) as u8; 300], "{number}");
    }
    assert!(!mounted.path().join("directory/none").exists());
    let image = Image::open(File::open(place("index")).unwrap()).unwrap();
    assert_eq!(image.walk().map(Result::unwrap).count(), 100_002);
}

#[test]
fn privileged_a_sparse_member_of_six_gigabytes() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::create_dir(place("tree")).unwrap();
    let file = File::create(place("tree/sparse")).unwrap();
    let last = (6_u64 << 30) - 4096;
    for (offset, byte) in [(0, 1_u8), (5 << 30, 2), (last, 3)] {
        file.write_all_at(&[byte; 4096], offset).unwrap();
    }
    file.write_all_at(b"end", last + 4096).unwrap();
    drop(file);
    tools::run(
        Command::new("tar")
            .args(["--format=gnu", "-Scf"])
            .arg(place("tar"))
            .arg("-C")
            .arg(place("tree"))
            .arg("."),
    );
    assert!(fs::metadata(place("tar")).unwrap().len() < 1 << 20);
    index::of_file(&place("tar"), &place("index"));
    let mounted = Mounted::new(&place("index"), &[&place("tar")]);
    let file = File::open(mounted.path().join("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), last + 4096 + 3);
    for (offset, byte) in [
        (0, 1),
        (4096, 0),
        (3 << 30, 0),
        ((5 << 30) - 4096, 0),
        (5 << 30, 2),
        (last, 3),
    ] {
        let mut bytes = [9; 4096];
        file.read_exact_at(&mut bytes, offset).unwrap();
        assert_eq!(bytes, [byte; 4096], "at {offset}");
    }
    let mut bytes = [0; 3];
    file.read_exact_at(&mut bytes, last + 4096).unwrap();
    assert_eq!(&bytes, b"end");
    let image = Image::open(File::open(place("index")).unwrap()).unwrap();
    let inode = image.find(b"sparse").unwrap().unwrap();
    let data: u64 = image.extents(&inode).map(|extent| extent.unwrap().length).sum();
    assert!((12_291..1 << 20).contains(&data), "{data} bytes of data");
}

#[test]
fn privileged_a_file_in_one_piece_of_more_than_four_gigabytes() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    // The data are holes of the device mostly, so that they cost nothing.
    let size = (5_u64 << 30) + 77;
    let device = File::create(place("data")).unwrap();
    let length = (1024 + size).next_multiple_of(BLOCK_SIZE);
    device.set_len(length).unwrap();
    device.write_all_at(b"first", 1024).unwrap();
    device.write_all_at(b"last", 1024 + size - 4).unwrap();
    let mut builder = Builder::new(Options::default());
    builder
        .insert(b"large", &Metadata::default(), Node::contiguous(size, 1024))
        .unwrap();
    builder
        .finish(&[index::device(length)], File::create(place("index")).unwrap())
        .unwrap();
    tools::check_index(&place("index"), &place("data"));
    let mounted = Mounted::new(&place("index"), &[&place("data")]);
    let file = File::open(mounted.path().join("large")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size);
    for (offset, text) in [(0, &b"first"[..]), (size - 4, b"last"), (size - 9, &[0; 5])] {
        let mut bytes = vec![9; text.len()];
        file.read_exact_at(&mut bytes, offset)
            .unwrap_or_else(|error| panic!("at {offset}: {error}"));
        assert_eq!(bytes, text, "at {offset}");
    }
}

#[test]
fn privileged_data_on_several_devices() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    for (name, byte) in [("one", 1), ("two", 2), ("three", 3)] {
        fs::write(place(name), vec![byte; 8192]).unwrap();
    }
    let mut builder = Builder::new(Options::default());
    let extent = |file_offset, device| Extent {
        file_offset,
        length: 4096,
        device,
        device_offset: 512 * u64::from(device),
    };
    let node = Node::Regular {
        size: 16_384,
        extents: vec![extent(0, 3), extent(4096, 1), extent(12_288, 2)],
    };
    builder.insert(b"mixed", &Metadata::default(), node).unwrap();
    let device = Device {
        size: 8192,
        tag: Vec::new(),
    };
    builder
        .finish(
            &[device.clone(), device.clone(), device],
            File::create(place("index")).unwrap(),
        )
        .unwrap();
    let (one, two, three) = (place("one"), place("two"), place("three"));
    let mounted = Mounted::new(&place("index"), &[&one, &two, &three]);
    let expected: Vec<u8> = [3, 1, 0, 2].into_iter().flat_map(|byte| vec![byte; 4096]).collect();
    assert!(fs::read(mounted.path().join("mixed")).unwrap() == expected);
    assert!(
        Mounted::try_new(&place("index"), &[&one]).is_err(),
        "too few devices are refused"
    );
    let image = Image::open(fs::read(place("index")).unwrap()).unwrap();
    let devices: Vec<Vec<u8>> = [one, two, three].map(|path| fs::read(path).unwrap()).to_vec();
    let devices: Vec<&[u8]> = devices.iter().map(Vec::as_slice).collect();
    let seen = view::of_image(&image, &devices);
    assert_eq!(seen[&b"mixed"[..]].content, view::digest(expected));
}

#[test]
fn privileged_an_index_without_its_device_shows_no_metadata_as_data() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::write(place("data"), [7; 4096]).unwrap();
    let mut builder = Builder::new(Options::default());
    builder
        .insert(b"file", &Metadata::default(), Node::contiguous(4096, 0))
        .unwrap();
    builder
        .finish(&[index::device(4096)], File::create(place("index")).unwrap())
        .unwrap();
    if let Ok(mounted) = Mounted::try_new(&place("index"), &[]) {
        let read = fs::read(mounted.path().join("file"));
        assert!(read.is_err() || read.is_ok_and(|bytes| bytes == [0; 4096]));
    }
}
