//! Answers in the shape of a ClickHouse server: headers, status, and a body
//! that is compressed while it streams.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::compression::{BLOCK, Compressor, Encoding};
use crate::engine::{Answer, Counts};
use crate::errors::QueryError;
use crate::run::{Running, Started};

/// What the server says about itself in every answer.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) version: String,
    pub(crate) timezone: String,
    pub(crate) display_name: String,
}

/// What an answer needs to know of its request.
pub(crate) struct Reply<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) query_id: String,
    pub(crate) encoding: Encoding,
    pub(crate) wait_end_of_query: bool,
    pub(crate) begun: Instant,
}

/// Time for the exception's text to leave before the connection breaks.
const BEFORE_BREAK: Duration = Duration::from_millis(50);

impl Reply<'_> {
    pub(crate) async fn answer(self, started: Result<Started, QueryError>) -> Response {
        match started {
            Ok(Started::Whole { format, answer }) => self.whole(&format, answer.body, answer.counts),
            Ok(Started::Streaming {
                format,
                pipe,
                running,
            }) => match self.stream(&format, pipe, running).await {
                Ok(response) => response,
                Err((reply, error)) => reply.error(&error),
            },
            Err(error) => self.error(&error),
        }
    }

    pub(crate) fn error(&self, error: &QueryError) -> Response {
        let mut response = Response::new(Body::from(self.error_text(error)));
        *response.status_mut() = error.status();
        self.headers(&mut response, None, None);
        set(&mut response, "content-type", "text/plain; charset=UTF-8");
        set(
            &mut response,
            "x-clickhouse-exception-code",
            &error.code.to_string(),
        );
        response
    }

    fn error_text(&self, error: &QueryError) -> String {
        format!(
            "{} (version {} (official build))\n",
            error.message, self.identity.version
        )
    }

    fn whole(&self, format: &str, body: Vec<u8>, counts: Counts) -> Response {
        let compressed = Compressor::new(self.encoding).and_then(|mut compressor| {
            // An empty answer stays empty, as from a server.
            if body.is_empty() {
                return Ok(body);
            }
            let mut bytes = compressor.push(body)?;
            bytes.extend(compressor.finish()?);
            Ok(bytes)
        });
        let bytes = match compressed {
            Ok(bytes) => bytes,
            Err(error) => return self.error(&QueryError::io(error)),
        };
        let empty = bytes.is_empty();
        let mut response = Response::new(Body::from(bytes));
        self.headers(&mut response, Some(format), Some(counts));
        if !empty {
            self.content_encoding(&mut response);
        }
        response
    }

    /// The first megabyte decides: a result that ends within it is answered
    /// whole, with exact counts and with the status of its error; a longer one
    /// streams, and an error behind that point stands in the body.
    async fn stream(
        self,
        format: &str,
        pipe: OwnedFd,
        running: Running,
    ) -> Result<Response, (Self, QueryError)> {
        let mut pipe = match pipe::Receiver::from_owned_fd(pipe) {
            Ok(pipe) => pipe,
            Err(error) => return Err((self, QueryError::io(error))),
        };
        let mut running = running;
        let mut first = Vec::with_capacity(BLOCK);
        loop {
            match read_piece(&mut pipe, &mut first).await {
                Err(error) => return Err((self, QueryError::io(error))),
                Ok(Piece::More) if self.wait_end_of_query => {}
                Ok(Piece::More) => break,
                Ok(Piece::End) => {
                    return match outcome(&mut running).await {
                        Ok(answer) => {
                            first.extend(answer.body);
                            Ok(self.whole(format, first, answer.counts))
                        }
                        Err(error) => Err((self, error)),
                    };
                }
            }
        }
        let compressor = match Compressor::new(self.encoding) {
            Ok(compressor) => compressor,
            Err(error) => return Err((self, QueryError::io(error))),
        };
        let tag: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(16)
            .collect();
        let mut response = Response::new(Body::empty());
        self.headers(&mut response, Some(format), None);
        self.content_encoding(&mut response);
        set(&mut response, "x-clickhouse-exception-tag", &tag);
        let version = self.identity.version.clone();
        let state = Streaming {
            pipe,
            running,
            compressor,
            first: Some(first),
            tag,
            version,
        };
        *response.body_mut() = Body::from_stream(stream::unfold(Stage::Rows(Box::new(state)), step));
        Ok(response)
    }

    fn headers(&self, response: &mut Response, format: Option<&str>, counts: Option<Counts>) {
        set(
            response,
            "x-clickhouse-server-display-name",
            &self.identity.display_name,
        );
        set(response, "x-clickhouse-query-id", &self.query_id);
        set(response, "x-clickhouse-timezone", &self.identity.timezone);
        if let Some(format) = format {
            set(response, "x-clickhouse-format", format);
            set(response, "content-type", content_type(format));
        }
        let counts = counts.unwrap_or_default();
        let summary = serde_json::json!({
            "read_rows": counts.read_rows.to_string(),
            "read_bytes": counts.read_bytes.to_string(),
            "written_rows": counts.written_rows.to_string(),
            "written_bytes": counts.written_bytes.to_string(),
            "total_rows_to_read": "0",
            "result_rows": counts.result_rows.to_string(),
            "result_bytes": counts.result_bytes.to_string(),
            "elapsed_ns": self.begun.elapsed().as_nanos().to_string(),
        });
        set(response, "x-clickhouse-summary", &summary.to_string());
    }

    fn content_encoding(&self, response: &mut Response) {
        if let Some(name) = self.encoding.name() {
            set(response, "content-encoding", name);
        }
    }
}

