//! The task that moves finished recordings to the object store.
//!
//! In this order, so that a crash between any two steps repeats and loses nothing: the object, the [`Note`] beside
//! it, the announcement, and only then the file on the disk goes. A repeat stores the same bytes under the same name
//! and announces the same event.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, future::BoxFuture, stream};
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path as Key};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, io::AsyncReadExt as _, sync::mpsc};
use voice_audio::SAMPLES_PER_MS;
use voice_lifecycle::{CancellationToken, SharedClock};
use voice_schemas::{CallId, TenantId, events::media::Recording};
use voice_telemetry::{Emit as _, Metrics};

use crate::{
    events::{Recorded, RecordingFailed},
    key,
    keys::KeyRing,
    note_key,
    spool::salvage,
};

/// Parts of an upload; the object stores want 5 MiB.
const PART: usize = 5 << 20;
/// What is read of a part at once.
const PIECE: usize = 64 << 10;
/// Recordings that are moved at a time.
const AT_ONCE: usize = 4;
/// Tries of an upload in one life of the process; the file stays for the next one.
const TRIES: u32 = 5;

/// A recording that is complete in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whose it is.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// When it was stored.
    pub at: DateTime<Utc>,
    /// What there is to know about it.
    pub recording: Recording,
}

/// Tells the rest of the platform that a recording is ready.
pub trait Announce: Send + Sync + fmt::Debug {
    /// Tells it; true once it cannot be lost any more.
    fn announce(&self, ready: Ready) -> BoxFuture<'_, bool>;
}

/// Where recordings go.
#[derive(Clone, Debug)]
pub struct Store {
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// What seals them.
    pub keys: Arc<KeyRing>,
    /// Whom to tell.
    pub announce: Arc<dyn Announce>,
}

/// What stands beside a recording in the object store, as JSON: enough to check it and to let it expire without
/// opening it. No personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// SHA-256 of the object, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// How long it plays.
    pub duration_ms: u64,
    /// How long it may be kept, by the name of the rule.
    pub retention: String,
    /// Names the key that wraps its own.
    pub key_id: String,
    /// The process died during the call.
    pub salvaged: bool,
}

/// The end of the spool that stores.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    /// Files that no call writes to.
    finished: mpsc::Receiver<PathBuf>,
    mover: Mover,
}

#[derive(Debug)]
struct Mover {
    store: Store,
    clock: SharedClock,
    metrics: Metrics,
}

