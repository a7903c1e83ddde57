//! Connections to the engine for requests: a fresh one each, or the one that
//! belongs to a `session_id`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Session};
use crate::errors::{EngineError, QueryError};
use crate::request::{NamedSession, Request};
use crate::sql;

/// All named sessions.
pub(crate) struct Sessions {
    engine: Arc<Engine>,
    named: Mutex<HashMap<String, Slot>>,
}

enum Slot {
    Busy,
    Idle { session: Session, until: Instant },
}

/// A connection for the length of one request.
pub(crate) struct Lease {
    session: Option<Session>,
    home: Option<Home>,
}

/// Where a named session goes back to.
struct Home {
    sessions: Arc<Sessions>,
    id: String,
    timeout: Duration,
    /// Takes back what the request set for itself only.
    restore: Vec<String>,
}

impl Sessions {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            named: Mutex::default(),
        }
    }

    /// A connection with the request's database and settings in force.
    pub(crate) fn lease(self: &Arc<Self>, request: &Request) -> Result<Lease, QueryError> {
        let mut lease = match &request.session {
            None => Lease {
                session: Some(self.fresh()?),
                home: None,
            },
            Some(named) => self.named(named)?,
        };
        lease.apply(request)?;
        Ok(lease)
    }

    /// A connection with default settings, for the server's own statements.
    pub(crate) fn fresh(&self) -> Result<Session, QueryError> {
        let mut session = self.engine.session()?;
        // As a server parses: a bare expression is not a query.
        session.query(b"SET implicit_select = 0", "Null", &[])?;
        Ok(session)
    }

    /// Forgets all named sessions that no request holds.
    pub(crate) fn clear(&self) {
        self.slots().clear();
    }

    fn named(self: &Arc<Self>, named: &NamedSession) -> Result<Lease, QueryError> {
        let mut slots = self.slots();
        let now = Instant::now();
        slots.retain(|_, slot| !matches!(slot, Slot::Idle { until, .. } if *until < now));
        let session = match slots.get(&named.id) {
            Some(Slot::Busy) => {
                return Err(QueryError::new(
                    373,
                    "SESSION_IS_LOCKED",
                    format!("Session {} is locked by a concurrent client", named.id),
                ));
            }
            None if named.must_exist => {
                return Err(QueryError::new(
                    372,
                    "SESSION_NOT_FOUND",
                    format!("Session {} not found", named.id),
                ));
            }
            _ => match slots.insert(named.id.clone(), Slot::Busy) {
                Some(Slot::Idle { session, .. }) => Some(session),
                _ => None,
            },
        };
        drop(slots);
        let home = Home {
            sessions: Arc::clone(self),
            id: named.id.clone(),
            timeout: named.timeout,
            restore: Vec::new(),
        };
        let mut lease = Lease {
            session,
            home: Some(home),
        };
        if lease.session.is_none() {
            lease.session = Some(self.fresh()?);
        }
        Ok(lease)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The connection itself.
    pub(crate) fn session(&mut self) -> Result<&mut Session, QueryError> {
        self.session
            .as_mut()
            .ok_or_else(|| EngineError::Open("the session is gone".into()).into())
    }

    fn apply(&mut self, request: &Request) -> Result<(), QueryError> {
        if self.home.is_some() {
            self.remember(request)?;
        }
        let session = self.session()?;
        if let Some(database) = &request.database {
            session.query(
                format!("USE {}", sql::identifier(database)).as_bytes(),
                "Null",
                &[],
            )?;
        }
        // `readonly` forbids the SETs that follow it.
        let (last, first): (Vec<_>, Vec<_>) =
            request.settings.iter().partition(|(name, _)| name == "readonly");
        for (name, value) in first.into_iter().chain(last) {
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(QueryError::new(
                    115,
                    "UNKNOWN_SETTING",
                    format!("Unknown setting '{name}'"),
                ));
            }
            session.query(
                format!("SET {name} = {}", sql::quoted(value)).as_bytes(),
                "Null",
                &[],
            )?;
        }
        Ok(())
    }

    /// Notes what the request is about to change, because its settings end with
    /// it while the session goes on.
    fn remember(&mut self, request: &Request) -> Result<(), QueryError> {
        let mut restore = Vec::new();
        let session = self.session()?;
        if request.database.is_some() {
            let answer = session.query(b"SELECT currentDatabase()", "TSVRaw", &[])?;
            let name = String::from_utf8_lossy(&answer.body);
            restore.push(format!("USE {}", sql::identifier(name.trim_end_matches('\n'))));
        }
        for (name, _) in &request.settings {
            let wanted = [("name".to_owned(), name.clone())];
            let found = session.query(
                b"SELECT value FROM system.settings WHERE name = {name:String} AND changed",
                "TSVRaw",
                &wanted,
            )?;
            restore.push(if found.body.is_empty() {
                format!("SET {name} = DEFAULT")
            } else {
                let value = String::from_utf8_lossy(&found.body);
                format!(
                    "SET {name} = {}",
                    sql::quoted(value.strip_suffix('\n').unwrap_or(&value))
                )
            });
        }
        if let Some(home) = &mut self.home {
            home.restore = restore;
        }
        Ok(())
    }
}

impl Drop for Lease {
    /// Gives a named session back as it was before the request. One that cannot
    /// be restored is closed rather than kept half-changed.
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let mut slots = None;
        if let Some(mut session) = self.session.take()
            && home
                .restore
                .iter()
                .all(|statement| session.query(statement.as_bytes(), "Null", &[]).is_ok())
        {
            slots = Some(Slot::Idle {
                session,
                until: Instant::now() + home.timeout,
            });
        }
        let mut named = home.sessions.slots();
        match slots {
            Some(slot) => named.insert(home.id, slot),
            None => named.remove(&home.id),
        };
    }
}
