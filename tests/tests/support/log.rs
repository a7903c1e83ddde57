//! Reads a whole topic, as any consumer would.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::de::DeserializeOwned;
use voice_kafka::{admin::Admin, consumer};
use voice_lifecycle::CancellationToken;

use super::{Scene, eventually};

impl Scene {
    /// Every event of `calls.events`, in the order of the log within a partition.
    pub(crate) async fn events_in_kafka<T: DeserializeOwned + Send + 'static>(&self) -> Vec<T> {
        let (kafka, topic) = (self.kafka.clone(), self.calls_topic());
        let marks = {
            let (kafka, topic) = (kafka.clone(), topic.clone());
            let read = move || Admin::new(&kafka).unwrap().watermarks(&topic).unwrap();
            tokio::task::spawn_blocking(read).await.unwrap()
        };
        let expected: i64 = marks.values().map(|marks| marks.high - marks.low).sum();
        // By partition and offset.
        let events: Arc<Mutex<BTreeMap<(i32, i64), T>>> = Arc::default();
        let stop = CancellationToken::new();
        let reading = tokio::spawn({
            let (events, stop) = (Arc::clone(&events), stop.clone());
            async move {
                let group = format!("reader-{:08x}", fastrand::u32(..));
                let worker = move |mut partition: consumer::Partition| -> consumer::WorkerFuture {
                    let events = Arc::clone(&events);
                    Box::pin(async move {
                        while let Some(chunk) = partition.recv().await {
                            let mut events = events.lock().unwrap();
                            for record in chunk.records() {
                                let event = serde_json::from_slice(record.payload.unwrap()).unwrap();
                                events.insert((partition.number(), record.offset), event);
                            }
                        }
                        Ok(())
                    })
                };
                consumer::run(&kafka, &group, &[&topic], worker, stop)
                    .await
                    .unwrap();
            }
        });
        eventually("the whole topic is read", Duration::from_secs(60), async || {
            i64::try_from(events.lock().unwrap().len()).unwrap() == expected
        })
        .await;
        stop.cancel();
        reading.await.unwrap();
        std::mem::take(&mut *events.lock().unwrap())
            .into_values()
            .collect()
    }
}
