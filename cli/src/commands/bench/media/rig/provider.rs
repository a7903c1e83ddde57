//! An AI provider that costs as little as possible: the events of OpenAI Realtime from prepared text.
//!
//! Each session speaks for three seconds in every eight, in pieces of 100 ms at three times real time, with its words
//! beside them. In every other answer the caller is said to speak from the middle of it until just before the next.

use std::{fmt::Write as _, pin::pin, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        self, Message,
        handshake::server::{Request, Response},
    },
};
use voice_audio::g711::Law;

use super::{
    Offer,
    callers::{number_of, socket_config},
    marker::Finder,
    sheet::{Call, Sheet},
};

const CYCLE: Duration = Duration::from_secs(8);
const PIECE_MS: u32 = 100;
const PIECES: u32 = 30;
const SPEED: u32 = 3;
/// Words come with every so many pieces.
const WORDS_EVERY: u32 = 3;
/// The caller stops to speak this long before the next answer.
const STOPS_BEFORE: Duration = Duration::from_millis(300);
/// The golden section: whatever number of calls there is, their answers are spread over the cycle.
const SPREAD: f64 = 0.618_033_988_75;

/// Serves over TLS and without until the process ends.
pub async fn serve(sheet: Arc<Sheet>) -> anyhow::Result<Offer> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let der = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(anyhow::Error::msg)?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let secure = listen(Arc::clone(&sheet), Some(acceptor)).await?;
    let plain = listen(sheet, None).await?;
    Ok(Offer {
        secure: format!("wss://localhost:{secure}"),
        plain: format!("ws://127.0.0.1:{plain}"),
        certificate: STANDARD.encode(&der),
    })
}

async fn listen(sheet: Arc<Sheet>, acceptor: Option<TlsAcceptor>) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, sheet) = (acceptor.clone(), Arc::clone(&sheet));
            tokio::spawn(async move {
                let _best_effort = stream.set_nodelay(true);
                // Whoever hangs up ends a session like this: there is nobody to tell.
                let _gone = match acceptor {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => session(stream, &sheet).await,
                        Err(_) => Ok(()),
                    },
                    None => session(stream, &sheet).await,
                };
            });
        }
    });
    Ok(port)
}

#[allow(clippy::result_large_err, reason = "the library's signature")]
async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: S, sheet: &Sheet) -> tungstenite::Result<()> {
    let mut number = None;
    let seen = |request: &Request, response: Response| {
        // `?model=bench-17`
        let query = request.uri().query().unwrap_or_default();
        number = query.rsplit('-').next().and_then(|number| number.parse().ok());
        Ok(response)
    };
    let socket = accept_hdr_async_with_config(stream, seen, Some(socket_config())).await?;
    let Some(call) = number.and_then(|number| sheet.find(number)) else {
        return Ok(());
    };
    let begins = Instant::now() + CYCLE.mul_f64(call.number as f64 * SPREAD % 1.0);
    Session {
        socket,
        call,
        ear: None,
        answer: Answer::new(0, begins),
        delta: String::new(),
        spoken_over: None,
    }
    .run()
    .await
}

/// What the caller is heard with.
struct Ear {
    wide: bool,
    finder: Finder,
    audio: Vec<u8>,
    samples: Vec<i16>,
}

impl Ear {
    fn new(wide: bool) -> Self {
        Self {
            wide,
            finder: Finder::new(if wide { 24_000 } else { 8_000 }),
            audio: Vec::new(),
            samples: Vec::new(),
        }
    }

    fn hear(&mut self, payload: &str, call: &Call) {
        let now = std::time::Instant::now();
        self.audio.clear();
        self.samples.clear();
        if STANDARD.decode_vec(payload, &mut self.audio).is_err() {
            return;
        }
        if self.wide {
            let pairs = self.audio.as_chunks::<2>().0;
            self.samples.extend(pairs.iter().copied().map(i16::from_le_bytes));
            call.arrived(None);
        } else {
            Law::Mu.decode(&self.audio, &mut self.samples);
            call.arrived(number_of(&self.audio));
        }
        if let Some((mark, came)) = self.finder.hear(self.samples.iter().copied(), now) {
            call.marked(mark, came);
        }
    }
}

