//! The ClickHouse table catalogue: the columns the sink writes and the tables others read.

/// Facts: one row per record of `calls.events`.
pub const CALL_EVENTS: &str = "call_events";
/// One row per call, assembled from its events; read with `FINAL` or through `calls_final`.
pub const CALLS: &str = "calls";
/// One finished row per call, typed for readers.
pub const CALLS_FINAL: &str = "calls_final";
/// Counts per minute, the last seven days.
pub const KPI_1M: &str = "kpi_1m";
/// Counts per quarter of an hour, three years.
pub const KPI_15M: &str = "kpi_15m";
/// Facts: one row per record of `media.events`.
pub const MEDIA_EVENTS: &str = "media_events";
/// One row per utterance, redacted; restricted.
pub const TRANSCRIPTS: &str = "transcripts";
/// What models used and what it costs, one row per event; read with `FINAL`.
pub const MEDIA_USAGE: &str = "media_usage";
/// One row per call with a media stream; read through `media_streams_final`.
pub const MEDIA_STREAMS: &str = "media_streams";
/// Offsets the sink could not store, so that the audit can tell a dead letter from a loss.
pub const DEAD_LETTERS: &str = "sink_dead_letters";

/// The marts: views for BI tools, each with one stated row grain.
pub const MARTS: &[&str] = &[
    "mart_calls",
    "mart_kpi_15m",
    "mart_kpi_day",
    "mart_campaign_day",
    "mart_media_turn_day",
    "mart_media_call_cost",
    "mart_media_campaign_day",
    "mart_media_stream_day",
];
