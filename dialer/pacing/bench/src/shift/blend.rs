//! Who may use which agents, where several campaigns share them.
//!
//! Agents in the pool take calls of every campaign in it. A campaign that has too few answers yet, or too little
//! room in its ledger, may risk nothing, and in a pool every call runs the risks that the others take. It gets
//! agents of its own until it can go (back) into the pool.

/// Answers before a campaign goes into the pool.
const YOUNG: u64 = 100;
/// It leaves the pool above the first share of abandoned answers, and comes back below the second.
const LEAVES: f64 = 0.0292;
const RETURNS: f64 = 0.027;

/// Who owns which seat.
#[derive(Debug)]
pub(super) struct Blend {
    /// Per campaign.
    apart: Vec<bool>,
    /// Per seat; `None` is the pool.
    owners: Vec<Option<usize>>,
}

impl Blend {
    pub(super) fn new(campaigns: usize, seats: usize) -> Self {
        let mut blend = Self {
            apart: vec![campaigns > 1; campaigns],
            owners: vec![None; seats],
        };
        if campaigns > 1 {
            blend.owners = (0..seats).map(|seat| Some(seat % campaigns)).collect();
        }
        blend
    }

    /// Moves campaigns between the pool and agents of their own; `counts` are answered and abandoned.
    pub(super) fn update(&mut self, counts: &[(u64, u64)]) {
        let campaigns = counts.len();
        if campaigns < 2 {
            return;
        }
        for (campaign, (answered, abandoned)) in counts.iter().enumerate() {
            let share = *abandoned as f64 / (*answered as f64).max(1.0);
            let limit = if self.apart[campaign] { RETURNS } else { LEAVES };
            let apart = *answered < YOUNG || share > limit;
            if apart && !self.apart[campaign] {
                let own = self.owners.len() / campaigns;
                for owner in self.owners.iter_mut().filter(|owner| owner.is_none()).take(own) {
                    *owner = Some(campaign);
                }
            } else if !apart && self.apart[campaign] {
                for owner in self.owners.iter_mut().filter(|owner| **owner == Some(campaign)) {
                    *owner = None;
                }
            }
            self.apart[campaign] = apart;
        }
    }

    /// Whether two campaigns compete for agents.
    pub(super) fn rivals(&self, one: usize, other: usize) -> bool {
        one != other && !self.apart[one] && !self.apart[other]
    }

    /// Whether a campaign plans with a seat.
    pub(super) fn plans_with(&self, campaign: usize, seat: usize) -> bool {
        match self.owner(seat) {
            Some(owner) => owner == campaign,
            None => !self.apart[campaign],
        }
    }

    /// Whether a seat may take a call: its own campaign's, or any if it is in the pool.
    pub(super) fn takes(&self, campaign: usize, seat: usize) -> bool {
        self.owner(seat).is_none_or(|owner| owner == campaign)
    }

    /// Agents who came later are in the pool.
    fn owner(&self, seat: usize) -> Option<usize> {
        self.owners.get(seat).copied().flatten()
    }
}
