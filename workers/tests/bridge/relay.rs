//! The front door of a provider: it can be shut while somebody is inside, and it remembers what was said at it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Uri};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{
    accept_hdr_async, connect_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        handshake::server::{Callback, ErrorResponse, Request, Response},
    },
};

/// What becomes of those who come, and of those who are inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Connections break at once.
    Breaks,
    /// Connections stand, and nothing comes out of them any more.
    Swallows,
}

/// One session, by what the worker said in it beside audio.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visit {
    pub(crate) said: Vec<String>,
    over: bool,
}

impl Visit {
    /// Whether any message has all of these in it.
    pub(crate) fn says(&self, parts: &[&str]) -> bool {
        self.said
            .iter()
            .any(|message| parts.iter().all(|part| message.contains(part)))
    }
}

/// The door of one provider.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    door: Arc<watch::Sender<Door>>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

impl Relay {
    pub(crate) async fn to(provider: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            door: Arc::new(watch::Sender::new(Door::Open)),
            visits: Arc::default(),
        };
        let door = relay.clone();
        tokio::spawn(async move {
            loop {
                let (worker, _) = listener.accept().await.unwrap();
                let door = door.clone();
                tokio::spawn(async move { door.admit(worker, provider).await });
            }
        });
        relay
    }

    pub(crate) fn set(&self, door: Door) {
        self.door.send_replace(door);
    }

    /// Every session there was, in order.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }

    /// How many sessions there are.
    pub(crate) fn live(&self) -> usize {
        self.visits().iter().filter(|visit| !visit.over).count()
    }

    async fn admit(self, worker: TcpStream, provider: SocketAddr) {
        let mut door = self.door.subscribe();
        worker.set_nodelay(true).unwrap();
        let now = *door.borrow_and_update();
        match now {
            Door::Open => {}
            Door::Breaks => return,
            Door::Swallows => {
                // Stands until the door breaks it or opens for others.
                door.changed().await.unwrap();
                return;
            }
        }
        let number = {
            let mut visits = self.visits.lock().unwrap();
            visits.push(Visit::default());
            visits.len() - 1
        };
        let shut = async {
            loop {
                match *door.borrow_and_update() {
                    Door::Breaks => return,
                    Door::Open | Door::Swallows => {}
                }
                if door.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = shut => {}
            () = self.pass(number, worker, provider) => {}
        }
        self.visits.lock().unwrap()[number].over = true;
    }

    async fn pass(&self, number: usize, worker: TcpStream, provider: SocketAddr) {
        let mut asked = None;
        let Ok(mut worker) = accept_hdr_async(worker, Keep(&mut asked)).await else {
            return;
        };
        let (uri, headers) = asked.unwrap();
        let mut request = format!("ws://{provider}{uri}").into_client_request().unwrap();
        for name in ["authorization", "x-goog-api-key"] {
            if let Some(value) = headers.get(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let Ok((mut provider, _)) = connect_async_with_config(request, None, true).await else {
            return;
        };
        loop {
            let swallows = || *self.door.borrow() == Door::Swallows;
            tokio::select! {
                message = worker.next() => {
                    let Some(Ok(message)) = message else { return };
                    if swallows() {
                        continue;
                    }
                    self.note(number, &message);
                    if provider.send(message).await.is_err() {
                        return;
                    }
                }
                message = provider.next() => {
                    let Some(Ok(message)) = message else { return };
                    if !swallows() && worker.send(message).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn note(&self, number: usize, message: &Message) {
        let Message::Text(text) = message else { return };
        let audio = ["input_audio_buffer.append", "\"realtimeInput\":{\"audio\""];
        if !audio.iter().any(|audio| text.contains(audio)) {
            self.visits.lock().unwrap()[number].said.push(text.to_string());
        }
    }
}

/// Keeps what was asked for.
struct Keep<'a>(&'a mut Option<(Uri, HeaderMap)>);

impl Callback for Keep<'_> {
    #[allow(clippy::result_large_err, reason = "the library's signature")]
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        *self.0 = Some((request.uri().clone(), request.headers().clone()));
        Ok(response)
    }
}
