//! What a call asks the platform to do: end it at the carrier, hand the caller over, note something, look
//! something up.
//!
//! The task of the call polls what [`Hands::act`] gives beside its sockets. It must not block, and it is dropped
//! when the call ends or gives up waiting: what must happen all the same, [`Hands`] hands on before the first await.

use std::fmt;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use url::Url;
use voice_providers::tools::Action;
use voice_schemas::{AgentId, AttemptId, CallId, TenantId, events::call::Carrier};

/// The call on whose behalf something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The tenant.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// The AI agent that talks.
    pub agent: AgentId,
    /// The try the call belongs to; none where the call came to us.
    pub attempt: Option<AttemptId>,
    /// Who brings it.
    pub carrier: Carrier,
    /// The carrier's name of the call.
    pub carrier_call_id: String,
}

/// What is to be done.
#[derive(Clone, PartialEq)]
pub enum Deed {
    /// One of the platform's own tools. The arguments fit their schema; whether this agent may reach that queue,
    /// person or number is for [`Hands`] to judge.
    Act(Action),
    /// A tool of the tenant's own. The URL must pass
    /// [`egress`](voice_providers::tools::egress), its name resolved.
    Webhook {
        /// The tool.
        name: String,
        /// Where to.
        url: Url,
        /// The document to post.
        arguments: Value,
    },
}

impl Deed {
    /// The name of the tool.
    #[must_use]
    pub fn tool(&self) -> &str {
        match self {
            Self::Act(action) => action.tool(),
            Self::Webhook { name, .. } => name,
        }
    }
}

/// What callers say and whom they are handed to stays out of logs.
impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deed").field(&self.tool()).finish()
    }
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandsError {
    /// Not for this agent, or nothing of that name.
    #[error("not allowed, or no such target")]
    Refused,
    /// Nobody takes the call at the moment.
    #[error("nobody is free")]
    NobodyFree,
    /// What it needs does not work at the moment.
    #[error("out of order")]
    Unavailable,
    /// The caller spoke before it was done.
    #[error("the caller spoke before it was done")]
    Interrupted,
}

impl HandsError {
    /// A stable label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::NobodyFree => "nobody_free",
            Self::Unavailable => "unavailable",
            Self::Interrupted => "interrupted",
        }
    }

    /// The result to give to the model.
    #[must_use]
    pub fn answer(self) -> Value {
        json!({"error": self.to_string(), "kind": self.kind()})
    }
}

/// Acts for calls.
pub trait Hands: Send + Sync + fmt::Debug {
    /// Begins; the future ends when it is done and gives a JSON document for the model.
    ///
    /// A transfer is done when the carrier has taken the order: the stream then ends by itself.
    fn act(&self, line: &Line, deed: Deed) -> BoxFuture<'static, Result<Value, HandsError>>;
}
