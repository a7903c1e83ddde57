//! Reads a kept webhook again, after somebody taught the platform what it means.
//!
//! The signature held when the bytes were kept, and it cannot be checked again: carriers sign the time too.
//! What the topic holds is believed, as everything in it is.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, Uri};
use voice_kafka::{
    KafkaError, Producer,
    dead_letters::{DeadLetter, Origin},
};
use voice_postgres::{Database, accounts, sealed::Sealer};
use voice_schemas::EventId;
use voice_telemetry::Metrics;
use voice_telephony::{ContextKeys, WebhookRequest};

use crate::{
    HookAccount, HooksConfig,
    hooks::{
        accounts::Directory,
        verdict::{self, Verdict},
    },
    outlet::Outlet,
};

/// Puts kept webhooks where they belong.
pub struct Redeliver {
    directory: Directory,
    context: Arc<ContextKeys>,
    outlet: Outlet,
}

impl std::fmt::Debug for Redeliver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redeliver").finish_non_exhaustive()
    }
}

/// What became of a kept webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivered {
    /// It is an event now, confirmed by the brokers. The same letter always gives the same id.
    Stored(EventId),
    /// It is understood now, and no fact about a call.
    Ignored,
}

/// Why a kept webhook stays what it is.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// The letter is a record's, not a request's.
    #[error("the dead letter did not come from a webhook")]
    NotAWebhook,
    /// Its carrier account is gone, or its keys are unusable.
    #[error("the account of this webhook is not known any more")]
    UnknownAccount,
    /// It is still not understood.
    #[error("{code}: {detail}")]
    StillNotUnderstood {
        /// A stable label.
        code: &'static str,
        /// The reason, for a person.
        detail: String,
    },
    /// The brokers did not confirm the event.
    #[error(transparent)]
    NotStored(#[from] KafkaError),
}

impl RedeliverError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotAWebhook => "not_a_webhook",
            Self::UnknownAccount => "unknown_account",
            Self::StillNotUnderstood { .. } => "still_not_understood",
            Self::NotStored(error) => error.kind(),
        }
    }
}

impl Redeliver {
    /// With these accounts.
    #[must_use]
    pub fn new(
        accounts: &[HookAccount],
        context: Arc<ContextKeys>,
        producer: Producer,
        kafka: voice_kafka::Config,
    ) -> Self {
        let directory = Directory::new(&HooksConfig::default());
        directory.replace(accounts, &Metrics::empty());
        Self {
            directory,
            context,
            outlet: Outlet::new(producer, kafka),
        }
    }

    /// With the accounts Postgres has now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load(
        database: &Database,
        sealer: &Sealer,
        context: Arc<ContextKeys>,
        producer: Producer,
        kafka: voice_kafka::Config,
    ) -> voice_postgres::Result<Self> {
        let loaded = accounts::load_all(database, sealer).await?;
        let accounts: Vec<_> = loaded
            .accounts
            .into_iter()
            .map(|account| HookAccount::of(account, String::new()))
            .collect();
        Ok(Self::new(&accounts, context, producer, kafka))
    }

    /// Reads the letter again and appends the event it is. The letter itself stays where it is.
    ///
    /// # Errors
    /// When it is still not understood, or the brokers do not confirm the event.
    pub async fn redeliver(
        &self,
        letter: &DeadLetter,
        now: DateTime<Utc>,
    ) -> Result<Redelivered, RedeliverError> {
        let Origin::Request { path } = &letter.origin else {
            return Err(RedeliverError::NotAWebhook);
        };
        let uri: Uri = path.parse().map_err(|_| RedeliverError::NotAWebhook)?;
        let (account, kind) = self
            .directory
            .resolve(&uri)
            .ok_or(RedeliverError::UnknownAccount)?;
        let headers = HeaderMap::new();
        let request = WebhookRequest {
            method: &Method::POST,
            url: path,
            headers: &headers,
            body: &letter.payload,
        };
        match verdict::judge(&account, kind, &request, &self.context, letter.at, now) {
            Verdict::Event(event) => {
                self.outlet.call(&event).await?;
                Ok(Redelivered::Stored(event.id))
            }
            Verdict::Ignored => Ok(Redelivered::Ignored),
            Verdict::Keep(keep) => Err(RedeliverError::StillNotUnderstood {
                code: keep.code,
                detail: keep.detail,
            }),
        }
    }
}
