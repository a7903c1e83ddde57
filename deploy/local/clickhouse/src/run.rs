//! Runs a request's statement on the engine, on a thread that may block.
//!
//! A SELECT writes its result into a pipe (`INTO OUTFILE`), in one document of
//! its format, and the response reads the other end: a result of any size takes
//! a megabyte here, and a slow reader slows the query down. (The library's own
//! streaming calls make a whole document, header and all, of every block.)

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::body;
use crate::compression;
use crate::engine::{Answer, Session};
use crate::errors::QueryError;
use crate::request::Request;
use crate::sessions::Sessions;
use crate::sql::{self, Statement};

const SYNTAX_ERROR: u32 = 62;
/// How much of a result waits in the pipe.
const PIPE: usize = 1 << 20;
/// How often a query whose client has gone is told to stop.
const KILL_EVERY: Duration = Duration::from_millis(200);

/// What the response is made of.
pub(crate) enum Started {
    /// The statement is done; the result is here.
    Whole { format: String, answer: Answer },
    /// The statement runs; the result comes through the pipe.
    Streaming {
        format: String,
        pipe: OwnedFd,
        running: Running,
    },
}

/// A statement that writes into a pipe. Dropped early, it stops the statement.
pub(crate) struct Running {
    pub(crate) outcome: oneshot::Receiver<Result<Answer, QueryError>>,
    done: Arc<AtomicBool>,
    sessions: Arc<Sessions>,
    /// Part of the statement's text that no other running statement has.
    marker: String,
}

/// Reads the body, runs the statement, and says through `reply` how it went.
pub(crate) fn run(
    sessions: &Arc<Sessions>,
    request: &Request,
    body: impl Read,
    reply: oneshot::Sender<Result<Started, QueryError>>,
) {
    match (Statements { sessions, request }).start(body) {
        Ok(Next::Reply(started)) => ignore_gone_client(reply.send(Ok(started))),
        Ok(Next::Stream(stream)) => stream.run(sessions, request, reply),
        Err(error) => ignore_gone_client(reply.send(Err(error))),
    }
}

/// A client that has left needs no answer.
fn ignore_gone_client<T>(_sent: Result<(), T>) {}

struct Statements<'a> {
    sessions: &'a Arc<Sessions>,
    request: &'a Request,
}

enum Next {
    Reply(Started),
    Stream(Stream),
}

struct Stream {
    text: Vec<u8>,
    outfile_at: usize,
    end: usize,
    format: String,
}

impl Statements<'_> {
    fn start(&self, body: impl Read) -> Result<Next, QueryError> {
        let request = self.request;
        let plain = compression::decoded(body, request.content_encoding.as_deref(), request.decompress)?;
        let prepared = body::prepare(&request.query, plain, !request.parameters.is_empty())?;
        if request.read_only && prepared.statement.changes_something() {
            return Err(QueryError::new(
                164,
                "READONLY",
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. \
                 You should use method POST for modifying queries",
            ));
        }
        let default_format = match request.default_format.as_str() {
            "" => "TabSeparated".to_owned(),
            name if name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
            {
                name.to_owned()
            }
            name => {
                return Err(QueryError::new(
                    73,
                    "UNKNOWN_FORMAT",
                    format!("Unknown format {name}"),
                ));
            }
        };
        let text = prepared.text;
        let mut named_format = None;
        let sql = match prepared.statement {
            Statement::Empty => return Err(QueryError::syntax("Syntax error: Empty query")),
            Statement::Select {
                outfile_at,
                format,
                end,
            } => {
                let format = format.unwrap_or(default_format);
                return Ok(Next::Stream(Stream {
                    text,
                    outfile_at,
                    end,
                    format,
                }));
            }
            Statement::InsertRows {
                infile_at,
                clause_at,
                format,
                ..
            } => match &prepared.rows {
                Some(rows) => sql::insert_from(&text, infile_at, clause_at, &format, rows.as_raw_fd()),
                None => text,
            },
            Statement::Show { format, end } => {
                named_format = format;
                text[..end].to_vec()
            }
            Statement::Change { end } => text[..end].to_vec(),
        };
        let mut lease = self.sessions.lease(request)?;
        let answer = lease
            .session()?
            .query(&sql, &default_format, &request.parameters)?;
        drop(lease);
        Ok(Next::Reply(Started::Whole {
            format: named_format.unwrap_or(default_format),
            answer,
        }))
    }
}

