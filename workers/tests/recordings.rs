//! Recordings on their way through the disk to the object store.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{fs, path::Path, sync::Arc, time::Duration};

use object_store::{ObjectStoreExt as _, memory::InMemory};
use voice_audio::{g711::Law, recording::header};
use voice_lifecycle::CancellationToken;
use voice_schemas::{CallId, TenantId};
use voice_telemetry::Metrics;
use voice_workers::record::spool::{self, Piece};

const PATIENCE: Duration = Duration::from_secs(20);

fn piece(tenant: TenantId, call: CallId, offset: u64, code: u8, samples: usize) -> Piece {
    Piece {
        tenant,
        call,
        law: Law::A,
        offset,
        codes: vec![code; 2 * samples],
    }
}

/// Opens the spool, lets `calls` record, and waits until everything is stored.
async fn through(folder: &Path, calls: impl FnOnce(&spool::Spool)) -> (Arc<InMemory>, Metrics) {
    let (objects, metrics) = (Arc::new(InMemory::new()), Metrics::empty());
    let (spool, writer) = spool::open(folder, 1_000, objects.clone(), metrics.clone()).unwrap();
    calls(&spool);
    drop(spool);
    let stored = writer.run(CancellationToken::new());
    tokio::time::timeout(PATIENCE, stored).await.unwrap();
    (objects, metrics)
}

async fn stored(objects: &InMemory, tenant: TenantId, call: CallId) -> Vec<u8> {
    let key = object_store::path::Path::from(spool::key(tenant, call));
    objects.get(&key).await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn a_recording_is_its_pieces_under_a_head_and_a_lost_piece_is_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let (objects, metrics) = through(folder.path(), |spool| {
        spool.write(piece(tenant, call, 0, 1, 100));
        // 100 to 250 was dropped.
        spool.write(piece(tenant, call, 250, 2, 50));
        spool.close(tenant, call, Law::A, 320);
    })
    .await;
    let mut wanted = header(Law::A, Some(320)).to_vec();
    for (code, samples) in [(1, 100), (Law::A.silence(), 150), (2, 50), (Law::A.silence(), 20)] {
        wanted.extend(vec![code; 2 * samples]);
    }
    assert_eq!(stored(&objects, tenant, call).await, wanted);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the disk is clean"
    );
    assert!(
        metrics
            .render()
            .contains(r#"media_recordings_total{kind="stored"} 1"#)
    );
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_stored_with_the_head_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    // As a process killed in the middle of a call leaves it: half a sample at the end.
    let mut left = header(Law::Mu, None).to_vec();
    left.extend(vec![7; 2 * 1_000 + 1]);
    let name = format!("{}.{}.mu.wav", tenant.0, call.0);
    fs::write(folder.path().join(name), left).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a recording").unwrap();

    let (objects, metrics) = through(folder.path(), |_| {}).await;
    let found = stored(&objects, tenant, call).await;
    assert_eq!(found[..58], header(Law::Mu, Some(1_000)));
    assert_eq!(found.len(), 58 + 2_001);
    assert!(
        metrics
            .render()
            .contains(r#"media_recordings_total{kind="salvaged"} 1"#)
    );
    assert!(folder.path().join("notes.txt").exists());
}

#[tokio::test]
async fn a_long_recording_goes_up_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let second = 8_000_u64;
    let (objects, _) = through(folder.path(), |spool| {
        for at in 0..400 {
            spool.write(piece(
                tenant,
                call,
                at * second,
                (at % 251) as u8,
                second as usize,
            ));
        }
        spool.close(tenant, call, Law::A, 400 * second);
    })
    .await;
    let found = stored(&objects, tenant, call).await;
    assert_eq!(found.len(), 58 + 400 * 16_000);
    assert!((0..400).all(|at| found[58 + at * 16_000] == (at % 251) as u8));
}
