//! Recordings on their way through the disk to the object store and back.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use object_store::{ObjectStoreExt as _, PutPayload, memory::InMemory};
use proptest::prelude::*;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use voice_audio::{g711::Law, recording::header};
use voice_lifecycle::{CancellationToken, SystemClock};
use voice_recordings::{
    Announce, FetchError, KeyConfig, KeyRing, Note, Piece, Ready, SealError, Settings, Spool, Store, fetch,
    key, note_key,
};
use voice_schemas::{CallId, TenantId};
use voice_telemetry::Metrics;

const PATIENCE: Duration = Duration::from_secs(20);

fn key_config(id: &str, byte: u8) -> KeyConfig {
    KeyConfig {
        id: id.to_owned(),
        key: SecretString::from(base64_simd::STANDARD.encode_to_string([byte; 32])),
    }
}

fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&[key_config("2026-11", 7)]).unwrap())
}

#[derive(Debug, Default)]
struct Heard {
    told: Mutex<Vec<Ready>>,
    deaf: bool,
}

impl Announce for Heard {
    fn announce(&self, ready: Ready) -> BoxFuture<'_, bool> {
        self.told.lock().unwrap().push(ready);
        Box::pin(async { !self.deaf })
    }
}

/// One life of a process.
struct Life {
    objects: Arc<InMemory>,
    keys: Arc<KeyRing>,
    heard: Arc<Heard>,
    metrics: Metrics,
}

impl Life {
    fn new(keys: Arc<KeyRing>) -> Self {
        Self {
            objects: Arc::new(InMemory::new()),
            keys,
            heard: Arc::default(),
            metrics: Metrics::empty(),
        }
    }

    fn open(&self, folder: &Path) -> (Spool, voice_recordings::Writer) {
        let settings = Settings {
            folder: folder.to_owned(),
            waiting: 1_000,
            retention: "standard".to_owned(),
        };
        let store = Store {
            objects: self.objects.clone(),
            keys: Arc::clone(&self.keys),
            announce: self.heard.clone(),
        };
        voice_recordings::open(settings, store, SystemClock::shared(), self.metrics.clone()).unwrap()
    }

    /// Opens the spool, lets `calls` record, and waits until everything is stored.
    async fn through(&self, folder: &Path, calls: impl FnOnce(&Spool)) {
        let (spool, writer) = self.open(folder);
        calls(&spool);
        drop(spool);
        let stop = CancellationToken::new();
        // What cannot be stored is not tried for long.
        stop.cancel();
        tokio::time::timeout(PATIENCE, writer.run(stop)).await.unwrap();
    }

    async fn wav(&self, tenant: TenantId, call: CallId) -> Result<Vec<u8>, FetchError> {
        let mut wav = Vec::new();
        fetch(&*self.objects, &key(tenant, call), &self.keys, &mut wav).await?;
        Ok(wav)
    }

    async fn stored(&self, key: &str) -> Vec<u8> {
        let key = object_store::path::Path::from(key);
        self.objects
            .get(&key)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec()
    }

    fn counted(&self, kind: &str) -> bool {
        let line = format!("media_recordings_total{{kind=\"{kind}\"}} 1");
        self.metrics.render().contains(&line)
    }
}

fn piece(tenant: TenantId, call: CallId, offset: u64, codes: Vec<u8>) -> Piece {
    Piece {
        tenant,
        call,
        law: Law::A,
        offset,
        codes,
    }
}

/// Both channels of so many samples: what is left differs from what is right.
fn codes(from: usize, samples: usize) -> Vec<u8> {
    (from..from + samples)
        .flat_map(|sample| [(sample % 251) as u8, 128 + (sample % 113) as u8])
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A fetched recording plays, with both channels as they were and silence where a piece was lost.
#[tokio::test]
async fn a_recording_comes_back_as_a_wav_with_both_channels_exact_and_a_lost_piece_is_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let life = Life::new(ring());
    life.through(folder.path(), |spool| {
        spool.write(piece(tenant, call, 0, codes(0, 100)));
        // 100 to 250 was dropped.
        spool.write(piece(tenant, call, 250, codes(250, 50)));
        spool.close(tenant, call, Law::A, 320);
    })
    .await;

    let mut wanted = header(Law::A, Some(320)).to_vec();
    wanted.extend(codes(0, 100));
    wanted.extend(vec![Law::A.silence(); 2 * 150]);
    wanted.extend(codes(250, 50));
    wanted.extend(vec![Law::A.silence(); 2 * 20]);
    assert_eq!(life.wav(tenant, call).await.unwrap(), wanted);
    assert!(files(folder.path()).is_empty(), "the disk is clean");
    assert!(life.counted("stored"));
}

