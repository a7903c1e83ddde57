//! What the dialer tells operators.

use voice_schemas::CampaignId;
use voice_telemetry::{CounterDef, Emit, GaugeDef, HistogramDef, Metrics, buckets, labels};

labels! {
    /// What became of the request of an attempt.
    pub(crate) enum Request: "result" {
        Placed = "placed", Late = "late", Unknown = "unknown", Refused = "refused", Failed = "failed", Withheld = "withheld",
    }
}

labels! {
    /// What was decided about a contact.
    pub(crate) enum Decided: "decision" { Dial = "dial", Refuse = "refuse", NoNumber = "no_number" }
}

labels! {
    /// What was done about an answer.
    pub(crate) enum Answer: "action" {
        Person = "person", Ai = "ai", Message = "message", HangUp = "hang_up", SafeHarbour = "safe_harbour", Silent = "silent",
    }
}

labels! {
    /// What was done about the leg of an agent.
    pub(crate) enum Leg: "action" { Placed = "placed", Ended = "ended", Asked = "asked" }
}

labels! {
    /// What became of a caller an AI agent hands over.
    pub(crate) enum Handover: "result" { Reserved = "reserved", Done = "done", Failed = "failed" }
}

/// Transfers.
pub(crate) const TRANSFERS: CounterDef<Handover> = CounterDef::new(
    "dialer_transfers_total",
    "Callers an AI agent hands over, by how far it came: a person reserved, connected, or failed after all.",
);
/// Legs.
pub(crate) const LEGS: CounterDef<Leg> = CounterDef::new(
    "dialer_agent_legs_total",
    "Legs of agents, by what was done about them.",
);
/// Lending.
pub(crate) const AGENTS_LENT: CounterDef = CounterDef::new(
    "dialer_agents_lent_total",
    "Agents who were given to another campaign or shard.",
);
/// Requests to carriers.
pub(crate) const REQUESTS: CounterDef<Request> = CounterDef::new(
    "attempts_total",
    "Attempts, by what became of the request to the carrier.",
);
/// Decisions.
pub(crate) const DECISIONS: CounterDef<Decided> = CounterDef::new(
    "dial_decision_total",
    "Contacts looked at, by what was decided about them.",
);
/// Answers.
pub(crate) const ANSWERS: CounterDef<Answer> = CounterDef::new(
    "dial_answers_total",
    "Answered calls, by what was done about them.",
);
/// Ends.
pub(crate) const ENDED: CounterDef = CounterDef::new("attempts_ended_total", "Attempts that have ended.");
/// Keys.
pub(crate) const OPT_OUTS: CounterDef = CounterDef::new(
    "dial_opt_outs_total",
    "People who pressed the key that ends all calls to them.",
);
/// Shards.
pub(crate) const SHARDS: GaugeDef = GaugeDef::new("dialer_shards", "Campaign shards this process runs.");
/// Lines.
pub(crate) const LINES: GaugeDef = GaugeDef::new("dialer_lines", "Attempts under way in this process.");
/// Ticks.
pub(crate) const TICK_SECONDS: HistogramDef<()> = HistogramDef::new(
    "dialer_tick_seconds",
    "Time a partition took for one look at all its shards.",
    buckets::LATENCY_SECONDS,
);
/// Claims.
pub(crate) const CLAIM_SECONDS: HistogramDef<()> = HistogramDef::new(
    "dialer_claim_seconds",
    "Time of the transaction that makes attempts.",
    buckets::LATENCY_SECONDS,
);

/// The listing of campaigns could not be read; the last one stays in use.
pub(crate) struct DirectoryFailed<'a> {
    pub(crate) error: &'a crate::campaigns::CommandError,
}

impl DirectoryFailed<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(kind = self.error.kind(), error = %self.error, "the list of campaigns could not be read");
    }
}

/// A shard was taken over.
pub(crate) struct ShardTaken {
    pub(crate) campaign: CampaignId,
    pub(crate) shard: u16,
    pub(crate) epoch: u64,
    pub(crate) lines: usize,
}

impl ShardTaken {
    pub(crate) fn emit(&self) {
        let Self {
            campaign,
            shard,
            epoch,
            lines,
        } = self;
        tracing::info!(%campaign, shard, epoch, lines, "took a campaign shard over");
    }
}

/// A shard turned out to be somebody else's.
pub(crate) struct ShardLost {
    pub(crate) campaign: CampaignId,
    pub(crate) shard: u16,
}

impl ShardLost {
    pub(crate) fn emit(&self) {
        let Self { campaign, shard } = self;
        tracing::warn!(%campaign, shard, "a campaign shard belongs to another process");
    }
}

/// A store or carrier was not there; the work is tried again.
pub(crate) struct Postponed<'a> {
    pub(crate) work: &'static str,
    pub(crate) kind: &'a str,
    pub(crate) error: &'a dyn std::fmt::Display,
}

impl Postponed<'_> {
    pub(crate) fn emit(&self) {
        let Self { work, kind, error } = self;
        tracing::warn!(work, kind, %error, "postponed");
    }
}

/// What caller numbers were used for could not be written; their caps and answer rates miss it.
pub(crate) struct NumbersUncounted<'a> {
    pub(crate) error: &'a voice_postgres::Error,
}

impl NumbersUncounted<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(kind = self.error.kind(), error = %self.error, "the use of caller numbers was not counted");
    }
}

/// A carrier did not do what an answered call needed.
pub(crate) struct CommandRefused<'a> {
    pub(crate) command: &'static str,
    pub(crate) error: &'a voice_telephony::CarrierError,
}

impl CommandRefused<'_> {
    pub(crate) fn emit(&self) {
        tracing::warn!(
            command = self.command,
            kind = self.error.kind(),
            error = %self.error,
            "a carrier refused a command"
        );
    }
}

/// One look at all shards of a partition.
pub(crate) struct Ticked {
    pub(crate) took: std::time::Duration,
}

impl Emit for Ticked {
    fn emit(&self, metrics: &Metrics) {
        metrics.histogram(&TICK_SECONDS).observe_duration((), self.took);
    }
}
