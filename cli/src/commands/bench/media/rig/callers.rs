//! Callers: a stream of µ-law in real time each, as Twilio brings it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;
use voice_audio::{FRAME, g711::Law};

use super::{
    Target, marker,
    sheet::{Call, Sheet},
};

/// A frame in every so many carries a mark.
const MARK_EVERY: u32 = 20;
/// How long a call may take to be answered, and to be let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of a frame is at its end, behind any mark: half a byte a code.
const DIGITS: usize = 8;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Small frames need no large buffers, which the library fills with zeros before every read.
pub fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
}

/// A quiet frame that carries its number.
fn frame(number: u32, mark: Option<u8>) -> [u8; FRAME] {
    let mut audio = [Law::Mu.silence(); FRAME];
    if let Some(mark) = mark {
        marker::put(&mut audio, mark);
    }
    for (digit, code) in audio.iter_mut().skip(FRAME - DIGITS).enumerate() {
        // Codes near silence, so that nobody takes them for a voice.
        *code = 0xF0 | (number >> (4 * digit) & 0x0F) as u8;
    }
    audio
}

/// The number a frame carries.
pub fn number_of(codes: &[u8]) -> Option<u32> {
    let codes = codes.get(FRAME - DIGITS..FRAME)?;
    Some(codes.iter().enumerate().fold(0, |number, (digit, code)| {
        number | u32::from(code & 0x0F) << (4 * digit)
    }))
}

/// What the carrier plays to a caller, and the marks that wait for it.
#[derive(Debug)]
struct Playing {
    until: Instant,
    marks: VecDeque<(Instant, String)>,
}

impl Playing {
    fn audio(&mut self, samples: u64, now: Instant) {
        self.until = self.until.max(now) + Duration::from_micros(samples * 125);
    }

    /// A mark, to be sent back once everything before it was played.
    fn mark(&mut self, text: &str) {
        let echo = text.replacen(
            r#"{"event":"mark","#,
            r#"{"event":"mark","sequenceNumber":"1","#,
            1,
        );
        self.marks.push_back((self.until, echo));
    }

    /// Everything is thrown away; marks come back at once.
    fn clear(&mut self, now: Instant) {
        self.until = now;
        for (due, _) in &mut self.marks {
            *due = now;
        }
    }

    fn due(&mut self, now: Instant) -> Option<String> {
        self.marks
            .pop_front_if(|(due, _)| *due <= now)
            .map(|(_, echo)| echo)
    }
}

/// Carries one call until `over` is cancelled, or the other side ends it. Says whether it was carried to its end.
pub async fn carry(target: Arc<Target>, number: usize, sheet: Arc<Sheet>, over: CancellationToken) -> bool {
    let call = sheet.call(number, target.is_whole());
    let carried = match timeout(PATIENCE, open(&target, number)).await {
        Ok(Ok(mut socket)) => {
            let carried = over.run_until_cancelled(talk(&mut socket, &call)).await.is_none();
            let closed = timeout(PATIENCE, close(&mut socket)).await;
            carried && closed.is_ok()
        }
        _ => false,
    };
    sheet.forget(number);
    carried
}

async fn open(target: &Target, number: usize) -> anyhow::Result<Socket> {
    let (mut socket, _) = connect_async_with_config(target.address()?, Some(socket_config()), true).await?;
    let connected = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;
    socket.feed(Message::text(connected)).await?;
    let kind = target.wish(number);
    let start = format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"AC{:032x}","streamSid":"MZ{number:032x}","callSid":"CA{number:032x}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{{"number":"{number}","wish":"{kind}"}}}},"streamSid":"MZ{number:032x}"}}"#,
        1
    );
    socket.send(Message::text(start)).await?;
    Ok(socket)
}

/// Speaks and listens until the connection ends.
async fn talk(socket: &mut Socket, call: &Call) {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut playing = Playing {
        until: Instant::now(),
        marks: VecDeque::new(),
    };
    let mut number = 0_u32;
    // Marks of all calls fall on all frames.
    let offset = (call.number % MARK_EVERY as usize) as u32;
    let mut mark = 0_u8;
    let stream = format!("MZ{:032x}", call.number);
    loop {
        let sent = tokio::select! {
            now = ticks.tick() => {
                while let Some(echo) = playing.due(now) {
                    if socket.feed(Message::text(echo)).await.is_err() {
                        return;
                    }
                }
                let marked = number % MARK_EVERY == offset;
                mark = if marked { (mark + 1) % marker::NUMBERS } else { mark };
                let marked = marked.then_some(mark);
                let payload = STANDARD.encode(frame(number, marked));
                let (chunk, timestamp) = (number + 1, number * 20);
                let media = format!(
                    r#"{{"event":"media","sequenceNumber":"{chunk}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"{stream}"}}"#
                );
                number += 1;
                call.says(marked);
                socket.send(Message::text(media)).await
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else {
                    return;
                };
                if let Message::Text(text) = message {
                    hear(&text, call, &mut playing);
                }
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn hear(text: &str, call: &Call, playing: &mut Playing) {
    let now = Instant::now();
    match after(text, "event") {
        Some("media") => {
            call.heard();
            let payload = after(text, "payload").map_or(0, str::len);
            playing.audio(payload as u64 / 4 * 3, now);
        }
        Some("clear") => {
            call.cleared();
            playing.clear(now);
        }
        Some("mark") => playing.mark(text),
        _ => {}
    }
}

/// The text of a field, wherever it stands: one side writes spaces, the other one does not.
fn after<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(field)?;
    rest.split('"').nth(2)
}

async fn close(socket: &mut Socket) {
    let stop = r#"{"event":"stop","sequenceNumber":"1","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}"#;
    // Whoever has hung up first is not told.
    let _gone = socket.send(Message::text(stop)).await;
    let _gone = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_carries_its_number_beside_any_mark_and_is_quiet_without_one() {
        for number in [0, 1, 4_711, u32::MAX] {
            for mark in [None, Some(0), Some(marker::NUMBERS - 1)] {
                let audio = frame(number, mark);
                assert_eq!(number_of(&audio), Some(number));
                let mut samples = Vec::new();
                Law::Mu.decode(&audio, &mut samples);
                let found =
                    marker::Finder::new(8_000).hear(samples.iter().copied(), std::time::Instant::now());
                assert_eq!(found.map(|(number, _)| number), mark);
                if mark.is_none() {
                    assert!(samples.iter().all(|sample| sample.abs() < 200));
                }
            }
        }
    }

    #[test]
    fn fields_are_found_with_and_without_spaces() {
        for text in [
            r#"{"event":"media","streamSid":"MZ1","media":{"payload":"AAAA"}}"#,
            r#"{"event": "media", "streamSid": "MZ1", "media": {"payload": "AAAA"}}"#,
        ] {
            assert_eq!(
                (after(text, "event"), after(text, "payload")),
                (Some("media"), Some("AAAA"))
            );
        }
    }

    #[test]
    fn marks_come_back_when_what_was_before_them_is_played_or_thrown_away() {
        let now = Instant::now();
        let mut playing = Playing {
            until: now,
            marks: VecDeque::new(),
        };
        playing.audio(800, now);
        playing.mark(r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"1"}}"#);
        playing.audio(800, now);
        playing.mark(r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"2"}}"#);
        let after = |ms| now + Duration::from_millis(ms);
        assert_eq!(playing.due(after(99)), None);
        assert!(playing.due(after(100)).unwrap().contains(r#""sequenceNumber""#));
        assert_eq!(playing.due(after(150)), None);
        playing.clear(after(150));
        assert!(playing.due(after(150)).unwrap().contains(r#""2""#));
    }
}