/// Audio is nowhere in the clear, and what stands beside a recording is enough to check it.
#[tokio::test]
async fn the_store_holds_no_audio_in_the_clear_and_a_note_with_the_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let life = Life::new(ring());
    let audio = codes(0, 8_000);
    let (spool, writer) = life.open(folder.path());
    spool.write(piece(tenant, call, 0, audio.clone()));
    spool.write(piece(tenant, call, 8_000, codes(8_000, 8_000)));
    spool.close(tenant, call, Law::A, 16_000);
    drop(spool);
    let in_clear = |bytes: &[u8]| bytes.windows(32).any(|window| window == &audio[..32]);
    // Read beside the thread that writes: whatever there is of it at that moment is sealed.
    for file in files(folder.path()) {
        assert!(!in_clear(&fs::read(file).unwrap()), "in the spool");
    }
    writer.run(CancellationToken::new()).await;

    let key = key(tenant, call);
    let object = life.stored(&key).await;
    assert!(!in_clear(&object), "in the object store");
    assert!(object.len() > 32_000, "but it is all there");
    let note: Note = serde_json::from_slice(&life.stored(&note_key(&key)).await).unwrap();
    let sum: String = Sha256::digest(&object)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let wanted = Note {
        sha256: sum,
        bytes: object.len() as u64,
        duration_ms: 2_000,
        retention: "standard".to_owned(),
        key_id: "2026-11".to_owned(),
        salvaged: false,
    };
    assert_eq!(note, wanted);
    let told = life.heard.told.lock().unwrap();
    assert_eq!((told.len(), told[0].tenant, told[0].call), (1, tenant, call));
    let recording = &told[0].recording;
    assert_eq!(
        (
            &recording.key,
            &recording.sha256,
            recording.bytes,
            recording.duration_ms
        ),
        (&key, &note.sha256, note.bytes, 2_000)
    );
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_stored_up_to_its_last_whole_piece() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let mut life = Life::new(ring());
    // Whoever is to tell of it dies before it is told: the file stays, with its end. Then its end is cut away, as
    // it is for a process that dies in the middle of writing a piece.
    life.heard = Arc::new(Heard {
        deaf: true,
        ..Heard::default()
    });
    life.through(folder.path(), |spool| {
        for second in 0..3 {
            spool.write(piece(
                tenant,
                call,
                second * 8_000,
                codes(second as usize * 8_000, 8_000),
            ));
        }
        spool.close(tenant, call, Law::A, 24_000);
    })
    .await;
    assert!(life.counted("failed"));
    let left = files(folder.path());
    assert_eq!(left.len(), 1);
    let bytes = fs::read(&left[0]).unwrap();
    fs::write(&left[0], &bytes[..bytes.len() - 37 - 1_000]).unwrap();
    fs::write(folder.path().join("notes.txt"), "not a recording").unwrap();

    let next = Life::new(ring());
    next.through(folder.path(), |_| {}).await;
    let mut wanted = header(Law::A, Some(16_000)).to_vec();
    wanted.extend(codes(0, 16_000));
    assert_eq!(next.wav(tenant, call).await.unwrap(), wanted);
    assert!(next.counted("salvaged"));
    let told = next.heard.told.lock().unwrap().clone();
    assert!(told[0].recording.salvaged);
    assert_eq!(told[0].recording.duration_ms, 2_000);
    assert_eq!(files(folder.path()), [folder.path().join("notes.txt")]);
}

#[tokio::test]
async fn a_recording_that_was_stored_and_not_announced_is_stored_and_announced_again_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let mut life = Life::new(ring());
    life.heard = Arc::new(Heard {
        deaf: true,
        ..Heard::default()
    });
    life.through(folder.path(), |spool| {
        spool.write(piece(tenant, call, 0, codes(0, 4_000)));
        spool.close(tenant, call, Law::A, 4_000);
    })
    .await;
    let first = life.heard.told.lock().unwrap()[0].clone();

    let next = Life::new(ring());
    next.through(folder.path(), |_| {}).await;
    let again = next.heard.told.lock().unwrap()[0].clone();
    assert_eq!(first.recording, again.recording, "the same bytes, not salvaged");
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_long_recording_goes_up_in_parts_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let life = Life::new(ring());
    life.through(folder.path(), |spool| {
        for second in 0..700 {
            spool.write(piece(
                tenant,
                call,
                second * 8_000,
                codes(second as usize * 8_000, 8_000),
            ));
        }
        spool.close(tenant, call, Law::A, 700 * 8_000);
    })
    .await;
    let wav = life.wav(tenant, call).await.unwrap();
    assert_eq!(wav[..58], header(Law::A, Some(700 * 8_000)));
    assert!(wav[58..] == codes(0, 700 * 8_000), "11 MB are as they were");
}

