// SPDX-License-Identifier: MIT
//! The course of a build on the native route: the build, sending what it tells and gives out, and reading what the client sends, all at
//! the same time. The client's going ends all of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use hyperbox_build::request::Output;
use hyperbox_build::{BuildError, BuildRequest, Builder, Built, EventSender};
use hyperbox_core::seam::FileStream;
use hyperbox_types::ErrorKind;
use hyperbox_types::build::{BuildAnswer, BuildCall, BuildMessage, BuildOutput};
use hyperbox_types::stream::{Channel, MAX_PAYLOAD, header};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::session::{Agents, Client, Outgoing};
use super::told::Known;
use super::{KnownCredentials, native};
use crate::client_io::ClientIo;
use crate::error::ApiResult;
use crate::frames::FrameReader;

/// How many messages wait for the client.
const QUEUE: usize = 64;
/// How many pieces of a context wait to be read.
const CONTEXT_QUEUE: usize = 16;

/// Pieces of a context; an error says that it is cut off.
type Context = mpsc::Sender<std::io::Result<Bytes>>;

/// A build that has not begun.
pub(crate) struct Prepared {
    request: BuildRequest,
    wants_directories: bool,
    file: Known,
    context: Context,
    client: Arc<Client>,
    outgoing: (mpsc::Sender<Outgoing>, mpsc::Receiver<Outgoing>),
    output: Option<DuplexStream>,
    check: bool,
}

/// Makes a request of a call.
///
/// # Errors
/// 400 for what makes no sense.
pub(crate) fn prepare(call: &BuildCall, credentials: KnownCredentials) -> ApiResult<Prepared> {
    let (context, pieces) = mpsc::channel(CONTEXT_QUEUE);
    let mut request = native::request(call, stream_of(pieces))?;
    let (out, sent) = mpsc::channel(QUEUE);
    let client = Client::new(out.clone(), &call.secrets, &call.ssh);
    request.secrets = Arc::clone(&client) as _;
    request.ssh = Arc::new(Agents(Arc::clone(&client)));
    request.registries = Arc::new(credentials);
    let (near, far) = tokio::io::duplex(4 * MAX_PAYLOAD);
    let (outputs, output) = match call.output {
        BuildOutput::Image { push } => (vec![Output::Image { push }], None),
        BuildOutput::Files => (vec![Output::Files(Box::new(near))], Some(far)),
        BuildOutput::Oci => (vec![Output::Oci(Box::new(near))], Some(far)),
        BuildOutput::Docker => (vec![Output::Docker(Box::new(near))], Some(far)),
        BuildOutput::Nothing => (Vec::new(), None),
    };
    request.outputs = outputs;
    let file = Known {
        name: request.dockerfile.name().to_owned(),
        text: Arc::clone(&request.dockerfile_text),
    };
    Ok(Prepared {
        request,
        wants_directories: native::wants_directories(call),
        file,
        context,
        client,
        outgoing: (out, sent),
        output,
        check: call.check,
    })
}

fn stream_of(pieces: mpsc::Receiver<std::io::Result<Bytes>>) -> FileStream {
    Box::pin(stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    }))
}

/// Builds, and tells the client everything.
pub(crate) async fn serve(builder: Builder, mut io: ClientIo, prepared: Prepared) {
    let Prepared {
        request,
        wants_directories,
        file,
        context,
        client,
        outgoing: (out, sent),
        output,
        check,
    } = prepared;
    let first = io.take_read_already();
    let refused = wants_directories && io.is_network();
    let working = async {
        let built = if refused {
            Err(BuildError::Refused {
                kind: ErrorKind::PermissionDenied,
                message: "directories of this machine are not for clients of the network".to_owned(),
            })
        } else if check {
            examine(&builder, request, &out).await
        } else {
            work(&builder, request, &file, &out, output).await
        };
        let message = Box::new(native::end(&built, &file));
        // Without a client there is nobody to tell.
        drop(out.send(Outgoing::Message(message)).await);
        drop(out);
    };
    tokio::select! {
        biased;
        // Agents of the client hold the queue open: its end is the last message.
        () = async { tokio::join!(working, send(&io, sent)); } => {}
        () = read(&io, &first, context, &client) => return,
    }
    io.finish().await;
}

