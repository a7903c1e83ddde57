//! The real pacer.

use voice_pacing::{Config, Decision, Event, Jurisdiction, Moment, Pacer, Rival, Snapshot};

use super::Dialer;

/// `voice_pacing::Pacer` in one jurisdiction.
pub struct Ours {
    /// The pacer.
    pub pacer: Pacer,
    jurisdiction: [Jurisdiction; 1],
    /// The last decision.
    pub last: Option<Decision>,
}

impl Ours {
    /// A new campaign.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: Config) -> Result<Self, Vec<voice_pacing::ConfigError>> {
        Ok(Self {
            pacer: Pacer::new(config)?,
            jurisdiction: [Jurisdiction("US".to_owned())],
            last: None,
        })
    }
}

impl Dialer for Ours {
    fn told(&mut self, event: Event, now: Moment) {
        self.pacer.observe(event, &self.jurisdiction[0], now);
    }

    fn dial(&mut self, snapshot: &Snapshot, now: Moment) -> usize {
        let decision = self.pacer.decide(snapshot, &self.jurisdiction, now);
        let dials = decision.dials;
        self.last = Some(decision);
        dials
    }

    fn rivals(&mut self, ringing: &[Moment], now: Moment) -> Vec<Rival> {
        self.pacer.rivals(ringing, now)
    }
}
