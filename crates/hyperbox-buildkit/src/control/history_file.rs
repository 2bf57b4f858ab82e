// SPDX-License-Identifier: MIT
//! What is remembered of one build as a file.
//!
//! ```text
//! magic | length of the record, u32 | record | SHA-256 of everything before | logs
//! ```
//! Numbers are little-endian. The record is BuildKit's (`BuildHistoryRecord`); what it says of the logs is their length and digest. Logs are as
//! in BuildKit's store (`application/vnd.buildkit.status.v0`): messages of `Status`, each after its length (u32). A file is written beside its
//! place, synchronised and renamed: what a crash leaves is whole or is not there. What does not read is nothing.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use bytes::Bytes;
use hyperbox_types::Digest;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::proto::control::{BuildHistoryRecord, Descriptor};
use crate::transport::frame::{frame_encoded, payload};

const MAGIC: &[u8] = b"HyperBox build 1\n";
/// What the logs are, for clients that read them as a blob.
const LOGS: &str = "application/vnd.buildkit.status.v0";
/// No record is longer: names and arguments are a client's.
const LONGEST_RECORD: usize = 256 * 1024;
/// No logs are longer: twice what a transcript keeps.
const LONGEST_LOGS: u64 = 1 << 20;
const DIGEST: usize = 32;

/// Writes a build to its place; says in the record where its logs are. Returns how many bytes it occupies.
///
/// # Errors
/// I/O classes; what was there before stays then. [`io::ErrorKind::InvalidData`] for a record that is too long.
pub(super) fn write(path: &Path, record: &mut BuildHistoryRecord, logs: &[u8]) -> io::Result<u64> {
    record.logs = describe(logs);
    if record.encoded_len() > LONGEST_RECORD {
        shorten(record);
    }
    let bytes = encode(record, logs);
    if record.encoded_len() > LONGEST_RECORD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the record is too long"));
    }
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(bytes.len() as u64)
}

/// Reads what is known of a build; `None` for what is no such file.
///
/// # Errors
/// I/O classes.
pub(super) fn read_record(path: &Path) -> io::Result<Option<BuildHistoryRecord>> {
    let most = MAGIC.len() + 4 + LONGEST_RECORD + DIGEST;
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(split(&bytes).map(|(record, _)| record))
}

/// Reads the logs of a build; `None` when they are damaged.
///
/// # Errors
/// I/O classes.
pub(super) fn read_logs(path: &Path) -> io::Result<Option<Bytes>> {
    let most = (MAGIC.len() + 4 + LONGEST_RECORD + DIGEST) as u64 + LONGEST_LOGS;
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    let Some((record, start)) = split(&bytes) else {
        return Ok(None);
    };
    let logs = Bytes::from(bytes).split_off(start);
    Ok((describe(&logs) == record.logs).then_some(logs))
}

/// Writes messages of `Status`, framed for a call, as logs.
pub(super) fn logs_of(messages: &[Bytes]) -> Vec<u8> {
    let mut logs = Vec::new();
    for message in messages {
        let message = payload(message.clone());
        // What a transcript keeps is far shorter.
        logs.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes());
        logs.extend(message);
    }
    logs
}

/// Cuts logs into messages, framed for a call; what is malformed ends them.
pub(super) fn messages_of(mut logs: Bytes) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some(length) = logs.first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let mut rest = logs.split_off(4);
        if rest.len() < length {
            break;
        }
        logs = rest.split_off(length);
        messages.push(frame_encoded(&rest));
    }
    messages
}

fn describe(logs: &[u8]) -> Option<Descriptor> {
    (!logs.is_empty()).then(|| Descriptor {
        media_type: LOGS.to_owned(),
        digest: Digest::from_sha256(Sha256::digest(logs).into()).to_string(),
        size: i64::try_from(logs.len()).unwrap_or(i64::MAX),
    })
}

