//! From an endpoint to something that can be read: DNS, TCP, TLS, the upgrade or the request.

use std::{io, time::Duration};

use http::{HeaderValue, header};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error as SocketError, client::IntoClientRequest as _, protocol::WebSocketConfig},
};
use tokio_util::either::Either;
use url::Url;

use super::{Open, OwnedClosure, event_stream::EventStream, tls::Tls};
use crate::{Endpoint, Protocol};

pub(super) type Socket = WebSocketStream<Either<TcpStream, TlsStream<TcpStream>>>;

/// The largest message a provider may send: seconds of audio, or a session with a long prompt echoed.
const LARGEST_MESSAGE: usize = 4 << 20;

/// How much may wait for a provider that does not read, the longest prompt included.
const LARGEST_BACKLOG: usize = 1 << 20;

/// How connections are made. Clones share certificates and pools.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Tls,
    http: reqwest::Client,
    within: Duration,
}

impl Connector {
    /// `http` serves event streams; `within` is how long any link may take to stand.
    #[must_use]
    pub const fn new(tls: Tls, http: reqwest::Client, within: Duration) -> Self {
        Self { tls, http, within }
    }

    pub(super) async fn open(self, endpoint: Endpoint) -> Result<Open, OwnedClosure> {
        let within = self.within;
        let opening = async {
            match &endpoint.protocol {
                Protocol::WebSocket => self.socket(&endpoint).await,
                Protocol::EventStream { body } => {
                    let request = self
                        .http
                        .post(endpoint.url.clone())
                        .headers(endpoint.headers.clone())
                        .header(header::CONTENT_TYPE, "application/json")
                        .header(header::ACCEPT, HeaderValue::from_static("text/event-stream"))
                        .body(body.clone());
                    let response = request.send().await.map_err(|_| OwnedClosure::Lost)?;
                    if !response.status().is_success() {
                        return Err(OwnedClosure::Refused {
                            status: response.status().as_u16(),
                        });
                    }
                    Ok(Open::Events(Box::new(EventStream::of(response))))
                }
            }
        };
        tokio::time::timeout(within, opening)
            .await
            .unwrap_or(Err(OwnedClosure::TimedOut))
    }

    async fn socket(&self, endpoint: &Endpoint) -> Result<Open, OwnedClosure> {
        let mut request = endpoint
            .url
            .as_str()
            .into_client_request()
            .map_err(|_| OwnedClosure::Lost)?;
        request.headers_mut().extend(endpoint.headers.clone());
        let stream = self.stream(&endpoint.url).await.map_err(|_| OwnedClosure::Lost)?;
        // Frames are small and steady: small buffers, and each frame is written at once.
        let config = WebSocketConfig::default()
            .read_buffer_size(8 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(LARGEST_BACKLOG)
            .max_message_size(Some(LARGEST_MESSAGE))
            .max_frame_size(Some(LARGEST_MESSAGE));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Open::Socket(Box::new(socket))),
            Err(SocketError::Http(response)) => Err(OwnedClosure::Refused {
                status: response.status().as_u16(),
            }),
            Err(_) => Err(OwnedClosure::Lost),
        }
    }

    async fn stream(&self, url: &Url) -> io::Result<Either<TcpStream, TlsStream<TcpStream>>> {
        let host = url.host_str().ok_or(io::ErrorKind::InvalidInput)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = matches!(url.scheme(), "wss" | "https");
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        // Audio flows all the time, so a peer that acknowledges nothing is gone: without this the kernel would
        // go on for a quarter of an hour.
        #[cfg(target_os = "linux")]
        SockRef::from(&tcp).set_tcp_user_timeout(Some(super::STALLED_AFTER))?;
        if !secure {
            return Ok(Either::Left(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(self.tls.0.clone()).connect(name, tcp).await?;
        Ok(Either::Right(tls))
    }
}
