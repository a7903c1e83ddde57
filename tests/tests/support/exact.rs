//! The proof: the table has every record of the log once, and the dead letters the others.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use uuid::Uuid;
use voice_clickhouse::{Row, clickhouse};
use voice_kafka::dead_letters::{self, Kept, Origin};

use super::{Scene, eventually, feed::Written};

#[derive(Row, Deserialize)]
struct Stored {
    partition: u16,
    offset: u64,
    #[serde(with = "voice_clickhouse::uuid")]
    event: Uuid,
}

#[derive(Row, Deserialize)]
struct Count {
    count: u64,
}

impl Scene {
    /// Rows of `call_events`.
    pub(crate) async fn rows(&self) -> u64 {
        let asked = self.clickhouse.row(
            "counting rows",
            "SELECT count() AS count FROM call_events",
            |query| query,
        );
        let Count { count } = asked.await.unwrap();
        count
    }

    /// Waits until every record is accounted for, whatever the account says.
    pub(crate) async fn settles(&self, written: &Written, patience: Duration) {
        let group = voice_analytics::sink::GROUP;
        let ends = written
            .keys()
            .fold(BTreeMap::new(), |mut ends, (partition, offset)| {
                let end: &mut i64 = ends.entry(*partition).or_default();
                *end = (*end).max(offset + 1);
                ends
            });
        eventually("the sink commits everything", patience, async || {
            let (kafka, topic) = (self.kafka.clone(), self.calls_topic());
            let read = move || {
                voice_kafka::admin::Admin::new(&kafka)
                    .unwrap()
                    .committed(group, &topic)
                    .unwrap()
            };
            tokio::task::spawn_blocking(read).await.unwrap() == ends
        })
        .await;
    }

    /// Every event is a row, once; every poison record is a dead letter, once in the table and at least once
    /// in the topic, with its bytes.
    pub(crate) async fn is_exact(&self, written: &Written) {
        let rows: Vec<Stored> = self
            .clickhouse
            .rows(
                "reading every row",
                "SELECT _partition AS partition, _offset AS offset, event_id AS event FROM call_events \
                 ORDER BY _partition, _offset",
                |query| query,
            )
            .await
            .unwrap();
        let stored: Vec<_> = rows
            .iter()
            .map(|row| (i32::from(row.partition), row.offset, row.event))
            .collect();
        let expected: Vec<_> = written
            .iter()
            .filter_map(|((partition, offset), event)| Some((*partition, offset.cast_unsigned(), (*event)?)))
            .collect();
        assert_same("rows", &stored, &expected);

        let dead: Vec<Stored> = self
            .clickhouse
            .rows(
                "reading the dead letters",
                "SELECT _partition AS partition, _offset AS offset, toUUID('00000000-0000-0000-0000-000000000000') \
                 AS event FROM sink_dead_letters FINAL ORDER BY _partition, _offset",
                |query| query,
            )
            .await
            .unwrap();
        let dead: Vec<_> = dead
            .iter()
            .map(|row| (i32::from(row.partition), row.offset.cast_signed()))
            .collect();
        let poison: Vec<_> = written
            .iter()
            .filter(|(_, event)| event.is_none())
            .map(|(place, _)| *place)
            .collect();
        assert_same("dead letters", &dead, &poison);
        let mut kept: Vec<_> = self
            .dead_letters()
            .await
            .into_iter()
            .map(|kept| match kept.letter.origin {
                Origin::Record {
                    partition, offset, ..
                } => {
                    assert_eq!(kept.letter.payload, super::feed::POISON, "[{partition}]@{offset}");
                    (partition, offset)
                }
                Origin::Request { path } => panic!("a request among the sink's dead letters: {path}"),
            })
            .collect();
        kept.sort_unstable();
        kept.dedup();
        assert_same("dead letters in their topic", &kept, &poison);
    }

    /// Every dead letter, oldest first.
    pub(crate) async fn dead_letters(&self) -> Vec<Kept> {
        let kafka = self.kafka.clone();
        let read = move || {
            let mut letters = Vec::new();
            dead_letters::for_each(&kafka, |kept| letters.push(kept)).unwrap();
            letters
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

/// Fails with the first differences, not with fifty thousand lines.
pub(crate) fn assert_same<T: PartialEq + std::fmt::Debug>(what: &str, is: &[T], should: &[T]) {
    if is == should {
        return;
    }
    let at = is
        .iter()
        .zip(should)
        .take_while(|(is, should)| is == should)
        .count();
    let around = |list: &[T]| format!("{:#?}", list.iter().skip(at).take(3).collect::<Vec<_>>());
    panic!(
        "{what}: {} instead of {}, different from position {at} on.\nis: {}\nshould be: {}",
        is.len(),
        should.len(),
        around(is),
        around(should)
    );
}
