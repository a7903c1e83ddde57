//! When to pause fetching a partition and when to resume it.

/// What one partition may hold in memory, and whether it is paused.
///
/// A partition pauses when it reaches its budget of records or bytes and resumes at half of both, because
/// the client throws away what it fetched ahead when a partition is paused: pausing often costs more than
/// it saves.
#[derive(Debug)]
pub struct Flow {
    records: usize,
    bytes: usize,
    paused: bool,
}

/// What to tell the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stop fetching the partition.
    Pause,
    /// Fetch it again.
    Resume,
}

impl Flow {
    /// A flow with this budget for the partition.
    #[must_use]
    pub const fn new(records: usize, bytes: usize) -> Self {
        Self {
            records,
            bytes,
            paused: false,
        }
    }

    /// True between a pause and the resume that ends it.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Decides from what the partition holds now.
    pub const fn observe(&mut self, records: usize, bytes: usize) -> Option<Change> {
        if !self.paused && (records >= self.records || bytes >= self.bytes) {
            self.paused = true;
            return Some(Change::Pause);
        }
        if self.paused && records <= self.records / 2 && bytes <= self.bytes / 2 {
            self.paused = false;
            return Some(Change::Resume);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_pauses_at_its_budget_and_resumes_at_half_of_it() {
        let mut flow = Flow::new(100, 1_000);
        assert_eq!(flow.observe(99, 999), None);
        assert_eq!(flow.observe(10, 1_000), Some(Change::Pause));
        assert_eq!(flow.observe(100, 1_200), None);
        assert_eq!(flow.observe(51, 0), None);
        assert_eq!(flow.observe(50, 501), None);
        assert_eq!(flow.observe(50, 500), Some(Change::Resume));
        assert_eq!(flow.observe(100, 0), Some(Change::Pause));
    }
}