/// Checks the Dockerfile alone.
async fn examine(builder: &Builder, request: BuildRequest, out: &mpsc::Sender<Outgoing>) -> Result<Built, BuildError> {
    // Of what is read nobody wants to know.
    let (events, _nobody) = EventSender::channel();
    let checked = builder.check(request, events).await?;
    // The session ends when its client is gone.
    drop(out.send(Outgoing::Message(Box::new(native::checked(checked)))).await);
    Ok(Built::default())
}

async fn work(
    builder: &Builder,
    request: BuildRequest,
    file: &Known,
    out: &mpsc::Sender<Outgoing>,
    output: Option<DuplexStream>,
) -> Result<Built, BuildError> {
    let (events, mut happening) = EventSender::channel();
    // A step that another build waits for goes on telling.
    let ended = CancellationToken::new();
    let telling = async {
        while let Some(event) = happening.next_until(&ended).await {
            let message = Box::new(native::message(event, file));
            // The session ends when its client is gone.
            drop(out.send(Outgoing::Message(message)).await);
        }
    };
    let giving = async {
        let Some(mut output) = output else { return };
        let mut buffer = vec![0; MAX_PAYLOAD];
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            drop(out.send(Outgoing::Output(buffer[..length].to_vec())).await);
        }
    };
    let building = async {
        let built = builder.build(request, events).await;
        ended.cancel();
        built
    };
    let (built, (), ()) = tokio::join!(building, telling, giving);
    built
}

/// Sends until the last message.
async fn send(io: &ClientIo, mut sent: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = sent.recv().await {
        let last = match &outgoing {
            Outgoing::Message(message) => {
                matches!(**message, BuildMessage::Finished { .. } | BuildMessage::Failed { .. })
            }
            Outgoing::Output(_) => false,
        };
        let (channel, payload) = match outgoing {
            // Plain data always encodes.
            Outgoing::Message(message) => (Channel::Control, serde_json::to_vec(&message).unwrap_or_default()),
            Outgoing::Output(bytes) => (Channel::Stdout, bytes),
        };
        let mut frame = header(channel, u32::try_from(payload.len()).unwrap_or(u32::MAX)).to_vec();
        frame.extend_from_slice(&payload);
        if io.write_all(&frame).await.is_err() {
            // The reading half sees it too, and ends the session.
            std::future::pending::<()>().await;
        }
        if last {
            return;
        }
    }
}

/// Reads what the client sends until it is gone or talks nonsense.
async fn read(io: &ClientIo, first: &[u8], context: Context, client: &Client) {
    let mut context = Some(context);
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; MAX_PAYLOAD];
    frames.feed(first);
    loop {
        loop {
            match frames.next() {
                Ok(Some((Channel::Stdin, piece))) if piece.is_empty() => context = None,
                Ok(Some((Channel::Stdin, piece))) => {
                    if let Some(context) = &context {
                        // Nobody may read to the end of a context that is refused.
                        drop(context.send(Ok(piece)).await);
                    }
                }
                Ok(Some((_, payload))) => answered(&payload, &mut context, client).await,
                Ok(None) => break,
                Err(malformed) => {
                    tracing::debug!(?malformed, "client of a build sent a malformed frame");
                    return;
                }
            }
        }
        match io.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => frames.feed(&buffer[..length]),
        }
    }
}

async fn answered(payload: &[u8], context: &mut Option<Context>, client: &Client) {
    match serde_json::from_slice(payload) {
        Ok(BuildAnswer::ContextFailed { message }) => {
            if let Some(context) = context.take() {
                drop(context.send(Err(std::io::Error::other(message))).await);
            }
        }
        Ok(answer) => client.answered(answer).await,
        Err(error) => tracing::debug!(%error, "client of a build sent a malformed answer"),
    }
}
