//! A provider that costs as little as possible: the events of OpenAI Realtime from prepared text.
//!
//! Each session speaks for three seconds in every eight, in pieces of 100 ms at three times real time; in every
//! other turn the caller is said to have spoken in the middle.

use std::{sync::Arc, time::Duration};

use base64_simd::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{Instant, sleep_until},
};
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

use crate::{callers::number_of, measure::Sheet};

const CYCLE: Duration = Duration::from_secs(8);
const PIECE_MS: u32 = 100;
const PIECES: u32 = 30;
const SPEED: u32 = 3;

/// Where it is, and the certificate to believe in Base64; separated by a space.
pub(crate) async fn start(tls: bool, transcode: bool, sheet: Arc<Sheet>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, certificate) = if tls {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let der = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], key)
            .unwrap();
        (
            Some(TlsAcceptor::from(Arc::new(config))),
            STANDARD.encode_to_string(&der),
        )
    } else {
        (None, String::new())
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (acceptor, sheet) = (acceptor.clone(), Arc::clone(&sheet));
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => session(acceptor.accept(stream).await.unwrap(), transcode, sheet).await,
                    None => session(stream, transcode, sheet).await,
                }
            });
        }
    });
    let scheme = if tls { "wss" } else { "ws" };
    format!("{scheme}://localhost:{port} {certificate}")
}

#[allow(clippy::result_large_err, reason = "the library's signature")]
async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: S, transcode: bool, sheet: Arc<Sheet>) {
    let mut call = 0_usize;
    let seen = |request: &Request, response: Response| {
        // `?model=bench-17`
        let query = request.uri().query().unwrap_or_default();
        call = query.rsplit('-').next().unwrap().parse().unwrap();
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, seen).await else {
        return;
    };
    send(
        &mut socket,
        json!({"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "s"}}),
    )
    .await;
    let bytes = if transcode { PIECE_MS * 48 } else { PIECE_MS * 8 };
    let silence = if transcode { 0 } else { 0xFF };
    let delta = STANDARD.encode_to_string(vec![silence; bytes as usize]);
    let mut begins = Instant::now() + CYCLE / 4 + Duration::from_millis(7 * (call as u64 % 300));
    let (mut turn, mut piece) = (0_u32, 0_u32);
    loop {
        let due = begins + Duration::from_millis(u64::from(PIECE_MS * piece / SPEED));
        tokio::select! {
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else {
                    return;
                };
                if let Some(rest) = text.strip_prefix(r#"{"type":"input_audio_buffer.append","audio":""#) {
                    let number = if transcode { None } else { Some(number_of(rest).unwrap()) };
                    sheet.arrived_up(call, number);
                    continue;
                }
                let event: Value = serde_json::from_str(&text).unwrap();
                match event["type"].as_str().unwrap() {
                    "input_audio_buffer.append" => sheet.arrived_up(call, None),
                    "session.update" => {
                        let mut session = event["session"].clone();
                        session["id"] = json!("s");
                        send(&mut socket, json!({"type": "session.updated", "event_id": "e", "session": session})).await;
                    }
                    // Truncations and cancellations; asking for an answer has none here.
                    _ => {}
                }
            }
            () = sleep_until(due) => {
                let (response, item) = (format!("resp_{turn}"), format!("item_{turn}"));
                if piece == 0 {
                    send(&mut socket, json!({"type": "response.created", "event_id": "e",
                        "response": {"id": response, "object": "realtime.response", "status": "in_progress", "output": []}})).await;
                }
                let interrupted = turn % 2 == 1 && piece == PIECES / 2;
                if interrupted {
                    sheet.spoken_over(call);
                    send(&mut socket, json!({"type": "input_audio_buffer.speech_started", "event_id": "e", "audio_start_ms": 1, "item_id": "u"})).await;
                } else if piece < PIECES {
                    let text = format!(
                        r#"{{"type":"response.output_audio.delta","event_id":"e","response_id":"{response}","item_id":"{item}","output_index":0,"content_index":0,"delta":"{delta}"}}"#
                    );
                    sheet.sent_down(call);
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                piece += 1;
                if interrupted || piece > PIECES {
                    let status = if interrupted { "cancelled" } else { "completed" };
                    send(&mut socket, json!({"type": "response.output_audio.done", "event_id": "e", "response_id": response,
                        "item_id": item, "output_index": 0, "content_index": 0})).await;
                    send(&mut socket, json!({"type": "response.done", "event_id": "e",
                        "response": {"id": response, "object": "realtime.response", "status": status, "output": []}})).await;
                    (turn, piece, begins) = (turn + 1, 0, begins + CYCLE);
                }
            }
        }
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, event: Value) {
    // A session whose call was ended is not there any more.
    let _gone = socket.send(Message::text(event.to_string())).await;
}
