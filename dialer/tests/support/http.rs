//! A program that asks the dialer's own listener.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// `printf cck_test_one | sha256sum`
pub(crate) const ONE: &str = "b397331b9a0c64e191d8887393cb7fd843efd0919b477e7beab268cb72bc97e1";
/// `printf cck_test_two | sha256sum`
pub(crate) const TWO: &str = "1de7dde43a1e7119be68ba166af505d5aea9732f5339ead9025c2592f913f871";

/// Status, headers and JSON of an answer.
pub(crate) async fn send(
    at: SocketAddr,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<&str>,
) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let auth = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    let content = body.map_or_else(String::new, |body| {
        format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        )
    });
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: dialer\r\nConnection: close\r\n{auth}{content}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
        .write_all(body.unwrap_or_default().as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        head.to_ascii_lowercase(),
        serde_json::from_str(body).unwrap(),
    )
}
