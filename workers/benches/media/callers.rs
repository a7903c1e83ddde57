//! Callers: a stream of µ-law in real time each, marks echoed as if everything played at once.

use std::{sync::Arc, time::Duration};

use base64_simd::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::measure::Sheet;

/// A quiet frame that carries its number in its first bytes, so that the provider can tell it again.
fn frame(number: u32) -> [u8; 160] {
    let mut audio = [0xFF; 160];
    for (nibble, code) in audio[..8].iter_mut().enumerate() {
        // Codes near silence, so that nobody takes them for a voice.
        *code = 0xF0 | ((number >> (4 * nibble)) & 0x0F) as u8;
    }
    audio
}

/// The number a frame carries.
pub(crate) fn number_of(payload: &str) -> Option<u32> {
    let audio = STANDARD.decode_to_vec(payload.get(..12)?).ok()?;
    let codes = audio.get(..8)?;
    Some(codes.iter().enumerate().fold(0, |number, (nibble, code)| {
        number | (u32::from(code & 0x0F) << (4 * nibble))
    }))
}

/// One call, until it is aborted.
pub(crate) async fn stream(address: String, token: String, call: usize, sheet: Arc<Sheet>) {
    let (mut socket, _) = connect_async(format!("ws://{address}/media/twilio/{token}"))
        .await
        .unwrap();
    let start = format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA{call}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{"n":"{call}"}}}},"streamSid":"MZ1"}}"#
    );
    socket.send(Message::text(start)).await.unwrap();
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = 0_u32;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let payload = STANDARD.encode_to_string(frame(number));
                let (chunk, timestamp) = (number + 1, number * 20);
                let media = format!(
                    r#"{{"event":"media","sequenceNumber":"{chunk}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"MZ1"}}"#
                );
                sheet.sent_up(call, number);
                socket.send(Message::text(media)).await.unwrap();
                number += 1;
            }
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else {
                    return;
                };
                if text.starts_with(r#"{"event":"media""#) {
                    sheet.arrived_down(call);
                } else if text.starts_with(r#"{"event":"clear""#) {
                    sheet.cleared(call);
                } else {
                    let echo = text.replacen(r#"{"event":"mark","#, r#"{"event":"mark","sequenceNumber":"1","#, 1);
                    socket.send(Message::text(echo)).await.unwrap();
                }
            }
        }
    }
}
