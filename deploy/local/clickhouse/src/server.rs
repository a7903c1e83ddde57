//! The HTTP side: routes, credentials, form fields, and the hand-over to a
//! thread that may block.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, State};
use axum::http::{HeaderMap, Method, Request as HttpRequest, StatusCode, header};
use axum::response::Response;
use axum::routing::{any, get};
use futures::TryStreamExt;
use tokio::sync::oneshot;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::compression::Encoding;
use crate::errors::QueryError;
use crate::request::{Credentials, Request};
use crate::response::{Identity, Reply, plain};
use crate::run;
use crate::sessions::Sessions;

/// What every request needs.
pub(crate) struct App {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
}

/// The routes of a ClickHouse server that clients use.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/ping", get(|| async { plain(StatusCode::OK, "Ok.\n") }))
        .route(
            "/replicas_status",
            get(|| async { plain(StatusCode::OK, "Ok.\n") }),
        )
        .route("/", any(query))
        .fallback(|| async { plain(StatusCode::NOT_FOUND, "There is no handle for this path\n") })
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

async fn query(State(app): State<Arc<App>>, http: HttpRequest<Body>) -> Response {
    let begun = Instant::now();
    let (method, uri, headers) = (http.method().clone(), http.uri().clone(), http.headers().clone());
    if method == Method::GET && uri.query().is_none() {
        return plain(StatusCode::OK, "Ok.\n");
    }
    let mut reply = Reply {
        identity: &app.identity,
        query_id: uuid::Uuid::new_v4().to_string(),
        encoding: Encoding::Plain,
        wait_end_of_query: false,
        begun,
    };
    let checked = app
        .credentials
        .check(&uri, &headers)
        .and_then(|()| Request::parse(&method, &uri, &headers));
    let mut request = match checked {
        Ok(request) => request,
        Err(error) => return reply.error(&error),
    };
    reply.query_id.clone_from(&request.query_id);
    reply.encoding = request.encoding;
    reply.wait_end_of_query = request.wait_end_of_query;
    let body = match take_form(&mut request, &headers, http).await {
        Ok(body) => body,
        Err(error) => return reply.error(&error),
    };
    let reader = SyncIoBridge::new(StreamReader::new(
        body.into_data_stream().map_err(std::io::Error::other),
    ));
    let (sender, started) = oneshot::channel();
    let sessions = Arc::clone(&app.sessions);
    tokio::task::spawn_blocking(move || run::run(&sessions, &request, reader, sender));
    let started = started.await.unwrap_or_else(|_dropped| {
        Err(QueryError::new(
            1002,
            "UNKNOWN_EXCEPTION",
            "The query ended without a word",
        ))
    });
    reply.answer(started).await
}

/// Clients send long parameters as a form; then the body is not the query.
async fn take_form(
    request: &mut Request,
    headers: &HeaderMap,
    http: HttpRequest<Body>,
) -> Result<Body, QueryError> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    if !is_form {
        return Ok(http.into_body());
    }
    let mut form = Multipart::from_request(http, &()).await.map_err(QueryError::io)?;
    while let Some(field) = form.next_field().await.map_err(QueryError::io)? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().await.map_err(QueryError::io)?;
        request.take_form_field(&name, value)?;
    }
    Ok(Body::empty())
}