/// Headers whose text cannot be a header (a query id with a line break, say)
/// are left out.
fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response
            .headers_mut()
            .insert(header::HeaderName::from_static(name), value);
    }
}

enum Piece {
    /// `buffer` is as full as one piece gets; there may be more.
    More,
    End,
}

/// Fills `buffer` by up to [`BLOCK`] bytes.
async fn read_piece(pipe: &mut pipe::Receiver, buffer: &mut Vec<u8>) -> io::Result<Piece> {
    let goal = buffer.len() + BLOCK;
    buffer.reserve(BLOCK);
    while buffer.len() < goal {
        if pipe.read_buf(buffer).await? == 0 {
            return Ok(Piece::End);
        }
    }
    Ok(Piece::More)
}

async fn outcome(running: &mut Running) -> Result<Answer, QueryError> {
    (&mut running.outcome).await.unwrap_or_else(|_dropped| {
        Err(QueryError::new(
            1002,
            "UNKNOWN_EXCEPTION",
            "The query ended without a word",
        ))
    })
}

struct Streaming {
    pipe: pipe::Receiver,
    running: Running,
    compressor: Compressor,
    first: Option<Vec<u8>>,
    tag: String,
    version: String,
}

enum Stage {
    Rows(Box<Streaming>),
    /// The exception is written; the connection has to break, so that a client
    /// that knows no exception tags sees an incomplete answer.
    Break,
    End,
}

async fn step(stage: Stage) -> Option<(io::Result<Bytes>, Stage)> {
    match stage {
        Stage::Rows(mut streaming) => {
            let mut piece = streaming.first.take().unwrap_or_default();
            let mut last = Stage::End;
            let ended = match if piece.is_empty() {
                read_piece(&mut streaming.pipe, &mut piece).await
            } else {
                Ok(Piece::More)
            } {
                Ok(Piece::More) => false,
                Ok(Piece::End) => true,
                Err(error) => return Some((Err(error), Stage::End)),
            };
            let mut bytes = Vec::new();
            let compressed = if ended {
                let failure = outcome(&mut streaming.running).await.err();
                if let Some(error) = &failure {
                    last = Stage::Break;
                    tracing::info!(%error, "a query failed after its first rows were sent");
                }
                finish(*streaming, piece, failure, &mut bytes)
            } else {
                let compressed = streaming.compressor.push(piece).map(|more| bytes.extend(more));
                last = Stage::Rows(streaming);
                compressed
            };
            Some(match compressed {
                Ok(()) => (Ok(bytes.into()), last),
                Err(error) => (Err(error), Stage::End),
            })
        }
        Stage::Break => {
            tokio::time::sleep(BEFORE_BREAK).await;
            Some((Err(io::Error::other("the query failed")), Stage::End))
        }
        Stage::End => None,
    }
}

fn finish(
    streaming: Streaming,
    piece: Vec<u8>,
    failure: Option<QueryError>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut compressor = streaming.compressor;
    if !piece.is_empty() {
        out.extend(compressor.push(piece)?);
    }
    if let Some(error) = failure {
        // The form that servers since 25.11 write and clients look for.
        let (tag, version) = (streaming.tag, streaming.version);
        let text = format!("{} (version {version} (official build))\n", error.message);
        let marked = format!(
            "\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n",
            text.len()
        );
        out.extend(compressor.push(marked.into_bytes())?);
    }
    out.extend(compressor.finish()?);
    Ok(())
}

fn content_type(format: &str) -> &'static str {
    match format {
        "TabSeparated"
        | "TSV"
        | "TabSeparatedRaw"
        | "TSVRaw"
        | "TabSeparatedWithNames"
        | "TSVWithNames"
        | "TabSeparatedWithNamesAndTypes"
        | "TSVWithNamesAndTypes" => "text/tab-separated-values; charset=UTF-8",
        "CSV" => "text/csv; charset=UTF-8; header=absent",
        "CSVWithNames" | "CSVWithNamesAndTypes" => "text/csv; charset=UTF-8; header=present",
        "JSON"
        | "JSONCompact"
        | "JSONStrings"
        | "JSONCompactStrings"
        | "JSONColumns"
        | "JSONColumnsWithMetadata"
        | "JSONCompactColumns" => "application/json; charset=UTF-8",
        "XML" => "application/xml; charset=UTF-8",
        name if name.starts_with("JSON") => "application/x-ndjson; charset=UTF-8",
        name if name.starts_with("RowBinary")
            || matches!(
                name,
                "Native" | "Arrow" | "ArrowStream" | "Parquet" | "ORC" | "Avro" | "MsgPack"
            ) =>
        {
            "application/octet-stream"
        }
        _ => "text/plain; charset=UTF-8",
    }
}

/// A plain text answer, for the paths that are no queries.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    set(&mut response, "content-type", "text/plain; charset=UTF-8");
    response
}
