//! A carrier that streams in real time, plays what it gets and echoes marks when their audio was played.

use std::{collections::VecDeque, net::SocketAddr};

use base64_simd::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error, Message},
};
use voice_schemas::events::call::Carrier;
use voice_simulator_providers::sound::{Format, silence, speech};

use crate::world::PATIENCE;

const FRAME: Duration = Duration::from_millis(20);

/// One stream.
pub(crate) struct Stream {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    carrier: Carrier,
    began: Instant,
    frame: u64,
    /// When the audio that was received is played out.
    plays_until: Instant,
    marks: VecDeque<(Instant, String)>,
    /// Audio that was played, or will be.
    pub(crate) received: Vec<u8>,
    /// The longest the line was still, from the start or the end of what was heard to the next sound.
    stillest: Duration,
    /// Clears that came, each with the moment.
    pub(crate) clears: Vec<Instant>,
    /// What was sent, without silence before the first word.
    pub(crate) closed: Option<(u16, String)>,
}

/// Opens a stream; the status where it is refused.
pub(crate) async fn open(address: SocketAddr, path: &str) -> Result<Stream, u16> {
    let carrier = if path.contains("telnyx") {
        Carrier::Telnyx
    } else {
        Carrier::Twilio
    };
    // Without waiting for acknowledgements, which come in the kernel's time and not in that of a test.
    match connect_async_with_config(format!("ws://{address}{path}"), None, true).await {
        Ok((socket, _)) => Ok(Stream {
            socket,
            carrier,
            began: Instant::now(),
            frame: 0,
            plays_until: Instant::now(),
            marks: VecDeque::new(),
            received: Vec::new(),
            stillest: Duration::ZERO,
            clears: Vec::new(),
            closed: None,
        }),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

impl Stream {
    pub(crate) async fn text(&mut self, message: Value) {
        self.raw(message.to_string()).await;
    }

    pub(crate) async fn raw(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Says what will come.
    pub(crate) async fn start(&mut self) {
        self.text(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
            .await;
        let start = match self.carrier {
            Carrier::Twilio => json!({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": {
                "accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {}}}),
            Carrier::Telnyx => json!({"event": "start", "sequence_number": "1", "stream_id": "S1", "start": {
                "user_id": "U1", "call_control_id": "v3:C1", "client_state": null,
                "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}}}),
        };
        self.text(start).await;
        self.began = Instant::now();
        self.plays_until = self.began;
    }

    /// Stillness counts from now on.
    pub(crate) fn watch_stillness(&mut self) {
        self.stillest = Duration::ZERO;
        self.plays_until = self.plays_until.max(Instant::now());
    }

    /// The longest the line was still until now.
    pub(crate) fn stillest(&self) -> Duration {
        self.stillest.max(self.still())
    }

    /// How long it has been still.
    fn still(&self) -> Duration {
        Instant::now().saturating_duration_since(self.plays_until)
    }

    /// A key is pressed.
    pub(crate) async fn press(&mut self, key: char) {
        self.text(json!({"event": "dtmf", "sequenceNumber": "9", "streamSid": "MZ1",
                         "dtmf": {"track": "inbound_track", "digit": key.to_string()}}))
            .await;
    }

    /// A frame by its number, from 0, wherever it stands in time.
    pub(crate) async fn frame(&mut self, number: u64, audio: &[u8]) {
        let (chunk, timestamp) = ((number + 1).to_string(), (number * 20).to_string());
        let media = json!({"track": "inbound", "chunk": chunk, "timestamp": timestamp,
                           "payload": STANDARD.encode_to_string(audio)});
        self.text(json!({"event": "media", "sequenceNumber": chunk, "media": media, "streamSid": "MZ1"}))
            .await;
    }

    /// Sends audio in real time and plays what comes meanwhile.
    pub(crate) async fn say(&mut self, audio: &[u8]) {
        for frame in audio.chunks(160) {
            let due = self.began + FRAME * u32::try_from(self.frame).unwrap();
            self.listen_until(due).await;
            if self.closed.is_some() {
                return;
            }
            self.frame(self.frame, frame).await;
            self.frame += 1;
        }
    }

    pub(crate) async fn speak(&mut self, ms: u64) {
        self.say(&speech(Format::PCMU, 0, ms)).await;
    }

    pub(crate) async fn be_silent(&mut self, ms: u64) {
        self.say(&silence(Format::PCMU, ms)).await;
    }

    /// Sends nothing for so long and plays what comes meanwhile.
    pub(crate) async fn pause(&mut self, lasts: Duration) {
        self.began += lasts;
        let due = self.began + FRAME * u32::try_from(self.frame).unwrap();
        self.listen_until(due).await;
    }

    /// Speaks for so long, and is silent until the agent is heard: how long that took from the last word.
    pub(crate) async fn ask(&mut self, ms: u64) -> Duration {
        // Nothing is said late because nobody looked after this stream for a while.
        let said = FRAME * u32::try_from(self.frame).unwrap();
        self.began = self.began.max(Instant::now() - said);
        self.speak(ms).await;
        let (asked, before) = (Instant::now(), self.received.len());
        self.wait_for(|stream| stream.received.len() > before).await;
        asked.elapsed()
    }

    /// Is silent until `done`.
    pub(crate) async fn wait_for(&mut self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "what was waited for never came");
            self.be_silent(20).await;
        }
    }

    /// How much of the agent is still to be played.
    pub(crate) fn queued(&self) -> Duration {
        self.plays_until.saturating_duration_since(Instant::now())
    }

    /// Says nothing until `done`, however long it takes.
    pub(crate) async fn wait_for_long(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.pause(FRAME).await;
        }
    }

    /// Plays until then, echoing marks on time.
    async fn listen_until(&mut self, due: Instant) {
        loop {
            let now = Instant::now();
            while let Some((at, name)) = self.marks.front().cloned().filter(|(at, _)| *at <= now) {
                self.marks.pop_front();
                assert!(at <= now);
                self.echo(&name).await;
            }
            let next = self.marks.front().map_or(due, |(at, _)| due.min(*at));
            match timeout(next.saturating_duration_since(now), self.socket.next()).await {
                Ok(Some(Ok(message))) => self.take(message).await,
                Ok(Some(Err(_)) | None) => {
                    self.closed.get_or_insert((1006, String::new()));
                    return;
                }
                Err(_) if Instant::now() >= due => return,
                Err(_) => {}
            }
            if self.closed.is_some() {
                return;
            }
        }
    }

    async fn take(&mut self, message: Message) {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => {
                let frame = frame.unwrap();
                self.closed = Some((frame.code.into(), frame.reason.to_string()));
                return;
            }
            _ => return,
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        if self.carrier == Carrier::Twilio {
            assert_eq!(message["streamSid"], "MZ1");
        }
        match message["event"].as_str().unwrap() {
            "media" => {
                let payload = message["media"]["payload"].as_str().unwrap();
                let audio = STANDARD.decode_to_vec(payload).unwrap();
                self.stillest = self.stillest.max(self.still());
                let begins = self.plays_until.max(Instant::now());
                self.plays_until = begins + Duration::from_micros(125 * audio.len() as u64);
                self.received.extend(audio);
            }
            "mark" => {
                let name = message["mark"]["name"].as_str().unwrap().to_owned();
                self.marks.push_back((self.plays_until, name));
            }
            "clear" => {
                self.clears.push(Instant::now());
                let unheard = self.queued().as_micros() / 125;
                let heard = self.received.len() - usize::try_from(unheard).unwrap().min(self.received.len());
                self.received.truncate(heard);
                self.plays_until = Instant::now();
                // Both carriers give back the marks of what they throw away.
                for (_, name) in std::mem::take(&mut self.marks) {
                    self.echo(&name).await;
                }
            }
            other => panic!("the worker sent `{other}`"),
        }
    }

    async fn echo(&mut self, name: &str) {
        self.text(
            json!({"event": "mark", "sequenceNumber": "9", "streamSid": "MZ1", "mark": {"name": name}}),
        )
        .await;
    }

    /// Hangs up.
    pub(crate) async fn stop(&mut self) {
        self.text(json!({"event": "stop", "sequenceNumber": "9", "streamSid": "MZ1"}))
            .await;
        self.until_closed().await;
    }

    /// Waits for the worker to close the socket.
    pub(crate) async fn until_closed(&mut self) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.closed.is_none() {
            assert!(Instant::now() < deadline, "the worker did not close the stream");
            self.listen_until(Instant::now() + FRAME).await;
        }
        self.closed.clone().unwrap()
    }
}