impl Writer {
    pub(crate) fn new(
        thread: JoinHandle<()>,
        finished: mpsc::Receiver<PathBuf>,
        store: Store,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Self {
        Self {
            thread,
            finished,
            mover: Mover {
                store,
                clock,
                metrics,
            },
        }
    }

    /// Moves finished recordings to the object store. Once `stop` is cancelled and every [`Spool`](crate::Spool) is
    /// dropped, what is finished is still moved.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            thread,
            mut finished,
            mover,
        } = self;
        stream::poll_fn(|context| finished.poll_recv(context))
            .for_each_concurrent(AT_ONCE, |path| mover.insist(path, &stop))
            .await;
        // The thread has dropped its end of the channel, so it is over or will be at once.
        let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

impl Mover {
    /// Tries until the recording is stored and announced, within reason.
    async fn insist(&self, path: PathBuf, stop: &CancellationToken) {
        let mut wait = Duration::from_secs(1);
        let mut reason = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    break;
                }
                wait *= 2;
            }
            match self.r#move(&path).await {
                Ok(ready) => {
                    Recorded {
                        key: &ready.key,
                        salvaged: ready.salvaged,
                    }
                    .emit(&self.metrics);
                    return;
                }
                Err(Unmoved { why, again }) => {
                    reason = why;
                    if !again {
                        break;
                    }
                    tracing::warn!(reason, "a recording could not be stored yet");
                }
            }
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        RecordingFailed {
            key: &name,
            reason: &reason,
            gap: false,
        }
        .emit(&self.metrics);
    }

    async fn r#move(&self, path: &Path) -> Result<Recording, Unmoved> {
        let (file, keys) = (path.to_owned(), Arc::clone(&self.store.keys));
        let read = tokio::task::spawn_blocking(move || salvage(&file, &keys));
        let (head, summary) = read
            .await
            .map_err(|died| Unmoved::later(&died))?
            .map_err(|error| Unmoved {
                why: error.kind(),
                again: false,
            })?;
        let key = key(head.label.tenant, head.label.call);
        let (sha256, bytes) = upload(&*self.store.objects, path, &key).await?;
        let recording = Recording {
            key,
            sha256,
            bytes,
            duration_ms: summary.samples / SAMPLES_PER_MS,
            retention: head.label.retention,
            key_id: head.key_id,
            salvaged: summary.salvaged,
        };
        let note = Note {
            sha256: recording.sha256.clone(),
            bytes,
            duration_ms: recording.duration_ms,
            retention: recording.retention.clone(),
            key_id: recording.key_id.clone(),
            salvaged: recording.salvaged,
        };
        let note = serde_json::to_vec(&note).map_err(|error| Unmoved::later(&error))?;
        self.store
            .objects
            .put(&Key::from(note_key(&recording.key)), PutPayload::from(note))
            .await
            .map_err(|error| Unmoved::later(&error))?;
        let ready = Ready {
            tenant: head.label.tenant,
            call: head.label.call,
            at: self.clock.now(),
            recording: recording.clone(),
        };
        if !self.store.announce.announce(ready).await {
            return Err(Unmoved::later(&"it could not be announced"));
        }
        // One that stays is stored and announced once more at the next start, as the same.
        let _stays = tokio::fs::remove_file(path).await;
        Ok(recording)
    }
}

/// Why a recording is not where it belongs.
struct Unmoved {
    why: String,
    /// Another try may help.
    again: bool,
}

impl Unmoved {
    fn later(why: &dyn fmt::Display) -> Self {
        Self {
            why: why.to_string(),
            again: true,
        }
    }
}

impl From<object_store::Error> for Unmoved {
    fn from(error: object_store::Error) -> Self {
        Self::later(&error)
    }
}

impl From<io::Error> for Unmoved {
    fn from(error: io::Error) -> Self {
        Self::later(&error)
    }
}

/// Stores a file part by part; gives the checksum and the size of what was stored.
async fn upload(objects: &dyn ObjectStore, path: &Path, key: &str) -> Result<(String, u64), Unmoved> {
    let key = Key::from(key);
    let mut file = File::open(path).await?;
    let mut sum = Sha256::new();
    let first = part(&mut file, &mut sum).await?;
    let mut bytes = first.content_length() as u64;
    if first.content_length() < PART {
        objects.put(&key, first).await?;
    } else {
        let mut parts = objects.put_multipart(&key).await?;
        let mut next = first;
        while next.content_length() > 0 {
            if let Err(error) = parts.put_part(next).await {
                // What was uploaded of it is the store's to forget.
                let _forgotten = parts.abort().await;
                return Err(error.into());
            }
            next = part(&mut file, &mut sum).await?;
            bytes += next.content_length() as u64;
        }
        parts.complete().await?;
    }
    let mut text = String::with_capacity(64);
    for byte in sum.finalize() {
        use fmt::Write as _;
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    Ok((text, bytes))
}

/// In pieces: one block as large as a part would make the allocator keep blocks of that size for ever.
async fn part(file: &mut File, sum: &mut Sha256) -> io::Result<PutPayload> {
    let (mut pieces, mut left) = (Vec::new(), PART);
    while left > 0 {
        let mut piece = BytesMut::with_capacity(PIECE.min(left));
        let read = file.take(left as u64).read_buf(&mut piece).await?;
        if read == 0 {
            break;
        }
        left -= read;
        sum.update(&piece);
        pieces.push(piece.freeze());
    }
    Ok(pieces.into_iter().collect())
}
