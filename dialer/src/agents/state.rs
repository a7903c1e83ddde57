//! What an agent may do next: a pure state machine with a lease, one reservation and a wrap-up timer.
//!
//! An agent gives dial authority only while a heartbeat keeps the lease. A reservation carries a token that
//! grows with every one: whoever acts on an older token acts on a place that was given to somebody else.

use chrono::{DateTime, TimeDelta, Utc};
use voice_schemas::{AttemptId, CallId, CampaignId, EventType, events::agent::AgentStatus};

/// A place held for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The attempt it is held for.
    pub attempt: AttemptId,
    /// Fences older reservations.
    pub token: u64,
    /// Given back then.
    pub until: DateTime<Utc>,
}

/// Where an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// What they are doing.
    pub status: AgentStatus,
    /// Why, as a code of the tenant's.
    pub reason: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// For "longest idle".
    pub available_since: Option<DateTime<Utc>>,
    /// Grows with every change.
    pub epoch: u64,
    /// The campaign and shard they work for.
    pub works_for: Option<(CampaignId, u16)>,
    /// Without a heartbeat until then they are gone.
    pub lease_until: Option<DateTime<Utc>>,
    /// A held place; present exactly while reserved.
    pub reservation: Option<Reservation>,
    /// The latest token given out.
    pub token: u64,
    /// The call they are on; present while on a call.
    pub call: Option<CallId>,
    /// The wrap-up ends then; `None` waits for the agent.
    pub wrap_until: Option<DateTime<Utc>>,
    /// Taken up when the call is over.
    pub next_status: Option<AgentStatus>,
}

/// What happens to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// They sign in for a campaign, and are available.
    SignIn {
        /// The campaign and shard.
        works_for: (CampaignId, u16),
        /// The lease.
        lease_until: DateTime<Utc>,
    },
    /// They are still there.
    Heartbeat {
        /// The new lease.
        lease_until: DateTime<Utc>,
    },
    /// They choose a status: available, busy, break, training, away or offline.
    Choose {
        /// The status.
        status: AgentStatus,
        /// Why.
        reason: Option<String>,
    },
    /// A place with them is taken.
    Reserve {
        /// For this attempt.
        attempt: AttemptId,
        /// By this campaign and shard: nobody else's agents are taken.
        by: (CampaignId, u16),
        /// Until then.
        until: DateTime<Utc>,
    },
    /// They are to work for another campaign or shard from now on.
    Lend {
        /// The change they were in when it was decided; whatever happened since comes first.
        epoch: u64,
        /// The campaign and shard that gives them away.
        from: (CampaignId, u16),
        /// The one that gets them.
        to: (CampaignId, u16),
    },
    /// The place is given back.
    Release {
        /// Of this reservation.
        token: u64,
    },
    /// The call they were reserved for reached them.
    Connect {
        /// Of this reservation.
        token: u64,
        /// The call.
        call: CallId,
    },
    /// A call of theirs is over.
    CallEnded {
        /// The call.
        call: CallId,
        /// How long they have to finish up.
        wrap: TimeDelta,
    },
    /// They are done with the work after the call.
    Finish,
    /// Time passed.
    Tick,
    /// The call legs say this is the truth; a status that disagrees is repaired.
    Correct {
        /// The call they are really on.
        call: Option<CallId>,
        /// How long they have to finish up, should they be on none.
        wrap: TimeDelta,
    },
}

/// A change, and the event that tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The status before.
    pub from: AgentStatus,
    /// The status now.
    pub to: AgentStatus,
    /// The event.
    pub event: EventType,
    /// The call it is about.
    pub call: Option<CallId>,
    /// Why.
    pub reason: Option<String>,
}

/// Why an input was refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The agent is not in a status for it.
    #[error("the agent is {0}")]
    Status(AgentStatus),
    /// The lease has run out.
    #[error("the agent's lease has run out")]
    NoLease,
    /// The reservation was given to another attempt since.
    #[error("the reservation is not the current one")]
    Stale,
    /// They work for somebody else by now.
    #[error("the agent works for another campaign or shard")]
    Elsewhere,
    /// That status is not the agent's to choose.
    #[error("an agent cannot choose to be {0}")]
    NotTheirs(AgentStatus),
}

impl Refused {
    /// A stable label.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::NoLease => "no_lease",
            Self::Stale => "stale",
            Self::Elsewhere => "elsewhere",
            Self::NotTheirs(_) => "not_theirs",
        }
    }
}

