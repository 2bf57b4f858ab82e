// SPDX-License-Identifier: MIT
//! Logs: the format on disk, rotation while following, a disk that is full.

use futures_util::StreamExt as _;
use hyperbox_core::seam::{LogQuery, TaskRuntime as _};
use hyperbox_testkit::conformance::task::exit_code;
use hyperbox_testkit::container_id;
use hyperbox_types::shim::LogTarget;
use tokio::sync::watch;

use crate::bench::{Bench, WHOLE_LOG, text};

fn path(target: &LogTarget) -> &std::path::Path {
    match target {
        LogTarget::JsonFile { path, .. } => path,
        LogTarget::None => panic!("not a file"),
    }
}

#[tokio::test]
async fn privileged_the_file_is_dockers() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("printf 'a <b>\\tc\\n'; printf 'no end \\377'").await;
    assert_eq!(exit_code(&*task).await, 0);
    let log = std::fs::read_to_string(path(&bench.log(&container))).unwrap();
    let (first, second) = log.split_once('\n').unwrap();
    assert!(
        first.starts_with(r#"{"log":"a \u003cb\u003e\u0009c\n","stream":"stdout","time":"20"#)
            && first.ends_with("Z\"}"),
        "{first}"
    );
    assert!(
        second.starts_with(r#"{"log":"no end \ufffd","stream":"stdout","time":"#),
        "{second}"
    );
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_follower_survives_rotation() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "read go; seq 1 20000");
    launch.stdio.stdin = true;
    // A hundred rotations, all of which stay: a follower that is slower than the oldest file loses lines.
    launch.log = LogTarget::JsonFile {
        path: path(&bench.log(&container)).to_owned(),
        max_bytes: Some(16_384),
        max_files: 1000,
        compress: false,
        attributes: Default::default(),
    };
    let log = launch.log.clone();
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    let (ended, receiver) = watch::channel(false);
    let follow = LogQuery {
        follow: true,
        ..WHOLE_LOG
    };
    let stream = bench.runtime.logs(&log, follow, receiver).await.unwrap();
    let follower = tokio::spawn(stream.map(Result::unwrap).collect::<Vec<_>>());
    tokio::io::AsyncWriteExt::write_all(&mut client, b"go\n").await.unwrap();
    let mut sink = tokio::io::sink();
    tokio::io::copy(&mut client, &mut sink).await.unwrap();
    assert_eq!(exit_code(&*task).await, 0);
    ended.send_replace(true);
    let seen = text(follower.await.unwrap());
    let numbers: Vec<u32> = seen.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=20_000), "{} lines", numbers.len());
    let files = std::fs::read_dir(path(&log).parent().unwrap()).unwrap().count();
    assert!(files > 50, "{files} files");
    bench.runtime.remove_logs(&log).await.unwrap();
    assert_eq!(std::fs::read_dir(path(&log).parent().unwrap()).unwrap().count(), 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_rotated_files_are_compressed_and_read() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "seq 1 30000");
    launch.log = LogTarget::JsonFile {
        path: path(&bench.log(&container)).to_owned(),
        max_bytes: Some(100_000),
        max_files: 5,
        compress: true,
        attributes: Default::default(),
    };
    let log = launch.log.clone();
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await.unwrap();
    assert_eq!(exit_code(&*task).await, 0);
    let directory = path(&log).parent().unwrap();
    let compressed = async || {
        let names = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| path(&log).file_name().unwrap() != name.as_str());
        names.sort();
        let complete = names.iter().all(|name| name.ends_with(".gz")) && names.len() == 4;
        complete.then_some(()).ok_or_else(|| format!("{names:?}"))
    };
    // The last one is compressed while the shim ends.
    hyperbox_testkit::wait_for_async("four compressed files", compressed).await;
    for tail in [None, Some(3000)] {
        let (_keep, ended) = watch::channel(false);
        let query = LogQuery { tail, ..WHOLE_LOG };
        let stream = bench.runtime.logs(&log, query, ended).await.unwrap();
        let seen = text(stream.map(Result::unwrap).collect::<Vec<_>>().await);
        let numbers: Vec<u32> = seen.lines().map(|line| line.parse().unwrap()).collect();
        let first = numbers[0];
        assert!(numbers.iter().copied().eq(first..=30_000), "{} lines", numbers.len());
        assert!(
            tail.is_none_or(|tail| tail == numbers.len() as u64) && first < 27_002,
            "from {first}"
        );
    }
    bench.runtime.remove_logs(&log).await.unwrap();
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_full_disk_does_not_stop_the_container() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "seq 1 20000; echo end");
    launch.log = LogTarget::JsonFile {
        path: "/dev/full".into(),
        max_bytes: None,
        max_files: 1,
        compress: false,
        attributes: Default::default(),
    };
    let mut client = bench.attach(&mut launch);
    let task = bench.runtime.launch(launch).await.unwrap();
    let (stdout, _) = hyperbox_testkit::conformance::task::read_frames(&mut client).await;
    assert!(stdout.ends_with("end\n"));
    assert_eq!(exit_code(&*task).await, 0);
    bench.finish(&[&container]).await;
}

#[tokio::test]
async fn privileged_a_container_may_keep_no_log() {
    let bench = Bench::new();
    let container = container_id();
    let mut launch = bench.script(&container, "echo hi");
    launch.log = LogTarget::None;
    let task = bench.runtime.launch(launch).await.unwrap();
    assert_eq!(exit_code(&*task).await, 0);
    let (_keep, ended) = watch::channel(false);
    let Err(error) = bench.runtime.logs(&LogTarget::None, WHOLE_LOG, ended).await else {
        panic!("there is no log");
    };
    assert_eq!(error.to_string(), "configured logging driver does not support reading");
    bench.finish(&[&container]).await;
}
