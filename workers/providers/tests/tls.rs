//! Providers are reached over TLS, and only those we believe.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use support::{KEY, session};
use tokio::{net::TcpListener, time::timeout};
use tokio_rustls::TlsAcceptor;
use voice_providers::{
    Account, AudioFormat, Connection, Connector, Event, FaultKind, OpenaiRealtime, Tls,
    openai_realtime::Options,
};
use voice_simulator_providers::{Scripts, Twins, serve};

/// A twin with a certificate for `localhost`, and who vouches for it.
async fn twin() -> (Account, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let twins = Twins::new(KEY, Scripts::default());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(serve(listener, twins, Some(acceptor), std::future::pending()));
    let account = Account {
        base_url: format!("wss://localhost:{port}").parse().unwrap(),
        key: KEY.into(),
    };
    (account, certificate)
}

/// What the first thing told is: `Ready`, or the kind of the fault.
async fn first(account: Account, roots: RootCertStore) -> Result<(), FaultKind> {
    // Installs the process-wide provider the HTTP client needs.
    let _plain = support::connector();
    let http = reqwest::Client::builder().build().unwrap();
    let connector = Connector::new(Tls::with_roots(roots).unwrap(), http, Duration::from_secs(5));
    let session = session("gpt-realtime-2.1", AudioFormat::PCMU, AudioFormat::PCMU);
    let adapter = OpenaiRealtime::new(account, session, Options::default());
    let mut connection = Connection::start(Box::new(adapter), connector);
    let mut told = None;
    let waits = async {
        while told.is_none() {
            let happened = connection.happening().await;
            connection.handle(&happened, &mut |event| {
                told = told.or(match event {
                    Event::Ready(_) => Some(Ok(())),
                    Event::Failed(fault) => Some(Err(fault.kind)),
                    _ => None,
                });
            });
        }
    };
    timeout(Duration::from_secs(10), waits).await.unwrap();
    told.unwrap()
}

#[tokio::test]
async fn a_provider_somebody_we_believe_vouches_for_is_talked_to_over_tls() {
    let (account, certificate) = twin().await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    assert_eq!(first(account, roots).await, Ok(()));
}

#[tokio::test]
async fn a_provider_nobody_vouches_for_never_sees_the_key() {
    let (account, _) = twin().await;
    assert_eq!(
        first(account, RootCertStore::empty()).await,
        Err(FaultKind::Connection)
    );
}