/// The answer that is next or under way.
#[derive(Clone, Copy, Debug)]
struct Answer {
    number: u32,
    begins: Instant,
    piece: u32,
}

impl Answer {
    const fn new(number: u32, begins: Instant) -> Self {
        Self {
            number,
            begins,
            piece: 0,
        }
    }

    fn due(&self) -> Instant {
        self.begins + Duration::from_millis(u64::from(PIECE_MS * self.piece / SPEED))
    }

    /// The caller speaks over it now.
    const fn is_cut(&self) -> bool {
        self.number % 2 == 1 && self.piece == PIECES / 2
    }
}

struct Session<S> {
    socket: WebSocketStream<S>,
    call: Arc<Call>,
    /// Once it is known what the caller's audio is.
    ear: Option<Ear>,
    answer: Answer,
    /// The audio of a piece.
    delta: String,
    /// When the caller stops to speak.
    spoken_over: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn run(mut self) -> tungstenite::Result<()> {
        let created =
            json!({"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "s"}});
        self.send(created.to_string()).await?;
        // Set again only where it changes: fifty frames come between two pieces.
        let mut alarm = pin!(sleep_until(self.due()));
        loop {
            if alarm.deadline() != self.due() {
                alarm.as_mut().reset(self.due());
            }
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(message) => {
                        if let Message::Text(text) = message? {
                            self.take(&text).await?;
                        }
                    }
                    None => return Ok(()),
                },
                () = &mut alarm => {
                    if self.spoken_over.take().is_some() {
                        self.stopped_speaking().await?;
                    } else if self.ear.is_some() {
                        self.speak().await?;
                    } else {
                        // Nothing is said before the session is agreed.
                        self.answer.begins += CYCLE / 8;
                    }
                }
            }
        }
    }

    fn due(&self) -> Instant {
        self.spoken_over.unwrap_or_else(|| self.answer.due())
    }

