//! The thread that writes recordings to disk, and the task that moves them to the object store.
//!
//! A piece says where it belongs, so one that was dropped leaves silence of the right length and not a shift. The
//! file's name says whose it is: what a killed process left behind is found at the next start, gets the head that
//! fits its length, and is stored like any other.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, path::Path as Key};
use tokio::{io::AsyncReadExt as _, sync::mpsc};
use voice_audio::{
    g711::Law,
    recording::{HEADER, header},
};
use voice_lifecycle::CancellationToken;
use voice_schemas::{CallId, TenantId};
use voice_telemetry::{Emit as _, Metrics};

use crate::events::{Recorded, RecordingFailed};

/// Parts of an upload; the object stores want 5 MiB.
const PART: usize = 5 << 20;
/// Tries of an upload in one life of the process; the file stays for the next one.
const TRIES: u32 = 5;

/// A stretch of a recording.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whose it is.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// How it is coded.
    pub law: Law,
    /// Where it begins, in samples.
    pub offset: u64,
    /// Both channels, interleaved.
    pub codes: Vec<u8>,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Piece")
            .field("call", &self.call)
            .field("offset", &self.offset)
            .field("bytes", &self.codes.len())
            .finish_non_exhaustive()
    }
}

enum Order {
    Write(Piece),
    Close {
        tenant: TenantId,
        call: CallId,
        law: Law,
        samples: u64,
    },
}

/// A finished file on its way to the store.
#[derive(Debug)]
struct Finished {
    path: PathBuf,
    key: String,
    salvaged: bool,
}

/// Where calls hand their recordings. Clones share the thread, which ends when the last is dropped.
#[derive(Clone, Debug)]
pub struct Spool {
    orders: SyncSender<Order>,
    metrics: Metrics,
}

impl Spool {
    /// Takes a stretch without waiting. One that finds no room is lost, and silence stands in its place.
    pub fn write(&self, piece: Piece) {
        if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) =
            self.orders.try_send(Order::Write(piece))
            && let Order::Write(piece) = order
        {
            self.damaged(piece.tenant, piece.call, "queue_full", true);
        }
    }

    /// The recording is complete.
    pub fn close(&self, tenant: TenantId, call: CallId, law: Law, samples: u64) {
        let order = Order::Close {
            tenant,
            call,
            law,
            samples,
        };
        if self.orders.try_send(order).is_err() {
            // The file stays and is salvaged at the next start.
            self.damaged(tenant, call, "queue_full", true);
        }
    }

    fn damaged(&self, tenant: TenantId, call: CallId, reason: &str, gap: bool) {
        RecordingFailed {
            key: &key(tenant, call),
            reason,
            gap,
        }
        .emit(&self.metrics);
    }
}

/// Where the recording of a call is in the object store.
#[must_use]
pub fn key(tenant: TenantId, call: CallId) -> String {
    format!("recordings/{}/{}.wav", tenant.0, call.0)
}

fn file_name(tenant: TenantId, call: CallId, law: Law) -> String {
    let law = match law {
        Law::Mu => "mu",
        Law::A => "a",
    };
    format!("{}.{}.{law}.wav", tenant.0, call.0)
}

fn parse_name(name: &str) -> Option<(TenantId, CallId, Law)> {
    let mut parts = name.strip_suffix(".wav")?.split('.');
    let tenant = parts.next()?.parse().ok()?;
    let call = parts.next()?.parse().ok()?;
    let law = match parts.next()? {
        "mu" => Law::Mu,
        "a" => Law::A,
        _ => return None,
    };
    parts.next().is_none().then_some((tenant, call, law))
}

/// The two halves that are not the calls'.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
    finished: mpsc::Receiver<Finished>,
    objects: Arc<dyn ObjectStore>,
    metrics: Metrics,
}

/// Opens the spool in `folder`. At most `waiting` stretches wait for the disk.
///
/// # Errors
/// When the folder cannot be made or read.
pub fn open(
    folder: &Path,
    waiting: usize,
    objects: Arc<dyn ObjectStore>,
    metrics: Metrics,
) -> io::Result<(Spool, Writer)> {
    fs::create_dir_all(folder)?;
    let left = left_behind(folder)?;
    let (orders, incoming) = sync_channel(waiting);
    let (done, finished) = mpsc::channel(left.len().max(1_024));
    for found in left {
        // The channel was made with room for all of them.
        let _fits = done.try_send(found);
    }
    let disk = Disk {
        folder: folder.to_owned(),
        open: HashMap::new(),
        done,
        metrics: metrics.clone(),
    };
    let thread = std::thread::Builder::new()
        .name("recordings".to_owned())
        .spawn(move || disk.run(&incoming))?;
    let spool = Spool {
        orders,
        metrics: metrics.clone(),
    };
    let writer = Writer {
        thread,
        finished,
        objects,
        metrics,
    };
    Ok((spool, writer))
}

/// What a process left behind, each with the head that fits it.
fn left_behind(folder: &Path) -> io::Result<Vec<Finished>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((tenant, call, law)) = name.to_str().and_then(parse_name) else {
            continue;
        };
        let samples = entry.metadata()?.len().saturating_sub(HEADER as u64) / 2;
        let mut file = File::options().write(true).open(entry.path())?;
        file.write_all(&header(law, Some(samples)))?;
        left.push(Finished {
            path: entry.path(),
            key: key(tenant, call),
            salvaged: true,
        });
    }
    Ok(left)
}