impl AgentState {
    /// An agent who has never signed in.
    #[must_use]
    pub const fn offline(since: DateTime<Utc>) -> Self {
        Self {
            status: AgentStatus::Offline,
            reason: None,
            since,
            available_since: None,
            epoch: 0,
            works_for: None,
            lease_until: None,
            reservation: None,
            token: 0,
            call: None,
            wrap_until: None,
            next_status: None,
        }
    }

    /// Whether the lease holds at `now`.
    #[must_use]
    pub fn is_leased(&self, now: DateTime<Utc>) -> bool {
        self.lease_until.is_some_and(|until| until > now)
    }

    /// Whether a call may be given to them at `now`.
    #[must_use]
    pub fn is_free(&self, now: DateTime<Utc>) -> bool {
        self.status == AgentStatus::Available && self.is_leased(now)
    }

    /// When time alone will change something next.
    #[must_use]
    pub fn next_timer(&self) -> Option<DateTime<Utc>> {
        if self.status == AgentStatus::Offline {
            return None;
        }
        let reserved = self.reservation.map(|reservation| reservation.until);
        let wrap = self.wrap_until.filter(|_| self.status == AgentStatus::WrapUp);
        [self.lease_until, reserved, wrap].into_iter().flatten().min()
    }

    /// Applies an input. `None`: nothing to tell, though a lease may have been renewed.
    ///
    /// # Errors
    /// When it does not fit; the state is as it was.
    pub fn apply(&mut self, input: Input, now: DateTime<Utc>) -> Result<Option<Change>, Refused> {
        match input {
            Input::SignIn {
                works_for,
                lease_until,
            } => self.sign_in(works_for, lease_until, now),
            Input::Heartbeat { lease_until } => {
                if self.status == AgentStatus::Offline {
                    return Err(Refused::Status(self.status));
                }
                self.lease_until = self.lease_until.max(Some(lease_until));
                Ok(None)
            }
            Input::Choose { status, reason } => self.choose(status, reason, now),
            Input::Reserve { attempt, by, until } => {
                if self.works_for != Some(by) {
                    return Err(Refused::Elsewhere);
                }
                self.reserve(attempt, until, now)
            }
            Input::Lend { epoch, from, to } => {
                if self.works_for != Some(from) {
                    return Err(Refused::Elsewhere);
                }
                if self.epoch != epoch || self.status != AgentStatus::Available {
                    return Err(Refused::Stale);
                }
                // They stay as idle as they were.
                self.works_for = Some(to);
                Ok(None)
            }
            Input::Release { token } => {
                self.held(token)?;
                Ok(Some(self.rest(EventType::AgentStatusChanged, "released", now)))
            }
            Input::Connect { token, call } => {
                self.held(token)?;
                self.call = Some(call);
                Ok(Some(self.go(
                    AgentStatus::OnCall,
                    EventType::AgentStatusChanged,
                    None,
                    now,
                )))
            }
            Input::CallEnded { call, wrap } => {
                if self.status != AgentStatus::OnCall || self.call != Some(call) {
                    return Err(Refused::Status(self.status));
                }
                Ok(Some(self.wrap_up(EventType::AgentStatusChanged, wrap, now)))
            }
            Input::Finish => {
                if self.status != AgentStatus::WrapUp {
                    return Err(Refused::Status(self.status));
                }
                Ok(Some(self.rest(EventType::AgentStatusChanged, "finished", now)))
            }
            Input::Tick => Ok(self.tick(now)),
            Input::Correct { call, wrap } => Ok(self.correct(call, wrap, now)),
        }
    }

