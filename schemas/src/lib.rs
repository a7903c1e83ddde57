//! The contracts every part of the platform meets in: ids, events, topics, tables and migrations.
//!
//! Nothing here does I/O. A service that wants to talk to another one writes an event defined here
//! to a topic named here, or reads a table created here; it never links against the other service.

pub mod envelope;
pub mod events;
pub mod examples;
pub mod ids;
pub mod json_schema;
pub mod migrations;
pub mod tables;
pub mod time;
pub mod topics;
pub mod transfers;

pub use envelope::{Envelope, EventType};
pub use ids::{
    AgentId, ArticleId, AttemptId, CallId, CampaignId, ContactId, EventId, ListId, ProviderAccountId,
    QueueId, ReportId, ScheduleId, TenantId, TransferId,
};