    async fn take(&mut self, text: &str) -> tungstenite::Result<()> {
        // One side writes spaces and an id, the other one does not.
        if text.contains("input_audio_buffer.append")
            && let Some((_, audio)) = text.split_once(r#""audio""#)
        {
            let payload = audio.split('"').nth(1).unwrap_or_default();
            if let Some(ear) = &mut self.ear {
                ear.hear(payload, &self.call);
            }
            return Ok(());
        }
        let Ok(event) = serde_json::from_str::<Value>(text) else {
            return Ok(());
        };
        match event["type"].as_str() {
            Some("session.update") => self.configure(&event["session"]).await,
            Some("conversation.item.create") => {
                let added =
                    json!({"type": "conversation.item.added", "event_id": "e", "item": event["item"]});
                self.send(added.to_string()).await
            }
            Some("conversation.item.truncate") => {
                let mut truncated = event.clone();
                truncated["type"] = json!("conversation.item.truncated");
                truncated["event_id"] = json!("e");
                self.send(truncated.to_string()).await
            }
            // Asking for an answer has none of its own: the next one in the cycle is it.
            _ => Ok(()),
        }
    }

    async fn configure(&mut self, wanted: &Value) -> tungstenite::Result<()> {
        let narrow = wanted["audio"]["input"]["format"]["type"] == "audio/pcmu";
        let audio = if narrow {
            vec![Law::Mu.silence(); 8 * PIECE_MS as usize]
        } else {
            vec![0; 48 * PIECE_MS as usize]
        };
        self.delta = STANDARD.encode(audio);
        self.ear.get_or_insert_with(|| Ear::new(!narrow));
        let mut session = wanted.clone();
        session["id"] = json!("s");
        let updated = json!({"type": "session.updated", "event_id": "e", "session": session});
        self.send(updated.to_string()).await
    }

    /// The next piece of an answer, with what belongs before and behind it.
    async fn speak(&mut self) -> tungstenite::Result<()> {
        let Answer { number, piece, .. } = self.answer;
        let of = format!(r#""event_id":"e","response_id":"resp_{number}","output_index":0"#);
        let part = format!(r#"{of},"item_id":"item_{number}","content_index":0"#);
        if piece == 0 {
            self.begin(number, &of, &part).await?;
        }
        if self.answer.is_cut() {
            self.call.interrupted();
            self.send(r#"{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":1,"item_id":"u"}"#.to_owned())
                .await?;
            self.end(number, true, &of, &part).await?;
            self.spoken_over = Some(self.answer.begins + CYCLE - STOPS_BEFORE);
        } else if piece == PIECES {
            self.end(number, false, &of, &part).await?;
        } else {
            if piece % WORDS_EVERY == 0 {
                let words = format!(
                    r#"{{"type":"response.output_audio_transcript.delta",{part},"delta":"Certainly. "}}"#
                );
                self.socket.feed(Message::text(words)).await?;
            }
            let mut audio = String::with_capacity(self.delta.len() + part.len() + 64);
            let _never = write!(
                audio,
                r#"{{"type":"response.output_audio.delta",{part},"delta":"{}"}}"#,
                self.delta
            );
            self.call.speaks(piece == 0);
            self.send(audio).await?;
            self.answer.piece += 1;
            return Ok(());
        }
        self.answer = Answer::new(number + 1, self.answer.begins + CYCLE);
        Ok(())
    }

    async fn begin(&mut self, number: u32, of: &str, part: &str) -> tungstenite::Result<()> {
        let item = item(number, "in_progress");
        for text in [
            format!(
                r#"{{"type":"response.created","event_id":"e","response":{{"id":"resp_{number}","object":"realtime.response","status":"in_progress","output":[]}}}}"#
            ),
            format!(r#"{{"type":"response.output_item.added",{of},"item":{item}}}"#),
            format!(r#"{{"type":"conversation.item.added","event_id":"e","item":{item}}}"#),
            format!(
                r#"{{"type":"response.content_part.added",{part},"part":{{"type":"audio","transcript":""}}}}"#
            ),
        ] {
            self.socket.feed(Message::text(text)).await?;
        }
        Ok(())
    }

    async fn end(&mut self, number: u32, cut: bool, of: &str, part: &str) -> tungstenite::Result<()> {
        let (status, details) = if cut {
            (
                "cancelled",
                r#""status_details":{"type":"cancelled","reason":"turn_detected"},"#,
            )
        } else {
            ("completed", "")
        };
        let item = item(number, if cut { "incomplete" } else { "completed" });
        let usage = r#"{"total_tokens":120,"input_tokens":60,"output_tokens":60,"input_token_details":{"text_tokens":10,"audio_tokens":50,"cached_tokens":0},"output_token_details":{"text_tokens":10,"audio_tokens":50}}"#;
        for text in [
            format!(r#"{{"type":"response.output_audio.done",{part}}}"#),
            format!(
                r#"{{"type":"response.output_audio_transcript.done",{part},"transcript":"Certainly. Certainly. Certainly."}}"#
            ),
            format!(r#"{{"type":"response.output_item.done",{of},"item":{item}}}"#),
            format!(
                r#"{{"type":"response.done","event_id":"e","response":{{"id":"resp_{number}","object":"realtime.response","status":"{status}",{details}"output":[],"usage":{usage}}}}}"#
            ),
        ] {
            self.socket.feed(Message::text(text)).await?;
        }
        self.socket.flush().await
    }

    async fn stopped_speaking(&mut self) -> tungstenite::Result<()> {
        self.send(
            r#"{"type":"input_audio_buffer.speech_stopped","event_id":"e","audio_end_ms":2,"item_id":"u"}"#
                .to_owned(),
        )
        .await
    }

    async fn send(&mut self, text: String) -> tungstenite::Result<()> {
        self.socket.send(Message::text(text)).await
    }
}

fn item(number: u32, status: &str) -> String {
    format!(
        r#"{{"id":"item_{number}","object":"realtime.item","type":"message","status":"{status}","role":"assistant","content":[]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_in_a_second_and_every_other_one_is_cut_in_its_middle() {
        let begins = Instant::now();
        let mut answer = Answer::new(1, begins);
        assert_eq!(answer.due(), begins);
        answer.piece = PIECES;
        assert_eq!(answer.due(), begins + Duration::from_secs(1));
        answer.piece = PIECES / 2;
        assert!(answer.is_cut());
        answer.number = 2;
        assert!(!answer.is_cut());
    }
}
