//! Writes a story to the log piece by piece, and remembers where every record went.

use std::{collections::BTreeMap, time::Duration};

use voice_kafka::{Delivery, OutboundRecord};

use super::{
    Scene,
    story::{Story, record},
};

/// A record that is no event: it has to end in the dead letters.
pub(crate) const POISON: &[u8] = br#"{"specversion":"1.0","id":"018f0000-0000-7000-8000-000000000000","source":"/test","type":"call.teleported","subject":"","time":"2026-01-01T00:00:00Z","tenantid":"018f0000-0000-7000-8000-000000000000","data":{}}"#;

/// What has been written: where, and which event; none where a record was poison.
pub(crate) type Written = BTreeMap<(i32, i64), Option<uuid::Uuid>>;

/// Writes the events of a story, and now and then a poison record between them.
pub(crate) struct Feed<'a> {
    scene: &'a Scene,
    story: &'a Story,
    next: usize,
    /// One poison record after so many events; never when it is zero.
    poison_every: usize,
    pub(crate) written: Written,
}

/// Events that are handed to the client in one go.
const PIECE: usize = 100;

impl<'a> Feed<'a> {
    pub(crate) fn new(scene: &'a Scene, story: &'a Story, poison_every: usize) -> Self {
        Self {
            scene,
            story,
            next: 0,
            poison_every,
            written: Written::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.next == self.story.events.len()
    }

    /// Writes up to `count` events over about this time, and waits until the broker has them all.
    pub(crate) async fn write(&mut self, count: usize, over: Duration) {
        let topic = self.scene.calls_topic();
        let until = (self.next + count).min(self.story.events.len());
        let pieces = (until - self.next).div_ceil(PIECE).max(1);
        let pause = over / u32::try_from(pieces).unwrap();
        let mut confirmations = Vec::new();
        while self.next < until {
            let piece = self.next..(self.next + PIECE).min(until);
            for position in piece.clone() {
                let event = &self.story.events[position];
                let outbound = record(event, &topic);
                confirmations.push((Some(event.id.0), self.scene.producer.enqueue(&outbound).unwrap()));
                if self.poison_every > 0 && position % self.poison_every == self.poison_every - 1 {
                    let poison = OutboundRecord {
                        payload: POISON.to_vec(),
                        ..outbound
                    };
                    confirmations.push((None, self.scene.producer.enqueue(&poison).unwrap()));
                }
            }
            self.next = piece.end;
            tokio::time::sleep(pause).await;
        }
        for (event, confirmation) in confirmations {
            let Delivery { partition, offset } = confirmation.await.unwrap();
            assert_eq!(self.written.insert((partition, offset), event), None);
        }
    }

    /// Writes what is left, as fast as it goes.
    pub(crate) async fn write_the_rest(&mut self) {
        self.write(self.story.events.len(), Duration::ZERO).await;
    }
}
