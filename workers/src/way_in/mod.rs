//! Where carriers come in: the token is checked and a place taken before the WebSocket is opened.
//!
//! A lane is one thread with a listener of its own on the shared port (`SO_REUSEPORT`): a call stays on the thread
//! that took it, and no call's frame ever waits for another thread.

pub(crate) mod admission;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response},
};
use voice_lifecycle::CancellationToken;
use voice_schemas::events::call::Carrier;
use voice_telemetry::Emit as _;
use voice_telephony::media::{SingleUse, StreamGrant, StreamTokens};

use self::admission::Admission;
use crate::{
    bridge::{self, Shared, socket_config},
    error::Refusal,
    events::StreamRefused,
};

/// How long to wait when no connection can be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// A carrier that acknowledges nothing for so long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) tokens: Arc<StreamTokens>,
    pub(crate) used: Mutex<SingleUse>,
}

impl Gate {
    fn open<'a>(
        &self,
        path: &str,
        shared: &Shared,
        admission: &'a Admission,
    ) -> Result<(Carrier, Place<'a>), Refusal> {
        let mut parts = path.strip_prefix("/media/").unwrap_or_default().split('/');
        let carrier = match parts.next() {
            Some("twilio") => Carrier::Twilio,
            Some("telnyx") => Carrier::Telnyx,
            _ => return Err(Refusal::UnknownPath),
        };
        let (Some(token), None) = (parts.next(), parts.next()) else {
            return Err(Refusal::UnknownPath);
        };
        let now = shared.clock.now();
        let grant = self.tokens.open(token, now)?;
        // The place first: a token that found no room can be used again, here or at another worker.
        if !admission.enter() {
            return Err(Refusal::Busy);
        }
        let place = Place { grant, admission };
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(&grant, now)?;
        Ok((carrier, place))
    }
}

/// A listener that shares its port with others.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes calls until `drain` is cancelled, then lets those under way end; `stop` ends them.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    gate: Arc<Gate>,
    shared: Shared,
    admission: Arc<Admission>,
    drain: CancellationToken,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut calls = JoinSet::new();
    let probing = tokio::spawn({
        let admission = Arc::clone(&admission);
        async move { admission.probe().await }
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while calls.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let call = one(
                    stream,
                    Arc::clone(&gate),
                    shared.clone(),
                    Arc::clone(&admission),
                    stop.clone(),
                );
                calls.spawn(call);
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "media streams cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while calls.join_next().await.is_some() {}
    probing.abort();
    Ok(())
}

fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn one(
    stream: TcpStream,
    gate: Arc<Gate>,
    shared: Shared,
    admission: Arc<Admission>,
    stop: CancellationToken,
) {
    let _best_effort = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _best_effort = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(DEAD_AFTER));
    match timeout(shared.start_timeout, upgrade(stream, &gate, &shared, &admission)).await {
        Ok(Ok((socket, carrier, place))) => {
            bridge::carry(socket, carrier, place.grant, &shared, &stop).await;
            drop(place);
        }
        Ok(Err(refusal)) => StreamRefused(&refusal).emit(&shared.metrics),
        Err(_late) => StreamRefused(&Refusal::Handshake).emit(&shared.metrics),
    }
}

/// A taken place; dropped, it is free again, however the call ends.
struct Place<'a> {
    grant: StreamGrant,
    admission: &'a Admission,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.admission.leave();
    }
}

async fn upgrade<'a>(
    stream: TcpStream,
    gate: &Gate,
    shared: &Shared,
    admission: &'a Admission,
) -> Result<(WebSocketStream<TcpStream>, Carrier, Place<'a>), Refusal> {
    let mut verdict = Err(Refusal::Handshake);
    let check = Check {
        gate,
        shared,
        admission,
        verdict: &mut verdict,
    };
    let socket = accept_hdr_async_with_config(stream, check, Some(socket_config())).await;
    let (carrier, place) = verdict?;
    match socket {
        Ok(socket) => Ok((socket, carrier, place)),
        Err(_) => Err(Refusal::Handshake),
    }
}

/// Judges the head of the request.
struct Check<'a, 'p> {
    gate: &'a Gate,
    shared: &'a Shared,
    admission: &'p Admission,
    verdict: &'a mut Result<(Carrier, Place<'p>), Refusal>,
}

impl Callback for Check<'_, '_> {
    #[allow(clippy::result_large_err, reason = "the library's signature")]
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.verdict = self.gate.open(request.uri().path(), self.shared, self.admission);
        match &*self.verdict {
            Ok(_) => Ok(response),
            Err(refusal) => {
                let mut answer = ErrorResponse::new(None);
                *answer.status_mut() = refusal.status();
                if refusal.status() == StatusCode::SERVICE_UNAVAILABLE {
                    answer
                        .headers_mut()
                        .insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"));
                }
                Err(answer)
            }
        }
    }
}
