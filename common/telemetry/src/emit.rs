//! Typed events, and the checks that keep their documentation true.

use std::collections::BTreeSet;

use crate::{Definition, Metrics};

/// Something that happened and that operators want to know: one log line and the metrics that go with it.
pub trait Emit {
    /// Writes the log line and moves the metrics.
    fn emit(&self, metrics: &Metrics);
}

/// Asserts, in a test, that `emit` registers exactly the metrics of `catalogue`, under the names, kinds and
/// labels it documents. A crate lists its definitions once and calls this with one of each of its events.
///
/// # Panics
/// When a documented metric is not emitted or an emitted one is not documented.
pub fn assert_emits(catalogue: &[&dyn Definition], emit: impl FnOnce(&Metrics)) {
    let metrics = Metrics::empty();
    emit(&metrics);
    let emitted: BTreeSet<&str> = metrics.names().into_iter().collect();
    let documented: BTreeSet<&str> = catalogue.iter().map(|definition| definition.name()).collect();
    assert_eq!(
        emitted, documented,
        "left: what the events emit, right: what the catalogue documents"
    );
    let text = metrics.render();
    for definition in catalogue {
        let kind = format!(
            "# TYPE {} {}",
            definition.name(),
            format!("{:?}", definition.kind()).to_lowercase()
        );
        assert!(
            text.contains(&kind),
            "`{kind}` is missing; was every label set emitted?"
        );
    }
}

/// Asserts, in a test, that the definitions follow the rules of names: lower snake case, `_total` on
/// counters and nowhere else, no `_ms`, help that is a sentence, no name twice.
///
/// # Panics
/// When one does not.
pub fn assert_documented(catalogue: &[&dyn Definition]) {
    let mut seen = BTreeSet::new();
    for definition in catalogue {
        let name = definition.name();
        assert!(seen.insert(name), "{name} is defined twice");
        for part in std::iter::once(&name).chain(definition.labels()) {
            let snake = part
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            assert!(snake, "{part} of {name} is not lower snake case");
        }
        let counter = definition.kind() == crate::Kind::Counter;
        assert_eq!(
            name.ends_with("_total"),
            counter,
            "{name}: counters end in `_total`, others do not"
        );
        assert!(!name.ends_with("_ms"), "{name}: time is in seconds");
        assert!(definition.help().ends_with('.'), "{name}: the help is a sentence");
    }
}
