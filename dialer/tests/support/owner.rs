//! The owner of a shard without its loop: what it claims and what it is told, a step at a time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rand::{SeedableRng as _, rngs::StdRng};
use voice_dialer::{
    attempts::{Concluded, apply_ends, open_lines},
    campaigns::{load, take_over},
    gate::Gate,
    retry::RetryPolicy,
    selection::{Claim, ClaimError, Order, claim},
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
        let mut tx = self.stage.tx().await;
        let campaign = load(&mut tx, self.campaign).await.unwrap().unwrap();
        drop(tx);
        let accounts: HashMap<ProviderAccountId, u32> =
            self.stage.accounts.values().map(|(id, _)| (*id, want)).collect();
        let order = Order {
            campaign: &campaign,
            shard: 0,
            epoch: self.epoch,
            want,
            look: want.max(16),
            accounts: &accounts,
            gate,
        };
        claim(&self.stage.worker, &order, &mut self.rng, at).await
    }

    /// Every line under way ends busy, told `times` times.
    pub(crate) async fn end_all(&self, times: usize, at: DateTime<Utc>) -> usize {
        let mut ended = 0;
        let mut tx = self.stage.tx().await;
        let lines = open_lines(&mut tx, self.campaign, 0).await.unwrap();
        drop(tx);
        let ends: Vec<Concluded> = lines
            .into_iter()
            .map(|mut line| {
                let ending = Ending {
                    outcome: CallOutcome::Busy,
                    hangup_by: HangupBy::Callee,
                    cause: String::new(),
                    sip_code: None,
                    duration_ms: None,
                    reconciled: false,
                };
                line.end = Some(voice_dialer::attempts::End { ending, at });
                Concluded::of(self.campaign, line, &RetryPolicy::default(), false, at).unwrap()
            })
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

pub(crate) async fn sql(stage: &Stage, text: &'static str, campaign: CampaignId) {
    let mut tx = stage.api.tenant(stage.tenant).await.unwrap();
    sqlx::query(text)
        .bind(campaign.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}
