//! What a process knows of all campaigns: which are live, whose dialling is stopped, and to whom a shard belongs.
//!
//! Postgres announces every change; a look every two seconds makes up for what was not heard. A pause therefore
//! reaches every process within a second, and what is not heard in time is refused by the claim itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use voice_lifecycle::SharedClock;
use voice_postgres::{Database, Heard, Listener};
use voice_schemas::{AgentId, CampaignId, TenantId, events::campaign::CampaignStatus};

use crate::{
    agents::{legs, share},
    campaigns::{self, Live, Stops},
    events::DirectoryFailed,
    transfers::{self, Transfer},
};

const LOOK: Duration = Duration::from_secs(2);

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Live campaigns.
    pub campaigns: HashMap<CampaignId, Live>,
    /// The switches.
    pub stops: Stops,
    /// Grows when agents changed somewhere.
    pub agents_changed: u64,
    /// Agents whose leg wants something.
    pub legs: Vec<(TenantId, AgentId)>,
    /// Campaigns that share agents with another one.
    pub sharing: HashSet<CampaignId>,
    /// Callers who are to be handed over to a person.
    pub transfers: Vec<Transfer>,
}

impl Listing {
    /// Whether the campaign may dial, as far as this process has heard.
    #[must_use]
    pub fn dials(&self, tenant: TenantId, campaign: CampaignId) -> bool {
        !self.stops.holds(tenant)
            && self
                .campaigns
                .get(&campaign)
                .is_some_and(|live| live.status == CampaignStatus::Active)
    }
}

/// The latest listing, for whoever wants to read it.
pub type Listings = watch::Receiver<Arc<Listing>>;

/// Keeps the listing fresh, and does what the clock asks of campaigns.
#[derive(Debug)]
pub struct Directory {
    database: Database,
    clock: SharedClock,
    sender: watch::Sender<Arc<Listing>>,
}

impl Directory {
    /// A directory that knows nothing yet.
    #[must_use]
    pub fn new(database: Database, clock: SharedClock) -> (Self, Listings) {
        let (sender, listings) = watch::channel(Arc::default());
        (
            Self {
                database,
                clock,
                sender,
            },
            listings,
        )
    }

    /// Looks until `stop` fires.
    pub async fn run(self, stop: CancellationToken) {
        let mut listener: Option<Listener> = None;
        loop {
            if listener.is_none() {
                listener = self
                    .database
                    .listen(&["config_changed", "agents_changed"])
                    .await
                    .ok();
            }
            if let Err(error) = self.look().await {
                DirectoryFailed { error: &error }.emit();
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
                heard = hear(&mut listener) => {
                    if heard { self.sender.send_modify(|listing| Arc::make_mut(listing).agents_changed += 1); }
                }
            }
        }
    }

    async fn look(&self) -> Result<(), campaigns::CommandError> {
        let (live, stops) = campaigns::live(&self.database).await?;
        let campaigns = live
            .iter()
            .map(|campaign| (campaign.id, campaign.clone()))
            .collect();
        // Before all else: a pause must get through whatever becomes of the rest.
        self.sender.send_modify(|listing| {
            *listing = Arc::new(Listing {
                campaigns,
                stops,
                agents_changed: listing.agents_changed,
                legs: listing.legs.clone(),
                sharing: listing.sharing.clone(),
                transfers: listing.transfers.clone(),
            });
        });
        let transfers = transfers::open(&self.database).await?;
        self.sender.send_if_modified(|listing| {
            let changed = listing.transfers != transfers;
            if changed {
                Arc::make_mut(listing).transfers = transfers;
            }
            changed
        });
        let legs = legs::to_mind(&self.database).await?;
        let sharing = share::sharing(&self.database).await?;
        self.sender.send_if_modified(|listing| {
            let changed = listing.legs != legs || listing.sharing != sharing;
            if changed {
                let listing = Arc::make_mut(listing);
                (listing.legs, listing.sharing) = (legs, sharing);
            }
            changed
        });
        campaigns::run_timers(&self.database, &live, self.clock.now()).await?;
        Ok(())
    }
}

/// Waits for news; true when it is about agents. Without a connection, waits for ever: the caller looks anyway.
async fn hear(listener: &mut Option<Listener>) -> bool {
    let Some(open) = listener else {
        return std::future::pending().await;
    };
    match open.next().await {
        Ok(Heard::Notification { channel, payload }) => {
            let mut agents = channel == "agents_changed";
            let campaigns = payload.starts_with("campaigns:") || payload.starts_with("dial_stops:");
            agents |= !campaigns;
            open.drain();
            agents
        }
        Ok(Heard::Gap) => true,
        Err(_) => {
            *listener = None;
            true
        }
    }
}
