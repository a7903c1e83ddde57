//! The port: who may come in, and to which twin.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
    serve::Listener,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    chat,
    deepgram::{self, Agent, Flux, Nova, Query, Speak},
    gemini_live::{Gemini, Sessions},
    openai_live::Live,
    openai_realtime::Realtime,
    script::{Script, Scripts},
    socket::upgrade,
};

/// Every provider, by one set of scripts.
#[derive(Clone, Debug)]
pub struct Twins {
    pub(crate) key: Arc<str>,
    pub(crate) scripts: Scripts,
    gemini: Sessions,
}

impl Twins {
    /// Twins that let nobody in without this key.
    #[must_use]
    pub fn new(key: &str, scripts: Scripts) -> Self {
        Self {
            key: key.into(),
            scripts,
            gemini: Sessions::default(),
        }
    }

    /// The routes of all providers.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/realtime", get(openai_realtime))
            .route("/v1/live/sessions", get(openai_live))
            .route(&gemini_path("v1beta"), get(gemini_live))
            .route(&gemini_path("v1"), get(gemini_live))
            .route("/v1/listen", get(nova))
            .route("/v2/listen", get(flux))
            .route("/v1/speak", get(speak))
            .route("/v1/agent/converse", get(agent))
            .route("/v1/chat/completions", post(chat::complete))
            .with_state(self)
    }

    pub(crate) fn admits(&self, key: Option<&str>) -> bool {
        key == Some(&*self.key)
    }
}

/// Serves twins until `stop` is done; over TLS where there is an acceptor. Connections under way go on.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    twins: Twins,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = twins.router();
    match tls {
        None => {
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream: &mut TcpStream| {
                // Small frames: waiting for more of them would be counted as the provider's latency.
                let _best_effort = stream.set_nodelay(true);
            });
            axum::serve(listener, router).with_graceful_shutdown(stop).await
        }
        Some(acceptor) => {
            let listener = TlsListener::new(listener, acceptor)?;
            axum::serve(listener, router).with_graceful_shutdown(stop).await
        }
    }
}

/// Connections whose handshakes are done; a slow handshake keeps nobody else waiting.
struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    fn new(listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(64);
        tokio::spawn(async move {
            while !done.is_closed() {
                let Ok((stream, peer)) = listener.accept().await else {
                    continue;
                };
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    let _best_effort = stream.set_nodelay(true);
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _nobody_waits = done.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self { ready, address })
    }
}

impl Listener for TlsListener {
    type Addr = SocketAddr;
    type Io = TlsStream<TcpStream>;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

pub(crate) fn bearer<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (found, key) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(key.trim())
}

/// The query as it was sent, decoded; names may repeat.
pub(crate) fn query(request: &Request) -> Vec<(String, String)> {
    serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap_or_default()
}

pub(crate) fn refused(script: &Script) -> Option<Response> {
    let status = StatusCode::from_u16(script.refused()?).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let body = json!({"error": {"message": "The server is overloaded.", "type": "server_error", "param": null,
                                "code": null}});
    Some((status, axum::Json(body)).into_response())
}

fn openai_error(status: StatusCode, code: Option<&str>, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": null,
                                "code": code}});
    (status, axum::Json(body)).into_response()
}

/// Who comes in to OpenAI.
pub(crate) fn openai_admits(twins: &Twins, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let unauthorized = |code, message| Box::new(openai_error(StatusCode::UNAUTHORIZED, code, message));
    match bearer(headers, "Bearer") {
        None => Err(unauthorized(
            None,
            "Missing bearer or basic authentication in header",
        )),
        Some(key) if twins.admits(Some(key)) => Ok(()),
        Some(_) => Err(unauthorized(
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        )),
    }
}