/// Keys rotate, and without its key a recording is noise.
#[tokio::test]
async fn an_old_recording_opens_after_the_key_has_changed_and_not_without_the_old_key() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let mut life = Life::new(ring());
    life.through(folder.path(), |spool| {
        spool.write(piece(tenant, call, 0, codes(0, 10)));
        spool.close(tenant, call, Law::A, 10);
    })
    .await;
    let before = life.wav(tenant, call).await.unwrap();
    let turned = [key_config("2026-11", 7), key_config("2027-01", 9)];
    life.keys = Arc::new(KeyRing::new(&turned).unwrap());
    assert_eq!(life.wav(tenant, call).await.unwrap(), before);

    life.keys = Arc::new(KeyRing::new(&turned[1..]).unwrap());
    let refused = life.wav(tenant, call).await.unwrap_err();
    assert_eq!(refused.kind(), "unknown_key");
    // The same name with other bytes is another key.
    life.keys = Arc::new(KeyRing::new(&[key_config("2026-11", 8)]).unwrap());
    assert_eq!(life.wav(tenant, call).await.unwrap_err().kind(), "damaged");
}

/// Nobody who can write to the object store can change, cut or swap what is heard.
#[tokio::test]
async fn a_recording_that_was_changed_cut_off_or_given_to_another_tenant_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let life = Life::new(ring());
    life.through(folder.path(), |spool| {
        for at in 0..4 {
            spool.write(piece(tenant, call, at * 50, codes(at as usize * 50, 50)));
        }
        spool.close(tenant, call, Law::A, 200);
    })
    .await;
    let whole = life.stored(&key(tenant, call)).await;
    let place = object_store::path::Path::from(key(tenant, call));
    let of = |bytes: Vec<u8>| {
        let (life, place) = (&life, &place);
        async move {
            life.objects.put(place, PutPayload::from(bytes)).await.unwrap();
            life.wav(tenant, call).await
        }
    };
    assert!(of(whole.clone()).await.is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(of(changed).await.is_err(), "byte {at} was changed");
        let cut = of(whole[..at].to_vec()).await.unwrap_err();
        assert!(
            matches!(cut, FetchError::Sealed(SealError::CutOff | SealError::Damaged)),
            "cut at {at}: {cut:?}"
        );
    }
    // A whole frame left out: 4 + 100 + 16 bytes.
    let frame = 120;
    let last = whole.len() - 37;
    let mut left_out = whole[..last - frame].to_vec();
    left_out.extend(&whole[last..]);
    assert_eq!(of(left_out).await.unwrap_err().kind(), "damaged");
    // Two frames swapped.
    let mut swapped = whole[..last - 2 * frame].to_vec();
    swapped.extend(&whole[last - frame..last]);
    swapped.extend(&whole[last - 2 * frame..last - frame]);
    swapped.extend(&whole[last..]);
    assert_eq!(of(swapped).await.unwrap_err().kind(), "damaged");
    let mut longer = whole.clone();
    longer.extend(&whole[last..]);
    assert!(of(longer).await.is_err());
}

#[tokio::test]
async fn a_second_recording_of_a_call_does_not_write_over_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (tenant, call) = (TenantId::random(), CallId::random());
    let mut life = Life::new(ring());
    life.heard = Arc::new(Heard {
        deaf: true,
        ..Heard::default()
    });
    let record = |spool: &Spool| {
        spool.write(piece(tenant, call, 0, codes(0, 500)));
        spool.close(tenant, call, Law::A, 500);
    };
    life.through(folder.path(), record).await;
    let before = fs::read(&files(folder.path())[0]).unwrap();
    let (spool, writer) = life.open(folder.path());
    record(&spool);
    drop(spool);
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    assert_eq!(fs::read(&files(folder.path())[0]).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a killed process had written of a recording: every whole piece of it is kept, and nothing else.
    #[test]
    fn a_recording_cut_anywhere_is_salvaged_up_to_its_last_whole_piece(
        pieces in prop::collection::vec(1_usize..200, 0..6), cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (tenant, call) = (TenantId::random(), CallId::random());
            let mut life = Life::new(ring());
            life.heard = Arc::new(Heard { deaf: true, ..Heard::default() });
            let total: usize = pieces.iter().sum();
            life.through(folder.path(), |spool| {
                let mut at = 0;
                for samples in &pieces {
                    spool.write(piece(tenant, call, at as u64, codes(at, *samples)));
                    at += samples;
                }
                spool.close(tenant, call, Law::A, total as u64);
            })
            .await;
            let file = files(folder.path()).remove(0);
            let bytes = fs::read(&file).unwrap();
            let head = bytes.len() - 37 - pieces.iter().map(|samples| 20 + 2 * samples).sum::<usize>();
            let cut = head + cut.index(bytes.len() - head);
            fs::write(&file, &bytes[..cut]).unwrap();
            let (mut end, mut kept) = (head, 0);
            for samples in &pieces {
                end += 20 + 2 * samples;
                if end <= cut {
                    kept += samples;
                }
            }

            let next = Life::new(ring());
            next.through(folder.path(), |_| {}).await;
            let wav = next.wav(tenant, call).await.unwrap();
            assert_eq!(wav[..58], header(Law::A, Some(kept as u64)));
            assert!(wav[58..] == codes(0, kept));
        });
    }
}
