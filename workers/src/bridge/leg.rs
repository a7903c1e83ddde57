//! The carrier's socket of one call. Sending never waits; reading sends what still waits.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use voice_schemas::events::call::Carrier;
use voice_telephony::media::StreamWriter;

/// How much may wait for a carrier that does not read: half a minute of audio in Base64. More ends the call.
const BACKLOG: usize = 512 << 10;
/// Frames of carriers are half a kilobyte; the start message is a few.
const LARGEST_MESSAGE: usize = 64 << 10;

/// The settings of a carrier's socket.
pub(crate) fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        // What one round of the loop says leaves in one write.
        .write_buffer_size(64 << 10)
        .max_write_buffer_size(BACKLOG)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE))
}

/// What came from the carrier.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Text(Utf8Bytes),
    /// A message that cannot be one of a carrier.
    Foreign,
    /// It said goodbye.
    Closed,
    /// The connection broke, or it does not take what we send.
    Lost,
}

/// The socket, and how its carrier wants to be spoken to.
#[derive(Debug)]
pub(crate) struct Leg<S> {
    socket: WebSocketStream<S>,
    writer: StreamWriter,
    unsent: bool,
    failed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leg<S> {
    /// Before the stream has a name, nothing may be sent that needs it.
    pub(crate) fn new(socket: WebSocketStream<S>, carrier: Carrier) -> Self {
        Self {
            socket,
            writer: StreamWriter::new(carrier, ""),
            unsent: false,
            failed: false,
        }
    }

    /// The stream has begun under this name.
    pub(crate) fn named(&mut self, carrier: Carrier, stream_id: &str) {
        self.writer = StreamWriter::new(carrier, stream_id);
    }

    /// The next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Incoming {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Incoming> {
        if self.unsent && !self.failed {
            match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unsent = false,
                Poll::Ready(Err(_)) => self.failed = true,
                Poll::Pending => {}
            }
        }
        if self.failed {
            return Poll::Ready(Incoming::Lost);
        }
        loop {
            return match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(Message::Text(text)))) => Poll::Ready(Incoming::Text(text)),
                Poll::Ready(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {
                    // The library has put the answer to a ping into its buffer.
                    self.unsent = true;
                    continue;
                }
                Poll::Ready(Some(Ok(Message::Binary(_)))) => Poll::Ready(Incoming::Foreign),
                Poll::Ready(Some(Ok(Message::Close(_))) | None) => Poll::Ready(Incoming::Closed),
                Poll::Ready(Some(Err(_))) => Poll::Ready(Incoming::Lost),
            };
        }
    }

    fn send(&mut self, text: String) {
        self.unsent = true;
        // Refused when the backlog is full, or the socket is gone.
        if Pin::new(&mut self.socket)
            .start_send(Message::text(text))
            .is_err()
        {
            self.failed = true;
        }
    }

    /// Audio, in Base64 and in the stream's format.
    pub(crate) fn media(&mut self, payload: &str) {
        let mut text = String::new();
        self.writer.media(payload, &mut text);
        self.send(text);
    }

    /// A mark behind what was sent.
    pub(crate) fn mark(&mut self, number: u64) {
        let mut text = String::new();
        self.writer.mark(number, &mut text);
        self.send(text);
    }

    /// Throw away what was not played.
    pub(crate) fn clear(&mut self) {
        let mut text = String::new();
        self.writer.clear(&mut text);
        self.send(text);
    }

    /// Says goodbye and why.
    pub(crate) async fn close(&mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // A carrier that is gone already needs no goodbye.
        let _gone = self.socket.close(Some(frame)).await;
    }
}
