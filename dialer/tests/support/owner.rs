//! The owner of a shard without its loop: what it claims and what it is told, a step at a time.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use rand::{SeedableRng as _, rngs::StdRng};
use voice_dialer::{
    attempts::{Concluded, Line, apply_ends, open_lines},
    campaigns::{load, take_over},
    gate::Gate,
    retry::RetryPolicy,
    selection::{Claim, ClaimError, Order, Orders, claim},
};
use voice_schemas::{
    CampaignId, ProviderAccountId,
    events::call::{CallOutcome, Ending, HangupBy},
};

use super::{Stage, now};

pub(crate) struct Owner<'a> {
    stage: &'a Stage,
    campaign: CampaignId,
    epoch: u64,
    rng: StdRng,
}

impl<'a> Owner<'a> {
    pub(crate) async fn of(stage: &'a Stage, campaign: CampaignId) -> Self {
        let mut tx = stage.tx().await;
        let (epoch, _) = take_over(&mut tx, campaign, 0, now()).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            stage,
            campaign,
            epoch,
            rng: StdRng::seed_from_u64(7),
        }
    }

    pub(crate) async fn claim(
        &mut self,
        gate: &dyn Gate,
        want: u32,
        at: DateTime<Utc>,
    ) -> Result<Claim, ClaimError> {
        let order = self.order(want).await;
        let each = self.stage.accounts.values().map(|(id, _)| (*id, want));
        let mut claims = together(self.stage, &[order], each.collect(), gate, &mut self.rng, at).await?;
        claims.pop().unwrap()
    }

    /// What it would order, through any account.
    pub(crate) async fn order(&self, want: u32) -> Order {
        let mut tx = self.stage.tx().await;
        let campaign = load(&mut tx, self.campaign).await.unwrap().unwrap();
        Order {
            campaign: Arc::new(campaign),
            shard: 0,
            epoch: self.epoch,
            want,
            look: want.max(16),
            accounts: self.stage.accounts.values().map(|(id, _)| *id).collect(),
        }
    }

    /// The line ends like this; the second says whether we concluded it ourselves.
    pub(crate) fn end(
        &self,
        mut line: Line,
        (outcome, reconciled): (CallOutcome, bool),
        at: DateTime<Utc>,
    ) -> Concluded {
        let ending = Ending {
            outcome,
            hangup_by: HangupBy::Callee,
            cause: String::new(),
            sip_code: None,
            duration_ms: None,
            reconciled,
        };
        line.end = Some(voice_dialer::attempts::End { ending, at });
        Concluded::of(self.campaign, line, &RetryPolicy::default(), false, at).unwrap()
    }

    /// Every line under way ends busy, told `times` times.
    pub(crate) async fn end_all(&self, times: usize, at: DateTime<Utc>) -> usize {
        let mut ended = 0;
        let mut tx = self.stage.tx().await;
        let lines = open_lines(&mut tx, self.campaign, 0).await.unwrap();
        drop(tx);
        let ends: Vec<Concluded> = lines
            .into_iter()
            .map(|line| self.end(line, (CallOutcome::Busy, false), at))
            .collect();
        for _ in 0..times {
            let mut tx = self.stage.tx().await;
            let applied = apply_ends(&mut tx, &ends, at).await.unwrap();
            tx.commit().await.unwrap();
            ended += applied.ended.len();
        }
        ended
    }
}

/// One claim for several orders, with so many dials of each account.
pub(crate) async fn together(
    stage: &Stage,
    shards: &[Order],
    accounts: HashMap<ProviderAccountId, u32>,
    gate: &dyn Gate,
    rng: &mut StdRng,
    at: DateTime<Utc>,
) -> Result<Vec<Result<Claim, ClaimError>>, ClaimError> {
    let orders = Orders {
        tenant: stage.tenant,
        shards,
        accounts: &accounts,
        gate,
    };
    claim(&stage.worker, orders, rng, at).await
}

pub(crate) async fn sql(stage: &Stage, text: &'static str, campaign: CampaignId) {
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(text)
        .bind(campaign.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
