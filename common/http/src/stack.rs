//! The layers around every router.
//!
//! From the outside in: the request's identity and its log span, counting, the client's address, the
//! deadline, the catch for panics, the limit on bodies, the router. They are one function rather than six
//! layers, because each layer would box a future per request and the order between them is what matters.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::Instrument;
use voice_telemetry::{Emit, Gauge, Metrics};

use crate::{
    ClientAddress, Problem, RequestContext, client_address,
    context::X_REQUEST_ID,
    events::{HTTP_IN_FLIGHT, Listener, Method, RequestFinished, RequestPanicked, Route, Status},
};

/// How requests are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Largest body a route takes; a route that takes more says so with its own `DefaultBodyLimit`.
    pub body_limit_bytes: usize,
    /// A handler that has not answered by then is dropped, and the client told to try again.
    pub timeout_ms: u64,
    /// How many proxies of ours stand before this listener and append to `X-Forwarded-For`.
    pub trusted_hops: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            body_limit_bytes: 1024 * 1024,
            timeout_ms: 30_000,
            trusted_hops: 0,
        }
    }
}

/// The layers of one listener.
#[derive(Clone, Debug)]
pub struct Stack(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: Listener,
    config: HttpConfig,
    metrics: Metrics,
    in_flight: Gauge<Listener>,
}

impl Stack {
    /// The layers for `listener`.
    #[must_use]
    pub fn new(listener: Listener, config: HttpConfig, metrics: Metrics) -> Self {
        let in_flight = metrics.gauge(&HTTP_IN_FLIGHT);
        Self(Arc::new(Inner {
            listener,
            config,
            metrics,
            in_flight,
        }))
    }

    /// `router` with the layers around it. Call it last: routes added later stand outside.
    pub fn apply(&self, router: Router) -> Router {
        router
            .layer(DefaultBodyLimit::max(self.0.config.body_limit_bytes))
            .layer(from_fn_with_state(self.clone(), around))
    }
}

async fn around(State(stack): State<Stack>, mut request: Request, next: Next) -> Response {
    let stack = stack.0;
    let context = RequestContext::from_headers(request.headers());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(Route::UNMATCHED, |path| Route::of(path.as_str()));
    let method = Method::from(request.method());
    // Neither the path nor the query: both may carry secrets and personal data.
    let span = tracing::info_span!(
        "http",
        listener = stack.listener.0,
        method = method.as_str(),
        route = route.as_str(),
        request_id = context.request_id.as_str(),
        trace_id = context.traceparent.trace_id(),
        tenant = tracing::field::Empty,
        call_id = tracing::field::Empty,
        correlation_id = tracing::field::Empty,
    );
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>() {
        let address = client_address(peer.ip(), request.headers(), stack.config.trusted_hops);
        request.extensions_mut().insert(ClientAddress(address));
    }
    request.extensions_mut().insert(context.clone());

    async move {
        let mut running = Running::start(Arc::clone(&stack), method, route);
        let answer = tokio::time::timeout(
            Duration::from_millis(stack.config.timeout_ms),
            AssertUnwindSafe(next.run(request)).catch_unwind(),
        );
        let response = match answer.await {
            Ok(Ok(response)) => response,
            Ok(Err(_panic)) => {
                RequestPanicked {
                    listener: stack.listener,
                }
                .emit(&stack.metrics);
                Problem::internal().respond(None)
            }
            Err(_elapsed) => Problem::unavailable(RETRY_AFTER_TIMEOUT)
                .with_detail("the request took longer than it may")
                .respond(None),
        };
        let mut response = as_problem(response, &context);
        if let Ok(value) = HeaderValue::from_str(context.request_id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        running.status = response.status().into();
        response
    }
    .instrument(span)
    .await
}

/// Long enough for what made the handler slow to pass, short enough to be tried.
const RETRY_AFTER_TIMEOUT: Duration = Duration::from_secs(1);

/// Gives a problem the id of its request. A bare error status, and the plain text of axum's own
/// refusals, which may quote the request, become problems too; any other body is the handler's choice.
fn as_problem(mut response: Response, context: &RequestContext) -> Response {
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if is_unworded_error(&response) => Problem::for_status(response.status()),
        None => return response,
    };
    let (mut old, _) = response.into_parts();
    let (new, body) = problem.respond(Some(&context.request_id)).into_parts();
    old.headers.remove(header::CONTENT_LENGTH);
    for name in new.headers.keys() {
        old.headers.remove(name);
    }
    old.headers.extend(new.headers);
    old.status = new.status;
    Response::from_parts(old, body)
}

fn is_unworded_error(response: &Response) -> bool {
    let status = response.status();
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.to_str().is_ok_and(|value| value.starts_with("text/plain")));
    (status.is_client_error() || status.is_server_error()) && status != StatusCode::UPGRADE_REQUIRED && plain
}

/// A request under way. Dropped without a status, its client went away.
struct Running {
    stack: Arc<Inner>,
    method: Method,
    route: Route,
    status: Status,
    since: Instant,
}

impl Running {
    fn start(stack: Arc<Inner>, method: Method, route: Route) -> Self {
        stack.in_flight.add(stack.listener, 1.0);
        Self {
            stack,
            method,
            route,
            status: Status::Abandoned,
            since: Instant::now(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stack.in_flight.add(self.stack.listener, -1.0);
        RequestFinished {
            listener: self.stack.listener,
            method: self.method,
            route: self.route,
            status: self.status,
            took: self.since.elapsed(),
        }
        .emit(&self.stack.metrics);
    }
}
