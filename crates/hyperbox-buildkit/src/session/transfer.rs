// SPDX-License-Identifier: MIT
//! Transfers of files from a client: the connection on one side, the disk on the other.
//!
//! ```text
//! client ──packets──▶ queue ──▶ a thread that may block: Receiver ──replies──▶ client
//! ```
//! Both directions go on at once: a client that sends reads nothing meanwhile, so waiting for it to take a reply before its packets are
//! read would wait for ever. Replies that wait are at most as many as files that were listed. Dropping the future ends the thread at its
//! next packet, and the call.

use bytes::{Bytes, BytesMut};
use hyperbox_types::ErrorKind;
use tokio::sync::mpsc;

use super::cache::Transfer;
use super::receive::{ReceiveError, Received, Receiver, Reply};
use crate::proto::filesync::{Packet, PacketKind};
use crate::status::Loading;
use crate::transport::client::{Incoming, Outgoing};
use crate::transport::frame::{decode, frame};
use crate::transport::status::{Code, Status};

/// Packets that wait for the disk.
const QUEUE: usize = 64;
/// No packet of a sender is longer: its pieces have 32 KiB, attributes of a file at most 64 KiB each.
const LONGEST_PACKET: usize = 1 << 20;
/// So many replies go to the connection at once, at most.
const REPLIES: usize = 1024;
/// So many bytes come between two reports.
const REPORT: u64 = 1 << 20;

/// Receives files until both sides say that it is over. `limit` is the longest that a file may be.
///
/// # Errors
/// Those of the client; what it sends is foreign.
pub(super) async fn receive(
    (outgoing, incoming): (Outgoing, Incoming),
    transfer: Transfer,
    limit: u64,
    (title, loading): (&str, &Loading),
) -> Result<Received, Status> {
    let (packets, arrived) = mpsc::channel(QUEUE);
    let (replies, wanted) = mpsc::unbounded_channel();
    let receiver = Receiver::new(transfer, limit);
    let keeping = tokio::task::spawn_blocking(move || keep(receiver, arrived, &replies));
    let (read, (), kept) = tokio::join!(
        read(incoming, packets, title, loading),
        answer(outgoing, wanted),
        keeping
    );
    match kept {
        // The connection says why nothing more came.
        Ok(Ok(None)) => Err(read
            .err()
            .unwrap_or_else(|| Status::new(Code::Unavailable, "the transfer was cut off"))),
        Ok(Ok(Some(received))) => read.map(|()| received),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(Status::new(
            Code::Internal,
            "keeping the files of the client was interrupted",
        )),
    }
}

/// Passes packets on until the call has ended, or nobody wants them.
async fn read(
    mut incoming: Incoming,
    packets: mpsc::Sender<Bytes>,
    title: &str,
    loading: &Loading,
) -> Result<(), Status> {
    let (mut bytes, mut told) = (0, 0);
    while let Some(packet) = incoming.next().await? {
        if packet.len() > LONGEST_PACKET {
            return Err(Status::new(Code::ResourceExhausted, "a packet is too long"));
        }
        bytes += packet.len() as u64;
        if bytes - told >= REPORT {
            told = bytes;
            loading.progress(title, bytes, 0, false);
        }
        // When nobody takes it, the transfer is over or has failed: only how the call ends matters.
        drop(packets.send(packet).await);
    }
    loading.progress(title, bytes, 0, true);
    Ok(())
}

/// Sends replies as they come, several at once when they wait.
async fn answer(outgoing: Outgoing, mut wanted: mpsc::UnboundedReceiver<Reply>) {
    let mut waiting = Vec::with_capacity(REPLIES);
    let mut finished = false;
    while wanted.recv_many(&mut waiting, REPLIES).await > 0 {
        let mut stream = BytesMut::new();
        for reply in waiting.drain(..) {
            let (kind, id) = match reply {
                Reply::Request(id) => (PacketKind::Request, id),
                Reply::Finish => {
                    finished = true;
                    (PacketKind::Finish, 0)
                }
            };
            let kind = kind as i32;
            stream.extend_from_slice(&frame(&Packet {
                kind,
                id,
                ..Packet::default()
            }));
        }
        // How the call ended is told by its other half.
        if outgoing.send_framed(stream.freeze()).await.is_err() {
            return;
        }
    }
    if finished {
        drop(outgoing.finish().await);
    }
}

/// Takes packets until it is over; `None` when they end before.
fn keep(
    mut receiver: Receiver,
    mut arrived: mpsc::Receiver<Bytes>,
    replies: &mpsc::UnboundedSender<Reply>,
) -> Result<Option<Received>, ReceiveError> {
    while let Some(packet) = arrived.blocking_recv() {
        let packet: Packet = decode(packet).map_err(|_| ReceiveError::Packet("what is no packet"))?;
        receiver.take(packet, |reply| {
            // Without anybody to tell, the packets end, too.
            drop(replies.send(reply));
        })?;
        if receiver.is_over() {
            return Ok(Some(receiver.into_received()));
        }
    }
    Ok(None)
}

fn refused(error: &ReceiveError) -> Status {
    let kind = match error {
        ReceiveError::Sender(_) | ReceiveError::List(_) | ReceiveError::Packet(_) => ErrorKind::InvalidArgument,
        ReceiveError::TooLong { .. } => ErrorKind::ResourceExhausted,
        ReceiveError::Disk(source) => match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
            _ => ErrorKind::Internal,
        },
    };
    Status::new(Code::from(kind), error.to_string())
}