/// Leaves out what clients can make long.
fn shorten(record: &mut BuildHistoryRecord) {
    record.frontend_attrs.clear();
    record.exporter_response.clear();
    for exporter in &mut record.exporters {
        exporter.attrs.clear();
    }
    if let Some(error) = &mut record.error {
        error.details.clear();
    }
}

fn encode(record: &BuildHistoryRecord, logs: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let record = record.encode_to_vec();
    bytes.extend(u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(record);
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes.extend(logs);
    bytes
}

/// Returns the record, and where the logs begin.
fn split(bytes: &[u8]) -> Option<(BuildHistoryRecord, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > LONGEST_RECORD {
        return None;
    }
    let (record, rest) = rest.split_at_checked(length)?;
    let (digest, logs) = rest.split_first_chunk::<DIGEST>()?;
    let head = bytes.len() - logs.len() - DIGEST;
    if Sha256::digest(&bytes[..head]).as_slice() != digest {
        return None;
    }
    let record = BuildHistoryRecord::decode(record).ok()?;
    Some((record, head + DIGEST))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::proto::control::StatusResponse;
    use crate::transport::frame::frame;

    fn sample() -> (BuildHistoryRecord, Vec<u8>) {
        let record = BuildHistoryRecord {
            reference: "r".to_owned(),
            frontend_attrs: HashMap::from([("label:a".to_owned(), "b".to_owned())]),
            ..BuildHistoryRecord::default()
        };
        (record, logs_of(&[frame(&StatusResponse::default()), frame(&message())]))
    }

    fn message() -> BuildHistoryRecord {
        // Anything that has bytes.
        BuildHistoryRecord {
            reference: "text".to_owned(),
            ..BuildHistoryRecord::default()
        }
    }

    #[test]
    fn a_build_comes_back() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("1.build");
        let (mut record, logs) = sample();
        let size = write(&path, &mut record, &logs).expect("written");
        assert_eq!(size, std::fs::metadata(&path).expect("metadata").len());
        assert_eq!(read_record(&path).expect("read"), Some(record.clone()));
        let read = read_logs(&path).expect("read").expect("whole");
        assert_eq!(read, logs);
        assert_eq!(
            messages_of(read),
            [frame(&StatusResponse::default()), frame(&message())]
        );
        let described = record.logs.expect("logs");
        assert_eq!(
            (described.size, described.media_type.as_str()),
            (logs.len() as i64, LOGS)
        );
        assert_eq!(std::fs::read_dir(directory.path()).expect("listing").count(), 1);
    }

    #[test]
    fn what_a_client_made_too_long_is_left_out() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("1.build");
        let (mut record, _) = sample();
        record
            .frontend_attrs
            .insert("label:b".to_owned(), "x".repeat(LONGEST_RECORD));
        write(&path, &mut record, &[]).expect("written");
        let read = read_record(&path).expect("read").expect("a record");
        assert!(read.frontend_attrs.is_empty() && read.logs.is_none() && read.reference == "r");
        record.reference = "x".repeat(LONGEST_RECORD);
        assert!(write(&path, &mut record, &[]).is_err());
        assert!(read_record(&path).expect("read").is_some(), "what was there stays");
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        let (mut record, logs) = sample();
        record.logs = describe(&logs);
        let bytes = encode(&record, &logs);
        let whole = |bytes: &[u8]| {
            let (record, start) = split(bytes)?;
            (describe(&bytes[start..]) == record.logs).then_some(record)
        };
        assert_eq!(whole(&bytes), Some(record));
        for length in 0..bytes.len() {
            assert_eq!(whole(&bytes[..length]), None, "{length}");
        }
        for index in 0..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 0x40;
            assert_eq!(whole(&other), None, "{index}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_nothing_and_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(split(&bytes), None);
            let headed = [MAGIC, &bytes].concat();
            prop_assert_eq!(split(&headed), None);
            let messages = messages_of(Bytes::from(bytes.clone()));
            let length: usize = messages.iter().map(|message| message.len() - 1).sum();
            prop_assert!(length <= bytes.len());
        }
    }
}
