//! The topic catalogue: every topic, its key, its partitions and how long it is kept.

use std::time::Duration;

use crate::EventType;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One topic of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, without the deployment's prefix.
    pub name: &'static str,
    /// What its records are keyed by, in words.
    pub key: &'static str,
    /// Partitions it is created with. More can be added by an operator; fewer never.
    pub partitions: i32,
    /// How long records are kept.
    pub retention: Retention,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Deleted after this long.
    Time(Duration),
    /// The last record of every key is kept.
    Compacted,
}

const fn kept(name: &'static str, key: &'static str, partitions: i32, days: u32) -> Topic {
    Topic {
        name,
        key,
        partitions,
        retention: Retention::Time(DAY.saturating_mul(days)),
    }
}

/// Calls and attempts; the spine of the platform.
pub const CALLS: Topic = kept(
    "calls.events",
    "outbound: campaign#shard; inbound: call id",
    12,
    7,
);
/// Media streams and turns.
pub const MEDIA: Topic = kept("media.events", "call id", 12, 7);
/// What was said; restricted.
pub const TRANSCRIPTS: Topic = kept("media.transcripts", "call id", 12, 1);
/// Agent states.
pub const AGENTS: Topic = kept("agents.events", "agent id", 6, 7);
/// Contacts: consents, suppressions and imports.
pub const CONTACTS: Topic = kept("contacts.events", "contact, phone token or import id", 6, 7);
/// Configuration and the state of providers, one record per entity.
pub const CONFIG: Topic = Topic {
    name: "config.changes",
    key: "entity id",
    partitions: 3,
    retention: Retention::Compacted,
};
/// Metric points recorded by clients and services.
pub const METRICS: Topic = kept("metrics.points", "tenant + metric", 6, 3);
/// Alerts.
pub const ALERTS: Topic = kept("alerts.events", "tenant + id", 3, 30);
/// Reports.
pub const REPORTS: Topic = kept("reports.events", "tenant + id", 3, 30);
/// The audit log.
pub const AUDIT: Topic = kept("audit.events", "tenant + id", 3, 30);
/// What could not be processed, with the original bytes and the reason.
pub const DEAD_LETTERS: Topic = kept("dead-letters", "original key", 3, 14);

/// The whole catalogue.
pub const ALL: &[Topic] = &[
    CALLS,
    MEDIA,
    TRANSCRIPTS,
    AGENTS,
    CONTACTS,
    CONFIG,
    METRICS,
    ALERTS,
    REPORTS,
    AUDIT,
    DEAD_LETTERS,
];

/// The topic with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Topic> {
    ALL.iter().find(|topic| topic.name == name)
}

/// The topic that carries events of this type.
#[must_use]
pub const fn for_event(kind: EventType) -> &'static Topic {
    match kind {
        EventType::CallInitiated
        | EventType::CallRinging
        | EventType::CallAnswered
        | EventType::CallAmd
        | EventType::CallBridged
        | EventType::CallHeld
        | EventType::CallResumed
        | EventType::CallTransferred
        | EventType::CallDtmf
        | EventType::CallEnded
        | EventType::AgentLegInitiated
        | EventType::AgentLegAnswered
        | EventType::AgentLegJoined
        | EventType::AgentLegEnded
        | EventType::AttemptScheduled
        | EventType::AttemptSkipped
        | EventType::AttemptDialled
        | EventType::AttemptFinished => &CALLS,
        EventType::AgentStatusChanged
        | EventType::AgentReserved
        | EventType::AgentReservationExpired
        | EventType::AgentCorrected => &AGENTS,
        EventType::CampaignCreated
        | EventType::CampaignScheduled
        | EventType::CampaignStarted
        | EventType::CampaignPausing
        | EventType::CampaignPaused
        | EventType::CampaignResumed
        | EventType::CampaignCompleted
        | EventType::CampaignCancelled
        | EventType::ProviderBreakerChanged => &CONFIG,
        EventType::ContactSuppressed
        | EventType::ContactConsentChanged
        | EventType::ImportCompleted
        | EventType::ImportFailed => &CONTACTS,
        EventType::MediaStarted
        | EventType::MediaTurn
        | EventType::MediaProviderChanged
        | EventType::MediaToolUsed
        | EventType::MediaVerdict
        | EventType::MediaDisclosed
        | EventType::MediaLanguageChanged
        | EventType::MediaUsage
        | EventType::MediaRecordingReady
        | EventType::MediaStopped => &MEDIA,
        EventType::TranscriptUtterance => &TRANSCRIPTS,
        EventType::ReportCompleted | EventType::ReportFailed => &REPORTS,
    }
}
