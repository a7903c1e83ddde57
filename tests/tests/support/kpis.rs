//! The roll-ups, counted from the calls by somebody who knows no SQL.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{Row, clickhouse};

use super::{Scene, exact::assert_same, fold::Call, wait_for};

/// One interval of one campaign, queue, direction and carrier, and what was counted in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Deserialize)]
pub(crate) struct Interval {
    bucket: u32,
    tenant: String,
    campaign: String,
    queue: String,
    direction: String,
    carrier: String,
    calls: u64,
    ended: u64,
    answered: u64,
    contacted: u64,
    offered: u64,
    bridged: u64,
    bridged_sl: u64,
    abandoned: u64,
    short_abandoned: u64,
    machine: u64,
    busy: u64,
    no_answer: u64,
    failed: u64,
    reconciled: u64,
    ring_ms: u64,
    wait_ms: u64,
    talk_ms: u64,
}

/// The intervals of one length.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Minute,
    Quarter,
}

impl Length {
    const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Quarter => 15 * 60,
        }
    }

    /// `kpi_1m` is read merged. `kpi_15m` is read as it is: a day that was counted twice must show.
    const fn table(self) -> &'static str {
        match self {
            Self::Minute => "kpi_1m FINAL",
            Self::Quarter => "kpi_15m",
        }
    }
}

impl Scene {
    async fn counted(&self, length: Length) -> Vec<Interval> {
        let sql = format!(
            "SELECT toUnixTimestamp(bucket) AS bucket, toString(tenant_id) AS tenant, toString(campaign_id) AS campaign, \
             toString(queue_id) AS queue, toString(direction) AS direction, toString(carrier) AS carrier, calls, ended, \
             answered, contacted, offered, bridged, bridged_sl, abandoned, short_abandoned, machine, busy, no_answer, \
             failed, reconciled, ring_ms, wait_ms, talk_ms FROM {} WHERE calls > 0 \
             ORDER BY bucket, tenant, campaign, queue, direction, carrier",
            length.table()
        );
        self.clickhouse
            .rows("reading a roll-up", &sql, |query| query)
            .await
            .unwrap()
    }

    /// Waits until both roll-ups say what the calls say.
    pub(crate) async fn rolls_up(&self, calls: &[Call], patience: Duration) {
        for length in [Length::Minute, Length::Quarter] {
            let should = count(calls, length);
            let began = tokio::time::Instant::now();
            let is = wait_for("a count", patience * 2, async || {
                let is = self.counted(length).await;
                (is == should || began.elapsed() > patience).then_some(is)
            })
            .await;
            assert_same(length.table(), &is, &should);
        }
    }

    /// Both roll-ups say what the calls say, now.
    pub(crate) async fn is_rolled_up(&self, calls: &[Call]) {
        self.rolls_up(calls, Duration::ZERO).await;
    }
}

fn count(calls: &[Call], length: Length) -> Vec<Interval> {
    let mut intervals: BTreeMap<(u32, String, String, String, String, String), Interval> = BTreeMap::new();
    for call in calls {
        let bucket = (call.started / 1_000) / length.seconds() * length.seconds();
        let text = |id: Uuid| id.to_string();
        let key = (
            u32::try_from(bucket).unwrap(),
            text(call.tenant_id),
            text(call.campaign_id),
            text(call.queue_id),
            call.direction.clone(),
            call.carrier.clone(),
        );
        let interval = intervals.entry(key.clone()).or_insert_with(|| {
            let (bucket, tenant, campaign, queue, direction, carrier) = key;
            Interval {
                bucket,
                tenant,
                campaign,
                queue,
                direction,
                carrier,
                ..Interval::default()
            }
        });
        add(interval, call);
    }
    intervals.into_values().collect()
}

fn add(interval: &mut Interval, call: &Call) {
    let (answered, bridged) = (call.answered.is_some(), call.reached);
    let outcome = |names: &[&str]| u64::from(names.contains(&call.outcome.as_str()));
    interval.calls += 1;
    interval.ended += u64::from(call.ended.is_some());
    interval.answered += u64::from(answered);
    interval.contacted += u64::from(call.contacted);
    interval.offered += u64::from(call.offered);
    interval.bridged += u64::from(bridged);
    interval.bridged_sl += u64::from(bridged && call.wait_ms <= 20_000);
    interval.abandoned += u64::from(call.abandoned);
    interval.short_abandoned += u64::from(call.short_abandoned);
    interval.machine += u64::from(call.answered_by == "machine");
    interval.busy += outcome(&["busy"]);
    interval.no_answer += outcome(&["no_answer"]);
    interval.failed += outcome(&["invalid_number", "rejected", "carrier_error", "unknown"]);
    interval.reconciled += u64::from(call.reconciled);
    interval.ring_ms += u64::from(if answered { call.ring_ms } else { 0 });
    interval.wait_ms += u64::from(if bridged { call.wait_ms } else { 0 });
    interval.talk_ms += u64::from(if bridged { call.talk_ms } else { 0 });
}
