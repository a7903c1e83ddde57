//! How soon the broker gives the partitions of a dead member away.
//!
//! With the group protocol of KIP-848 that is a setting of the group, and the client library has no call
//! for it; hence the one request by hand.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Scene;

const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const GROUP: i8 = 32;
const SET: i8 = 0;

/// The fields of Kafka's protocol: big-endian numbers, strings with their length before them.
/// <https://kafka.apache.org/protocol.html#The_Messages_IncrementalAlterConfigs>, version 0.
#[derive(Default)]
struct Request(Vec<u8>);

impl Request {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(&i16::try_from(text.len()).unwrap().to_be_bytes())
            .bytes(text.as_bytes())
    }

    fn count(self, count: i32) -> Self {
        self.bytes(&count.to_be_bytes())
    }
}

impl Scene {
    /// Lets the members of `group` send heartbeats so often that a dead one is noticed after `silence`.
    pub(crate) async fn expel_after(&self, group: &str, silence: Duration) {
        let settings = [
            ("consumer.heartbeat.interval.ms", silence / 6),
            ("consumer.session.timeout.ms", silence),
        ];
        let mut request = Request::default()
            .bytes(&INCREMENTAL_ALTER_CONFIGS.to_be_bytes())
            .bytes(&0_i16.to_be_bytes())
            .count(1)
            .text("voice-tests")
            .count(1)
            .bytes(&GROUP.to_be_bytes())
            .text(&self.kafka.group(group))
            .count(i32::try_from(settings.len()).unwrap());
        for (name, value) in settings {
            request = request
                .text(name)
                .bytes(&SET.to_be_bytes())
                .text(&value.as_millis().to_string());
        }
        let request = request.bytes(&[0]);
        let mut broker = TcpStream::connect(&self.kafka.brokers).await.unwrap();
        broker
            .write_i32(i32::try_from(request.0.len()).unwrap())
            .await
            .unwrap();
        broker.write_all(&request.0).await.unwrap();
        let length = usize::try_from(broker.read_i32().await.unwrap()).unwrap();
        let mut answer = vec![0; length];
        broker.read_exact(&mut answer).await.unwrap();
        // Correlation id, throttle time and the number of results come before the one result's code.
        let code = i16::from_be_bytes([answer[12], answer[13]]);
        assert_eq!(
            code,
            0,
            "the broker refused the group's settings: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}
