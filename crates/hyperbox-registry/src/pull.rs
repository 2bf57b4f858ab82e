// SPDX-License-Identifier: MIT
//! Blobs: one stream of bytes in order, whatever happens to the connections below it.
//!
//! When a connection ends early or stalls, the stream asks again for the rest with `Range`; a server that ignores the header and
//! sends everything is read and its beginning dropped. Bytes that arrive set the count of attempts back. Mirrors come first, each
//! until it fails once. The bytes are not verified here: only their number is compared with the descriptor's.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderValue, Method, StatusCode};
use hyperbox_core::seam::{BlobStream, Credentials, Descriptor, RegistryError};
use hyperbox_types::ImageReference;
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::Access;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Operation};
use crate::range::ContentRange;
use crate::retry::Attempts;
use crate::scope::Scope;
use crate::session::Session;
use crate::transport::{Answer, Call};

/// The most connections that one blob may take: a server that gives a byte each time must come to an end.
const MAX_CONNECTIONS: u32 = 1000;

/// A blob on its way.
struct Transfer {
    session: Arc<Session>,
    reference: ImageReference,
    descriptor: Descriptor,
    credentials: Option<Credentials>,
    /// Mirrors that have not failed yet, the next one last.
    mirrors: Vec<Endpoint>,
    attempts: Attempts,
    connections: u32,
    /// The next byte to deliver.
    position: u64,
    current: Option<Connection>,
    _permit: OwnedSemaphorePermit,
}

struct Connection {
    answer: Answer,
    /// Bytes that were delivered before and come again.
    skip: u64,
    from_mirror: bool,
}

/// Opens a stream; the first connection is made before it returns, so that a missing blob is an error here.
pub(crate) async fn open(
    session: Arc<Session>,
    reference: &ImageReference,
    descriptor: &Descriptor,
    offset: u64,
    credentials: Option<&Credentials>,
) -> Result<BlobStream, RegistryError> {
    let operation = Operation::Fetch(reference, &descriptor.digest);
    if offset > descriptor.size.0 {
        return Err(operation.error(Failure::Refused {
            reason: format!("offset {offset} is beyond its {} bytes", descriptor.size.0),
        }));
    }
    let host = reference.repository().host().as_str();
    let permit = session.transfer_permit(host).await;
    let mut transfer = Transfer {
        mirrors: session.endpoints.mirrors(host).into_iter().rev().collect(),
        attempts: session.attempts(),
        session,
        reference: reference.clone(),
        descriptor: descriptor.clone(),
        credentials: credentials.cloned(),
        connections: 0,
        position: offset,
        current: None,
        _permit: permit,
    };
    if offset < descriptor.size.0 {
        transfer
            .ensure_connected()
            .await
            .map_err(|failure| operation.error(failure))?;
    }
    Ok(Box::pin(stream::unfold(Some(transfer), |transfer| async {
        let mut transfer = transfer?;
        match transfer.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(transfer))),
            Ok(None) => None,
            Err(failure) => {
                let operation = Operation::Fetch(&transfer.reference, &transfer.descriptor.digest);
                Some((Err(operation.error(failure)), None))
            }
        }
    })))
}