impl Stream {
    fn run(
        self,
        sessions: &Arc<Sessions>,
        request: &Request,
        reply: oneshot::Sender<Result<Started, QueryError>>,
    ) {
        let opened = std::io::pipe().map_err(QueryError::io);
        let leased = sessions.lease(request);
        let ((reader, writer), mut lease) = match (opened, leased) {
            (Ok(pipe), Ok(lease)) => (pipe, lease),
            (Err(error), _) | (_, Err(error)) => return ignore_gone_client(reply.send(Err(error))),
        };
        // A bigger pipe only saves switches between the two ends.
        let _kept_small = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        let fd = writer.as_raw_fd();
        let sql = sql::select_into(&self.text, self.outfile_at, self.end, fd, &self.format);
        let (report, outcome) = oneshot::channel();
        let done = Arc::new(AtomicBool::new(false));
        let running = Running {
            outcome,
            done: Arc::clone(&done),
            sessions: Arc::clone(sessions),
            marker: format!("INTO OUTFILE '/proc/self/fd/{fd}' APPEND"),
        };
        ignore_gone_client(reply.send(Ok(Started::Streaming {
            format: self.format.clone(),
            pipe: reader.into(),
            running,
        })));
        let result = lease
            .session()
            .and_then(|session| self.query(session, &sql, &request.parameters));
        done.store(true, Ordering::Release);
        // In this order: when the client has its answer, its session is free again.
        drop(lease);
        drop(writer);
        ignore_gone_client(report.send(result));
    }

    /// A statement that does not parse is sent once more as the client wrote it:
    /// the message must not show a clause that the client never typed.
    fn query(
        &self,
        session: &mut Session,
        sql: &[u8],
        parameters: &[(String, String)],
    ) -> Result<Answer, QueryError> {
        match session.query(sql, "Null", parameters).map_err(QueryError::from) {
            Err(error) if error.code == SYNTAX_ERROR => {
                Ok(session.query(&self.text[..self.end], &self.format, parameters)?)
            }
            result => result,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.done.load(Ordering::Acquire) {
            return;
        }
        // The engine swallows a closed pipe and would run to the end for nobody.
        let (done, sessions) = (Arc::clone(&self.done), Arc::clone(&self.sessions));
        let marker = vec![("marker".to_owned(), self.marker.clone())];
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                while !done.load(Ordering::Acquire) {
                    let (sessions, marker) = (Arc::clone(&sessions), marker.clone());
                    let killed = tokio::task::spawn_blocking(move || kill(&sessions, &marker)).await;
                    if let Ok(Err(error)) = killed {
                        tracing::warn!(%error, "could not stop a query whose client has gone");
                    }
                    tokio::time::sleep(KILL_EVERY).await;
                }
            });
        }
    }
}

fn kill(sessions: &Sessions, marker: &[(String, String)]) -> Result<(), QueryError> {
    let mut session = sessions.fresh()?;
    // As a parameter, so that this statement does not find itself.
    let find = b"SELECT query_id FROM system.processes WHERE position(query, {marker:String}) > 0";
    let found = session.query(find, "TSVRaw", marker)?;
    for id in String::from_utf8_lossy(&found.body).lines() {
        let statement = format!("KILL QUERY WHERE query_id = {} ASYNC", sql::quoted(id));
        session.query(statement.as_bytes(), "Null", &[])?;
    }
    Ok(())
}
