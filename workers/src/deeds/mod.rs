//! What media workers do for calls: end them at the carrier, hand callers over to people, keep people from being called,
//! note what came of a call and when to call again, look things up, call the tenant's own services.
//!
//! A deed is a task of the process's runtime from the moment it is asked for: it happens although the call that asked
//! for it ends, and no task of a call ever waits for a database.

mod knowledge;
mod notes;
mod transfer;
mod webhook;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use voice_lifecycle::SharedClock;
use voice_postgres::Database;
use voice_providers::tools::{Action, TransferTarget};
use voice_schemas::{ProviderAccountId, TenantId};
use voice_telephony::{CarrierClient, Instruction, PhoneNumber};

use self::{notes::Attempt, transfer::Wish};
use crate::hands::{Deed, Hands, HandsError, Line};

/// The ways to the carriers, one for each account.
pub type Clients = HashMap<(TenantId, ProviderAccountId), Arc<dyn CarrierClient>>;

/// What deeds are done with.
#[derive(Clone)]
pub struct Deeds {
    /// Of the role [`Worker`](voice_postgres::Role::Worker).
    database: Database,
    /// Replaced as a whole whenever accounts change.
    clients: Arc<RwLock<Arc<Clients>>>,
    clock: SharedClock,
    runtime: Handle,
}

impl fmt::Debug for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deeds").finish_non_exhaustive()
    }
}

impl Deeds {
    /// Deeds are tasks of `runtime`, where the database is at home.
    #[must_use]
    pub const fn new(
        database: Database,
        clients: Arc<RwLock<Arc<Clients>>>,
        clock: SharedClock,
        runtime: Handle,
    ) -> Self {
        Self {
            database,
            clients,
            clock,
            runtime,
        }
    }

    async fn carry_out(self, line: Line, deed: Deed) -> Result<Value, HandsError> {
        let action = match deed {
            Deed::Webhook { url, arguments, .. } => return webhook::call(&url, &arguments).await,
            Deed::Act(action) => action,
        };
        let now = self.clock.now();
        match action {
            Action::HangUp { .. } => {
                let client = self.client(&line).await?;
                let ended = client.hangup(&line.carrier_call_id).await;
                ended.map_err(|error| {
                    tracing::warn!(call = %line.call, kind = error.kind(), "a call could not be hung up");
                    HandsError::Unavailable
                })?;
                Ok(json!({"done": true}))
            }
            Action::OptOut { .. } => notes::opt_out(&self.database, &line, now).await,
            Action::ScheduleCallback { at, .. } => notes::call_back(&self.database, &line, &at, now).await,
            Action::SetDisposition { disposition, .. } => {
                notes::dispose(&self.database, &line, disposition).await
            }
            Action::LookUpKnowledge { query } => knowledge::look_up(&self.database, &line, &query).await,
            Action::TransferCall {
                target: TransferTarget::Number { number },
                ..
            } => {
                let to = PhoneNumber::parse(&number).ok_or(HandsError::Refused)?;
                let client = self.client(&line).await?;
                let dial = [Instruction::Transfer { to }];
                let told = client.answer(&line.carrier_call_id, &dial).await;
                told.map_err(|error| {
                    tracing::warn!(call = %line.call, kind = error.kind(), "a caller could not be handed over");
                    HandsError::Unavailable
                })?;
                Ok(json!({"done": true}))
            }
            Action::TransferCall {
                mode,
                target,
                summary,
            } => {
                let wish = Wish {
                    mode,
                    target,
                    summary,
                };
                transfer::carry_out(&self.database, &line, wish, now).await
            }
            // Keys and recordings are the bridge's own.
            Action::SendDtmf { .. } | Action::SetRecording { .. } => Err(HandsError::Unavailable),
        }
    }

    /// The client of the account the call runs through: the attempt says which; a call that came to us runs
    /// through the tenant's account at that carrier.
    async fn client(&self, line: &Line) -> Result<Arc<dyn CarrierClient>, HandsError> {
        let account = match line.attempt {
            Some(attempt) => {
                let found = Attempt::find(&self.database, line.tenant, attempt).await;
                found.map_err(notes::failed)?.and_then(|attempt| attempt.account)
            }
            None => None,
        };
        let clients = Arc::clone(&self.clients.read().unwrap_or_else(PoisonError::into_inner));
        let found = match account {
            Some(account) => clients.get(&(line.tenant, account)).cloned(),
            None => clients
                .iter()
                .find(|((tenant, _), client)| *tenant == line.tenant && client.carrier() == line.carrier)
                .map(|(_, client)| Arc::clone(client)),
        };
        found.ok_or(HandsError::Unavailable)
    }
}

impl Hands for Deeds {
    fn act(&self, line: &Line, deed: Deed) -> BoxFuture<'static, Result<Value, HandsError>> {
        let task = self.runtime.spawn(self.clone().carry_out(line.clone(), deed));
        Box::pin(async move { task.await.unwrap_or(Err(HandsError::Unavailable)) })
    }
}