    fn sign_in(
        &mut self,
        works_for: (CampaignId, u16),
        lease_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, Refused> {
        if matches!(self.status, AgentStatus::OnCall | AgentStatus::Reserved) {
            return Err(Refused::Status(self.status));
        }
        self.works_for = Some(works_for);
        self.lease_until = Some(lease_until);
        self.next_status = None;
        if self.status == AgentStatus::WrapUp {
            return Ok(None);
        }
        Ok(Some(self.go(
            AgentStatus::Available,
            EventType::AgentStatusChanged,
            None,
            now,
        )))
    }

    fn choose(
        &mut self,
        status: AgentStatus,
        reason: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, Refused> {
        use AgentStatus as S;
        match (self.status, status) {
            (_, S::Reserved | S::OnCall | S::WrapUp) => Err(Refused::NotTheirs(status)),
            (S::Offline, _) => Err(Refused::Status(S::Offline)),
            (_, S::Available) if !self.is_leased(now) => Err(Refused::NoLease),
            // What they want next; the call comes first.
            (S::OnCall | S::Reserved, S::Available) => {
                self.next_status = None;
                Ok(None)
            }
            (S::OnCall | S::Reserved, later) => {
                self.next_status = Some(later);
                Ok(None)
            }
            (from, to) if from == to => Ok(None),
            (_, to) => Ok(Some(self.go(to, EventType::AgentStatusChanged, reason, now))),
        }
    }

    fn reserve(
        &mut self,
        attempt: AttemptId,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<Change>, Refused> {
        if self.status != AgentStatus::Available {
            return Err(Refused::Status(self.status));
        }
        if !self.is_leased(now) {
            return Err(Refused::NoLease);
        }
        self.token += 1;
        let change = self.go(AgentStatus::Reserved, EventType::AgentReserved, None, now);
        self.reservation = Some(Reservation {
            attempt,
            token: self.token,
            until,
        });
        Ok(Some(change))
    }

    fn held(&self, token: u64) -> Result<(), Refused> {
        match self.reservation {
            Some(reservation) if reservation.token == token => Ok(()),
            _ => Err(Refused::Stale),
        }
    }

    fn tick(&mut self, now: DateTime<Utc>) -> Option<Change> {
        use AgentStatus as S;
        let gone = !self.is_leased(now);
        match self.status {
            S::Offline => None,
            // A call is not cut off because a heartbeat is late: the legs decide, see `Correct`.
            S::OnCall => None,
            S::Reserved if self.reservation.is_none_or(|held| held.until <= now) => {
                Some(self.rest(EventType::AgentReservationExpired, "expired", now))
            }
            S::Reserved => None,
            _ if gone => {
                self.works_for = None;
                Some(self.go(S::Offline, EventType::AgentStatusChanged, lost(), now))
            }
            S::WrapUp if self.wrap_until.is_some_and(|until| until <= now) => {
                Some(self.rest(EventType::AgentStatusChanged, "wrap_up_over", now))
            }
            _ => None,
        }
    }

    fn correct(&mut self, call: Option<CallId>, wrap: TimeDelta, now: DateTime<Utc>) -> Option<Change> {
        match (self.status, call) {
            (AgentStatus::OnCall, Some(call)) if self.call == Some(call) => None,
            (_, Some(call)) => {
                self.call = Some(call);
                Some(self.go(AgentStatus::OnCall, EventType::AgentCorrected, None, now))
            }
            (AgentStatus::OnCall, None) => Some(self.wrap_up(EventType::AgentCorrected, wrap, now)),
            (_, None) => None,
        }
    }

    fn wrap_up(&mut self, event: EventType, wrap: TimeDelta, now: DateTime<Utc>) -> Change {
        if wrap <= TimeDelta::zero() {
            return self.rest(event, "call_over", now);
        }
        let change = self.go(AgentStatus::WrapUp, event, None, now);
        self.wrap_until = Some(now + wrap);
        change
    }

    /// Where they go when nothing holds them: what they asked for, or back to work while the lease holds.
    fn rest(&mut self, event: EventType, reason: &str, now: DateTime<Utc>) -> Change {
        let (to, reason) = match self.next_status.take() {
            Some(wanted) => (wanted, Some(reason.to_owned())),
            None if self.is_leased(now) => (AgentStatus::Available, Some(reason.to_owned())),
            None => (AgentStatus::Offline, lost()),
        };
        self.go(to, event, reason, now)
    }

    fn go(
        &mut self,
        to: AgentStatus,
        event: EventType,
        reason: Option<String>,
        now: DateTime<Utc>,
    ) -> Change {
        let from = self.status;
        let call = self.call;
        self.status = to;
        self.since = now;
        self.epoch += 1;
        self.reason.clone_from(&reason);
        self.reservation = None;
        self.wrap_until = None;
        if to != AgentStatus::OnCall {
            self.call = None;
        }
        self.available_since = match to {
            AgentStatus::Available => Some(now),
            AgentStatus::Reserved => self.available_since,
            _ => None,
        };
        Change {
            from,
            to,
            event,
            call,
            reason,
        }
    }
}

fn lost() -> Option<String> {
    Some("lease_lost".to_owned())
}

#[cfg(test)]
mod tests;
