//! The WebSocket side of every twin: the upgrade, one task per connection, and the faults of the transport.
//!
//! A twin is a state machine that is handed frames and the time, and writes frames; this module moves them.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use crate::script::{Fault, Script};

/// One connection of a simulated provider, without its socket.
pub(crate) trait Twin: Send {
    /// The connection stands.
    fn open(&mut self, now: Instant, out: &mut Out);
    /// A text frame.
    fn text(&mut self, text: &str, now: Instant, out: &mut Out);
    /// A binary frame.
    fn binary(&mut self, bytes: &[u8], now: Instant, out: &mut Out);
    /// Time has passed.
    fn tick(&mut self, now: Instant, out: &mut Out);
    /// When time matters next.
    fn wakes(&self) -> Option<Instant>;
    /// When the session was configured: the zero of the faults.
    fn ready_since(&self) -> Option<Instant>;
    /// A fault that needs the twin's own words.
    fn fault(&mut self, fault: &Fault, now: Instant, out: &mut Out);
}

/// What a twin writes.
#[derive(Debug, Default)]
pub(crate) struct Out(pub(crate) VecDeque<Message>);

impl Out {
    pub(crate) fn text(&mut self, text: String) {
        self.0.push_back(Message::text(text));
    }

    pub(crate) fn json(&mut self, value: &serde_json::Value) {
        self.text(value.to_string());
    }

    pub(crate) fn binary(&mut self, bytes: impl Into<Bytes>) {
        self.0.push_back(Message::Binary(bytes.into()));
    }

    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        self.0.push_back(Message::Close(Some(CloseFrame {
            code: code.into(),
            reason: reason.into(),
        })));
    }
}

/// Answers an upgrade and runs the twin on the connection until it ends.
pub(crate) fn upgrade<T: Twin + 'static>(mut request: Request, script: Script, twin: T) -> Response {
    let Some(accept) = accept_key(request.headers()) else {
        return (StatusCode::UPGRADE_REQUIRED, "a WebSocket upgrade is expected").into_response();
    };
    let protocol = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrading.await {
            let config = WebSocketConfig::default()
                .read_buffer_size(8 << 10)
                .write_buffer_size(4 << 10)
                .max_message_size(Some(16 << 20));
            let io = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
            run(socket, script, twin).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        // A browser names its key here beside the protocol; the first one named is the protocol.
        let first = protocol.to_str().ok().and_then(|all| all.split(',').next());
        if let Some(first) = first.and_then(|first| HeaderValue::from_str(first.trim()).ok()) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, first);
        }
    }
    response
}

fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let is = |name, wanted: &str| {
        let value = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    };
    if !is(header::CONNECTION, "upgrade") || !is(header::UPGRADE, "websocket") {
        return None;
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn run<T: Twin>(mut socket: Socket, script: Script, mut twin: T) {
    let mut faults: Vec<Fault> = script.faults;
    let mut out = Out::default();
    let mut deaf_until: Option<Instant> = None;
    let silent = faults.contains(&Fault::NeverReady);
    if !silent {
        twin.open(Instant::now(), &mut out);
    }
    loop {
        // A frame is written when the next is: audio goes out in order and nothing is kept back.
        let mut closing = false;
        while let Some(message) = out.0.pop_front() {
            closing = message.is_close();
            if socket.feed(message).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
        if closing {
            return bid_farewell(socket).await;
        }
        let now = Instant::now();
        let due = faults
            .iter()
            .filter_map(|fault| Some((due(fault, twin.ready_since()?)?, fault)))
            .min_by_key(|(at, _)| *at)
            .map(|(at, fault)| (at, fault.clone()));
        if let Some((at, fault)) = &due
            && *at <= now
        {
            faults.retain(|other| other != fault);
            match fault {
                Fault::Vanish { .. } => return,
                Fault::Close { code, reason, .. } => out.close(*code, reason),
                Fault::Deaf { lasts, .. } => deaf_until = Some(now + *lasts),
                other => twin.fault(other, now, &mut out),
            }
            continue;
        }
        deaf_until = deaf_until.filter(|until| *until > now);
        let wakes = [twin.wakes(), due.map(|(at, _)| at), deaf_until]
            .into_iter()
            .flatten()
            .min();
        let idle = Duration::from_secs(3_600);
        tokio::select! {
            message = socket.next(), if deaf_until.is_none() => {
                let now = Instant::now();
                match message {
                    Some(Ok(Message::Text(_) | Message::Binary(_))) if silent => {}
                    Some(Ok(Message::Text(text))) => twin.text(&text, now, &mut out),
                    Some(Ok(Message::Binary(bytes))) => twin.binary(&bytes, now, &mut out),
                    Some(Ok(Message::Close(_))) | None | Some(Err(_)) => {
                        // The library has answered the goodbye; it only has to get out.
                        let _gone = socket.flush().await;
                        return;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                }
            }
            () = sleep_until(wakes.unwrap_or(now + idle)) => twin.tick(Instant::now(), &mut out),
        }
    }
}

/// Waits for the other side's goodbye, as RFC 6455 wants, but not for ever.
async fn bid_farewell(mut socket: Socket) {
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    let _late = tokio::time::timeout(Duration::from_secs(2), rest).await;
}

/// When a fault happens on a connection that was ready then.
fn due(fault: &Fault, ready: Instant) -> Option<Instant> {
    let after = match fault {
        Fault::Close { after, .. }
        | Fault::Vanish { after }
        | Fault::GoAway { after, .. }
        | Fault::Expire { after }
        | Fault::Deaf { after, .. } => after,
        Fault::Refuse { .. }
        | Fault::NeverReady
        | Fault::NeverAnswers
        | Fault::WrongFormat
        | Fault::BrokenTools
        | Fault::Burst => return None,
    };
    Some(ready + *after)
}