async fn openai_realtime(State(twins): State<Twins>, request: Request) -> Response {
    if let Err(refusal) = openai_admits(&twins, request.headers()) {
        return *refusal;
    }
    if request.headers().contains_key("openai-beta") {
        let message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.";
        return openai_error(StatusCode::BAD_REQUEST, Some("beta_api_shape_disabled"), message);
    }
    let query = query(&request);
    let Some((_, model)) = query.iter().find(|(name, _)| name == "model") else {
        let message = "You must provide a model parameter.";
        return openai_error(StatusCode::BAD_REQUEST, Some("missing_model"), message);
    };
    let script = twins.scripts.take();
    if let Some(refusal) = refused(&script) {
        return refusal;
    }
    let twin = Realtime::new(model, script.clone());
    upgrade(request, script, twin)
}

async fn openai_live(State(twins): State<Twins>, request: Request) -> Response {
    if let Err(refusal) = openai_admits(&twins, request.headers()) {
        return *refusal;
    }
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        let message = "This endpoint takes no query parameters.";
        return openai_error(StatusCode::BAD_REQUEST, Some("unknown_parameter"), message);
    }
    let script = twins.scripts.take();
    if let Some(refusal) = refused(&script) {
        return refusal;
    }
    let twin = Live::new(script.clone());
    upgrade(request, script, twin)
}

/// The documents name `v1beta`; the newest official client comes with `v1`.
fn gemini_path(version: &str) -> String {
    format!("/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent")
}

async fn gemini_live(State(twins): State<Twins>, request: Request) -> Response {
    let query = query(&request);
    let in_query = query
        .iter()
        .find(|(name, _)| name == "key")
        .map(|(_, key)| key.as_str());
    let in_header = request
        .headers()
        .get("x-goog-api-key")
        .and_then(|key| key.to_str().ok());
    if !twins.admits(in_header.or(in_query)) {
        let body = json!({"error": {"code": 403, "status": "PERMISSION_DENIED",
            "message": "Method doesn't allow unregistered callers (callers without established identity)."}});
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    let script = twins.scripts.take();
    if let Some(refusal) = refused(&script) {
        return refusal;
    }
    let twin = Gemini::new(script.clone(), twins.gemini);
    upgrade(request, script, twin)
}

/// Who comes in to Deepgram, by which script, and with which query.
fn deepgram_enters(
    twins: &Twins,
    request: &Request,
    known: &[&str],
) -> Result<(Query, Script), Box<Response>> {
    deepgram::admits(&twins.key, request)?;
    let query = Query::read(request, known)?;
    let script = twins.scripts.take();
    match refused(&script) {
        Some(refusal) => Err(Box::new(refusal)),
        None => Ok((query, script)),
    }
}

async fn nova(State(twins): State<Twins>, request: Request) -> Response {
    let entered = deepgram_enters(&twins, &request, deepgram::NOVA_QUERY);
    let twin =
        entered.and_then(|(query, script)| Ok((Nova::new(&query, script.clone(), Instant::now())?, script)));
    match twin {
        Ok((twin, script)) => upgrade(request, script, twin),
        Err(refusal) => *refusal,
    }
}

async fn flux(State(twins): State<Twins>, request: Request) -> Response {
    let entered = deepgram_enters(&twins, &request, deepgram::FLUX_QUERY);
    let twin = entered.and_then(|(query, script)| Ok((Flux::new(&query, script.clone())?, script)));
    match twin {
        Ok((twin, script)) => upgrade(request, script, twin),
        Err(refusal) => *refusal,
    }
}

async fn speak(State(twins): State<Twins>, request: Request) -> Response {
    let entered = deepgram_enters(&twins, &request, deepgram::SPEAK_QUERY);
    let twin =
        entered.and_then(|(query, script)| Ok((Speak::new(&query, script.clone(), Instant::now())?, script)));
    match twin {
        Ok((twin, script)) => upgrade(request, script, twin),
        Err(refusal) => *refusal,
    }
}

async fn agent(State(twins): State<Twins>, request: Request) -> Response {
    match deepgram_enters(&twins, &request, &[]) {
        Ok((_, script)) => {
            let twin = Agent::new(script.clone(), Instant::now());
            upgrade(request, script, twin)
        }
        Err(refusal) => *refusal,
    }
}
