//! Cutting a block: around the rows a table has already, and down to the row it refuses.

use std::ops::Range;

/// The runs of consecutive positions whose offset is not in `present`. Both lists ascend.
pub(super) fn missing_runs(offsets: impl Iterator<Item = u64>, present: &[u64]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut present = present.iter().copied().peekable();
    for (position, offset) in offsets.enumerate() {
        while present.next_if(|have| *have < offset).is_some() {}
        if present.peek() == Some(&offset) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == position => run.end += 1,
            _ => runs.push(position..position + 1),
        }
    }
    runs
}

/// The two halves of a run of at least two rows.
pub(super) fn halves(run: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let middle = run.start + run.len() / 2;
    (run.len() > 1).then_some((run.start..middle, middle..run.end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_row_has_no_halves() {
        assert_eq!(halves(&(4..5)), None);
        assert_eq!(halves(&(4..7)), Some((4..5, 5..7)));
    }

    proptest! {
        #[test]
        fn the_runs_are_exactly_the_rows_the_table_lacks(have in prop::collection::vec(any::<bool>(), 0..80), gap in 1_u64..4) {
            let offsets: Vec<u64> = (0..have.len() as u64).map(|position| 100 + position * gap).collect();
            let present: Vec<u64> =
                offsets.iter().zip(&have).filter(|(_, have)| **have).map(|(offset, _)| *offset).collect();
            let runs = missing_runs(offsets.iter().copied(), &present);
            let missing: Vec<usize> = runs.iter().cloned().flatten().collect();
            let expected: Vec<usize> = have.iter().enumerate().filter(|(_, have)| !**have).map(|(at, _)| at).collect();
            prop_assert_eq!(missing, expected);
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
