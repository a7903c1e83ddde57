//! What came of a shift.

/// A histogram of short times.
#[derive(Clone, Debug)]
pub struct Spans {
    step: f64,
    bins: Vec<u64>,
    count: u64,
}

impl Spans {
    /// Bins of `step` seconds up to a thousand of them.
    pub fn new(step: f64) -> Self {
        Self {
            step,
            bins: vec![0; 1_000],
            count: 0,
        }
    }

    /// Adds one.
    pub fn add(&mut self, seconds: f64) {
        let bin = ((seconds / self.step) as usize).min(self.bins.len() - 1);
        self.bins[bin] += 1;
        self.count += 1;
    }

    /// Adds those of another shift.
    pub fn merge(&mut self, other: &Self) {
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            *bin += more;
        }
        self.count += other.count;
    }

    /// The upper end of the bin that holds the quantile.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut left = (self.count as f64 * share).ceil();
        for (bin, count) in self.bins.iter().enumerate() {
            left -= *count as f64;
            if left <= 0.0 {
                return (bin + 1) as f64 * self.step;
            }
        }
        self.bins.len() as f64 * self.step
    }
}

/// One minute of a shift.
#[derive(Clone, Copy, Debug, Default)]
pub struct Minute {
    /// Agent-seconds in talk and wrap-up.
    pub busy: f64,
    /// Agent-seconds logged in.
    pub present: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Per minute since the first shift began.
    pub minutes: Vec<Minute>,
    /// When a person's call was decided, and whether the person was abandoned.
    pub answers: Vec<(f64, bool)>,
    /// The same per campaign: answered, abandoned.
    pub campaigns: Vec<(u64, u64)>,
    /// People taken for machines.
    pub misjudged: u64,
    /// People whom AI took.
    pub ai_taken: u64,
    /// People who hung up before the message; they count as abandoned.
    pub hung_up: u64,
    /// People who hung up before news of their answer had arrived, a machine was ruled out or AI took over. The
    /// time the law gives was not over, so they are neither abandoned nor answered.
    pub gone_early: u64,
    /// People who heard neither an agent nor the message in time.
    pub silent: u64,
    /// Dials the carriers took.
    pub dials: u64,
    /// Seconds of all lines.
    pub line_seconds: f64,
    /// Answer to agent.
    pub waits: Spans,
    /// Idle time before a contact.
    pub idles: Spans,
    /// Microseconds per decision.
    pub thinking: Spans,
    /// The beginnings and ends of the shifts.
    pub shifts: Vec<(f64, f64)>,
}

impl Outcome {
    /// Talk and wrap-up over presence.
    pub fn utilisation(&self) -> f64 {
        self.utilisation_between(0, self.minutes.len())
    }

    /// The same, in some of the minutes.
    pub fn utilisation_between(&self, from: usize, to: usize) -> f64 {
        let minutes = &self.minutes[from.min(self.minutes.len())..to.min(self.minutes.len())];
        let busy: f64 = minutes.iter().map(|minute| minute.busy).sum();
        let present: f64 = minutes.iter().map(|minute| minute.present).sum();
        if present > 0.0 { busy / present } else { 0.0 }
    }

    /// Seconds agents were present.
    pub fn present(&self) -> f64 {
        self.minutes.iter().map(|minute| minute.present).sum()
    }

    /// People who answered.
    pub fn answered(&self) -> u64 {
        self.answers.len() as u64
    }

    /// Those of them who were abandoned.
    pub fn abandoned(&self) -> u64 {
        self.answers.iter().filter(|(_, lost)| *lost).count() as u64
    }

    /// The abandoned share.
    pub fn abandonment(&self) -> f64 {
        self.abandoned() as f64 / (self.answered() as f64).max(1.0)
    }

    /// The worst abandoned share in `seconds` that lie wholly within the time the campaign has run, a window
    /// ending with every answer. Windows that began before the shift did are left out, unless `across` shifts.
    pub fn worst(&self, seconds: f64, across: bool) -> f64 {
        let mut answers = self.answers.clone();
        answers.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut worst: f64 = 0.0;
        let (mut first, mut abandoned) = (0, 0_u64);
        for (at, (now, lost)) in answers.iter().enumerate() {
            abandoned += u64::from(*lost);
            while answers[first].0 <= now - seconds {
                abandoned -= u64::from(answers[first].1);
                first += 1;
            }
            let began = self
                .shifts
                .iter()
                .rev()
                .find(|(began, _)| began <= now)
                .map_or(0.0, |shift| shift.0);
            let whole = if across { 0.0 } else { began };
            if now - seconds >= whole {
                worst = worst.max(abandoned as f64 / (at + 1 - first) as f64);
            }
        }
        worst
    }

    /// The abandoned share of each successive period of 30 days.
    pub fn periods(&self) -> Vec<f64> {
        let mut counts: Vec<(u64, u64)> = Vec::new();
        for (at, lost) in &self.answers {
            let period = (at / (30.0 * 86_400.0)) as usize;
            if counts.len() <= period {
                counts.resize(period + 1, (0, 0));
            }
            counts[period].0 += 1;
            counts[period].1 += u64::from(*lost);
        }
        counts
            .into_iter()
            .map(|(answered, lost)| lost as f64 / (answered as f64).max(1.0))
            .collect()
    }
}
