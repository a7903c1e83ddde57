//! Who takes part in a shift: the campaigns, queues and agents of a tenant.

use chrono::{DateTime, Utc};
use voice_schemas::{AgentId, CampaignId, ContactId, QueueId, TenantId, events::call::AgentKind};

use super::Shift;

/// The campaigns, queues and agents of one tenant. They depend on the seed and the tenant, not on when the
/// shift takes place: two shifts with one seed are two days of the same team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The tenant.
    pub tenant: TenantId,
    /// The campaigns, and who takes their calls. Each has the queue of the same position.
    pub campaigns: Vec<(CampaignId, AgentKind)>,
    /// The queues of the campaigns.
    pub queues: Vec<QueueId>,
    /// The agents.
    pub agents: Vec<AgentId>,
}

impl Cast {
    /// The cast of a shift.
    #[must_use]
    pub fn of(shift: &Shift, tenant: TenantId) -> Self {
        let ids = Ids {
            seed: shift.seed.to_le_bytes(),
            tenant,
        };
        // Rounds to the nearest whole campaign; the last ones are the AI's.
        let human = (f64::from(shift.campaigns) * (1.0 - shift.ai_share)).round() as u16;
        let kind = |number| {
            if number < human {
                AgentKind::Human
            } else {
                AgentKind::Ai
            }
        };
        let campaign = |number: u16| {
            let id = CampaignId::derived(
                DateTime::UNIX_EPOCH,
                &ids.seed_of(b"campaign", &number.to_le_bytes()),
            );
            (id, kind(number))
        };
        let queue = |number: u16| {
            QueueId::derived(
                DateTime::UNIX_EPOCH,
                &ids.seed_of(b"queue", &number.to_le_bytes()),
            )
        };
        let agent = |number: u16| {
            AgentId::derived(
                DateTime::UNIX_EPOCH,
                &ids.seed_of(b"agent", &number.to_le_bytes()),
            )
        };
        Self {
            tenant,
            campaigns: (0..shift.campaigns).map(campaign).collect(),
            queues: (0..shift.campaigns).map(queue).collect(),
            agents: (0..shift.agents).map(agent).collect(),
        }
    }
}

/// The person behind a number of the tenant's contacts.
pub(super) fn contact(seed: u64, tenant: TenantId, number: u32) -> ContactId {
    let ids = Ids {
        seed: seed.to_le_bytes(),
        tenant,
    };
    let at: DateTime<Utc> = DateTime::UNIX_EPOCH;
    ContactId::derived(at, &ids.seed_of(b"contact", &number.to_le_bytes()))
}

struct Ids {
    seed: [u8; 8],
    tenant: TenantId,
}

impl Ids {
    fn seed_of<'a>(&'a self, kind: &'a [u8], number: &'a [u8]) -> [&'a [u8]; 5] {
        [
            b"voice-simulator",
            &self.seed,
            self.tenant.0.as_bytes(),
            kind,
            number,
        ]
    }
}