impl Transfer {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if self.position == self.descriptor.size.0 {
                self.refuse_excess().await?;
                return Ok(None);
            }
            self.ensure_connected().await?;
            match self.read().await {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    self.position += bytes.len() as u64;
                    self.attempts.reset();
                    return Ok(Some(bytes));
                }
                Err(failure) => self.recover(failure).await?,
            }
        }
    }

    /// Reads some new bytes from the current connection, perhaps none.
    async fn read(&mut self) -> Result<Bytes, Failure> {
        let Some(connection) = &mut self.current else {
            return Ok(Bytes::new());
        };
        let answer = &mut connection.answer;
        let Some(mut bytes) = self.session.transport.next_chunk(answer).await? else {
            return Err(Failure::Truncated {
                host: answer.host.clone(),
                received: self.position,
                expected: self.descriptor.size.0,
            });
        };
        let known = usize::try_from(connection.skip).unwrap_or(usize::MAX).min(bytes.len());
        connection.skip -= known as u64;
        let new = bytes.split_off(known);
        if new.len() as u64 > self.descriptor.size.0 - self.position {
            return Err(too_long(answer, &self.descriptor));
        }
        Ok(new)
    }

    /// A body without a length could go on: all bytes are here, and one more means that this is another blob.
    async fn refuse_excess(&mut self) -> Result<(), Failure> {
        let Some(mut connection) = self.current.take() else {
            return Ok(());
        };
        if connection.answer.content_length().is_some() {
            return Ok(());
        }
        // How the connection ends after the last byte does not matter.
        match self.session.transport.next_chunk(&mut connection.answer).await {
            Ok(Some(bytes)) if !bytes.is_empty() => Err(too_long(&connection.answer, &self.descriptor)),
            _ => Ok(()),
        }
    }

    async fn ensure_connected(&mut self) -> Result<(), Failure> {
        while self.current.is_none() {
            if self.connections >= MAX_CONNECTIONS {
                let host = self.reference.repository().host().as_str();
                return Err(Failure::protocol(host, "ended the transfer too often"));
            }
            self.connections += 1;
            match self.connect().await {
                Ok(connection) => self.current = Some(connection),
                Err(failure) => self.recover(failure).await?,
            }
        }
        Ok(())
    }

    /// After a failure: the next source at once, or the registry again after a pause.
    async fn recover(&mut self, failure: Failure) -> Result<(), Failure> {
        let from_mirror = self
            .current
            .take()
            .map_or(!self.mirrors.is_empty(), |connection| connection.from_mirror);
        if from_mirror {
            if let Some(mirror) = self.mirrors.pop() {
                self.session.endpoints.mirror_failed(&mirror, &failure);
            }
            return Ok(());
        }
        self.session.pause(&mut self.attempts, failure).await
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let host = self.reference.repository().host().as_str();
        let mirror = self.mirrors.last();
        let endpoint = match mirror {
            Some(mirror) => mirror.clone(),
            None => self.session.origin(host).await?,
        };
        let path = self.reference.repository().path();
        let scope = Scope::pull(path);
        let access = Access {
            endpoint: &endpoint,
            scope: &scope,
            credentials: self.credentials.as_ref().filter(|_| mirror.is_none()),
        };
        let url = endpoint.url(&format!("{path}/blobs/{}", self.descriptor.digest));
        let mut call = Call::new(Method::GET, url);
        if self.position > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.position));
            call = call.with_header(RANGE, range.expect("digits may be in a header"));
        }
        let wanted = [StatusCode::OK, StatusCode::PARTIAL_CONTENT];
        let answer = self.session.expect(access, call, &wanted).await?;
        let skip = skipped(&answer, self.position, &self.descriptor)?;
        Ok(Connection {
            answer,
            skip,
            from_mirror: mirror.is_some(),
        })
    }
}

/// Returns how many bytes of this answer were delivered before.
fn skipped(answer: &Answer, position: u64, descriptor: &Descriptor) -> Result<u64, Failure> {
    let size = descriptor.size.0;
    if answer.status() == StatusCode::OK {
        return match answer.content_length() {
            Some(length) if length > size => Err(too_long(answer, descriptor)),
            _ => Ok(position),
        };
    }
    let range = answer.header(&CONTENT_RANGE).and_then(ContentRange::parse);
    let Some(range) = range else {
        return Err(Failure::protocol(
            &answer.host,
            "sent a part of the blob without saying which",
        ));
    };
    if range.total.is_some_and(|total| total > size) || range.end >= size {
        return Err(too_long(answer, descriptor));
    }
    position
        .checked_sub(range.start)
        .ok_or_else(|| Failure::protocol(&answer.host, "sent another part of the blob than it was asked for"))
}

fn too_long(answer: &Answer, descriptor: &Descriptor) -> Failure {
    let reason = format!("sent more than the {} bytes of the blob", descriptor.size.0);
    Failure::protocol(&answer.host, reason)
}
