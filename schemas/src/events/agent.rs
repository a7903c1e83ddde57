//! What agents do: the facts on `agents.events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{call::AgentKind, wire_enum};
use crate::{AgentId, CallId, Envelope, envelope::EventData};

/// An event on `agents.events`.
pub type AgentEvent = Envelope<AgentData>;

wire_enum!(
    /// What an agent is doing.
    AgentStatus {
        /// Signed out.
        Offline = "offline",
        /// Waiting for a call.
        Available = "available",
        /// Held for a call that is about to come.
        Reserved = "reserved",
        /// Busy with something other than a call.
        Busy = "busy",
        /// Talking.
        OnCall = "on_call",
        /// Finishing the work after a call.
        WrapUp = "wrap_up",
        /// On a break.
        Break = "break",
        /// In training.
        Training = "training",
        /// Signed in but away.
        Away = "away",
    }
);

/// The agent and the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentData {
    /// The agent.
    pub agent_id: AgentId,
    /// Person or AI.
    pub agent_kind: AgentKind,
    /// The status before; absent on the first event of an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AgentStatus>,
    /// The status now.
    pub to: AgentStatus,
    /// The code of the reason, from the tenant's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The call it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// Grows with every change; a smaller one is stale.
    pub epoch: u64,
}

impl EventData for AgentData {
    const SCHEMA: &'static str = "agent-event.v1.json";

    fn subject(&self) -> String {
        self.agent_id.0.to_string()
    }
}