struct Disk {
    folder: PathBuf,
    open: HashMap<CallId, Growing>,
    done: mpsc::Sender<Finished>,
    metrics: Metrics,
}

struct Growing {
    file: File,
    path: PathBuf,
    /// Samples in it.
    samples: u64,
    failed: bool,
}

impl Disk {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let (tenant, call) = match &order {
                Order::Write(piece) => (piece.tenant, piece.call),
                Order::Close { tenant, call, .. } => (*tenant, *call),
            };
            if let Err(error) = self.carry_out(order) {
                if let Some(growing) = self.open.get_mut(&call) {
                    growing.failed = true;
                }
                RecordingFailed {
                    key: &key(tenant, call),
                    reason: &error.kind().to_string(),
                    gap: false,
                }
                .emit(&self.metrics);
            }
        }
    }

    fn carry_out(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Write(piece) => {
                let growing = self.growing(piece.tenant, piece.call, piece.law)?;
                // One that failed is not tried again every second.
                if growing.failed {
                    return Ok(());
                }
                growing.fill(piece.offset, piece.law)?;
                growing.file.write_all(&piece.codes)?;
                growing.samples += piece.codes.len() as u64 / 2;
                Ok(())
            }
            Order::Close {
                tenant,
                call,
                law,
                samples,
            } => {
                self.growing(tenant, call, law)?;
                let Some(mut growing) = self.open.remove(&call) else {
                    return Ok(());
                };
                if !growing.failed {
                    growing.fill(samples, law)?;
                }
                growing.file.seek(SeekFrom::Start(0))?;
                growing.file.write_all(&header(law, Some(growing.samples)))?;
                growing.file.sync_data()?;
                let finished = Finished {
                    path: growing.path,
                    key: key(tenant, call),
                    salvaged: false,
                };
                // With nobody to take it, it stays for the next start.
                let _stays = self.done.blocking_send(finished);
                Ok(())
            }
        }
    }

    fn growing(&mut self, tenant: TenantId, call: CallId, law: Law) -> io::Result<&mut Growing> {
        if !self.open.contains_key(&call) {
            let path = self.folder.join(file_name(tenant, call, law));
            let mut file = File::create(&path)?;
            file.write_all(&header(law, None))?;
            self.open.insert(
                call,
                Growing {
                    file,
                    path,
                    samples: 0,
                    failed: false,
                },
            );
        }
        self.open
            .get_mut(&call)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Growing {
    /// Silence for what is missing up to `offset`.
    fn fill(&mut self, offset: u64, law: Law) -> io::Result<()> {
        let missing = usize::try_from(offset.saturating_sub(self.samples)).map_err(io::Error::other)?;
        if missing > 0 {
            self.file.write_all(&vec![law.silence(); 2 * missing])?;
            self.samples = offset;
        }
        Ok(())
    }
}

impl Writer {
    /// Moves finished recordings to the object store. Once `stop` is cancelled and every [`Spool`] is dropped,
    /// what is finished is still moved.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(finished) = self.finished.recv().await {
            self.store(finished, &stop).await;
        }
        // The thread has dropped its end of the channel, so it is over or will be at once.
        let _ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }

    async fn store(&self, finished: Finished, stop: &CancellationToken) {
        let Finished { path, key, salvaged } = finished;
        let mut wait = Duration::from_secs(1);
        for _ in 0..TRIES {
            match upload(&*self.objects, &path, &key).await {
                Ok(()) => {
                    Recorded { key: &key, salvaged }.emit(&self.metrics);
                    // One that stays is stored once more at the next start, under the same name.
                    let _stays = tokio::fs::remove_file(&path).await;
                    return;
                }
                Err(reason) => {
                    tracing::warn!(key, reason, "a recording could not be stored yet");
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
            wait *= 2;
        }
        RecordingFailed {
            key: &key,
            reason: "object_store",
            gap: false,
        }
        .emit(&self.metrics);
    }
}

async fn upload(objects: &dyn ObjectStore, path: &Path, key: &str) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let key = Key::from(key);
    let mut file = tokio::fs::File::open(path).await.map_err(|error| text(&error))?;
    let length = file.metadata().await.map_err(|error| text(&error))?.len();
    if length <= PART as u64 {
        let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.read_to_end(&mut whole).await.map_err(|error| text(&error))?;
        let put = objects.put(&key, PutPayload::from(whole)).await;
        return put.map(|_| ()).map_err(|error| text(&error));
    }
    let mut parts = objects.put_multipart(&key).await.map_err(|error| text(&error))?;
    loop {
        let mut part = Vec::with_capacity(PART);
        (&mut file)
            .take(PART as u64)
            .read_to_end(&mut part)
            .await
            .map_err(|error| text(&error))?;
        if part.is_empty() {
            break;
        }
        let payload = PutPayload::from(Bytes::from(part));
        if let Err(error) = parts.put_part(payload).await {
            // What was uploaded of it is the store's to forget.
            let _forgotten = parts.abort().await;
            return Err(text(&error));
        }
    }
    parts.complete().await.map(|_| ()).map_err(|error| text(&error))
}
