//! The thread that seals recordings and appends them to files on the local disk.
//!
//! A piece says where it belongs, so one that was dropped leaves silence of the right length and not a shift. What a
//! killed process left behind is found at the next start, gets the end it lacks, and is stored like any other.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use tokio::sync::mpsc;
use voice_audio::g711::Law;
use voice_lifecycle::SharedClock;
use voice_schemas::{CallId, TenantId};
use voice_telemetry::{Emit as _, Metrics};

use crate::{
    events::RecordingFailed,
    key,
    keys::KeyRing,
    sealed::{Head, LONGEST_HEAD, Label, Opened, Opener, SealError, Sealer, Summary, sealed_length},
    store::{Store, Writer},
};

/// What the files of the spool are called.
const ENDING: &str = ".rec";
/// Finished recordings that may wait for the object store; more stay on the disk until the next start.
const FINISHED_WAITING: usize = 16_384;
/// Silence is sealed in stretches of this many bytes.
const SILENCE: usize = 1 << 16;

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
            self.damaged(piece.tenant, piece.call);
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
            self.damaged(tenant, call);
        }
    }

    fn damaged(&self, tenant: TenantId, call: CallId) {
        RecordingFailed {
            key: &key(tenant, call),
            reason: "queue_full",
            gap: true,
        }
        .emit(&self.metrics);
    }
}

/// What an operator decides about the spool.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where recordings grow.
    pub folder: PathBuf,
    /// Stretches of all calls together that may wait for the disk.
    pub waiting: usize,
    /// How long recordings may be kept, by the name of the rule.
    pub retention: String,
}

/// Opens the spool.
///
/// # Errors
/// When the folder cannot be made or read.
pub fn open(
    settings: Settings,
    store: Store,
    clock: SharedClock,
    metrics: Metrics,
) -> io::Result<(Spool, Writer)> {
    fs::create_dir_all(&settings.folder)?;
    let left = left_behind(&settings.folder)?;
    let (orders, incoming) = sync_channel(settings.waiting);
    let (done, finished) = mpsc::channel(left.len() + FINISHED_WAITING);
    for path in left {
        // The channel was made with room for all of them.
        let _fits = done.try_send(path);
    }
    let disk = Disk {
        folder: settings.folder,
        retention: settings.retention,
        keys: Arc::clone(&store.keys),
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
    Ok((spool, Writer::new(thread, finished, store, clock, metrics)))
}

fn left_behind(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(ENDING) {
            left.push(entry.path());
        }
    }
    Ok(left)
}

struct Disk {
    folder: PathBuf,
    retention: String,
    keys: Arc<KeyRing>,
    /// `None` where it could not be written: not tried again every second.
    open: HashMap<CallId, Option<Growing>>,
    done: mpsc::Sender<PathBuf>,
    metrics: Metrics,
}

struct Growing {
    file: File,
    path: PathBuf,
    sealer: Sealer,
    silence: u8,
}

impl Disk {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let (tenant, call, more) = match &order {
                Order::Write(piece) => (piece.tenant, piece.call, true),
                Order::Close { tenant, call, .. } => (*tenant, *call, false),
            };
            if let Err(error) = self.carry_out(order) {
                if more {
                    self.open.insert(call, None);
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
            Order::Write(piece) => match self.growing(piece.tenant, piece.call, piece.law)? {
                Some(growing) => {
                    growing.fill(piece.offset)?;
                    growing.append(&piece.codes)
                }
                None => Ok(()),
            },
            Order::Close {
                tenant,
                call,
                law,
                samples,
            } => {
                self.growing(tenant, call, law)?;
                let Some(Some(mut growing)) = self.open.remove(&call) else {
                    return Ok(());
                };
                growing.fill(samples)?;
                let path = growing.finish()?;
                self.done.try_send(path).map_err(|_| {
                    // It stays for the next start.
                    io::Error::from(io::ErrorKind::StorageFull)
                })
            }
        }
    }

    fn growing(&mut self, tenant: TenantId, call: CallId, law: Law) -> io::Result<Option<&mut Growing>> {
        use std::collections::hash_map::Entry;
        match self.open.entry(call) {
            Entry::Occupied(open) => Ok(open.into_mut().as_mut()),
            Entry::Vacant(vacant) => {
                let label = Label {
                    tenant,
                    call,
                    law,
                    retention: self.retention.clone(),
                };
                let path = self.folder.join(format!("{}.{}{ENDING}", tenant.0, call.0));
                let (sealer, head) = Sealer::begin(&label, &self.keys).map_err(io::Error::other)?;
                // One that is still there is on its way to the store and must not be written over.
                let mut file = File::create_new(&path)?;
                file.write_all(&head)?;
                let growing = Growing {
                    file,
                    path,
                    sealer,
                    silence: law.silence(),
                };
                Ok(vacant.insert(Some(growing)).as_mut())
            }
        }
    }
}

impl Growing {
    fn append(&mut self, codes: &[u8]) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(codes.len() + 64);
        self.sealer.audio(codes, &mut sealed).map_err(io::Error::other)?;
        self.file.write_all(&sealed)
    }

    /// Silence for what is missing up to `offset`.
    fn fill(&mut self, offset: u64) -> io::Result<()> {
        let missing = offset.saturating_sub(self.sealer.samples());
        let mut missing = usize::try_from(2 * missing).map_err(io::Error::other)?;
        let silence = vec![self.silence; missing.min(SILENCE)];
        while missing > 0 {
            let stretch = silence.get(..missing.min(SILENCE)).unwrap_or_default();
            self.append(stretch)?;
            missing -= stretch.len();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<PathBuf> {
        let mut last = Vec::new();
        self.sealer.finish(false, &mut last).map_err(io::Error::other)?;
        self.file.write_all(&last)?;
        self.file.sync_data()?;
        Ok(self.path)
    }
}

/// Why a file that was left behind cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SalvageError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sealed(#[from] SealError),
}

impl SalvageError {
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Io(error) => error.kind().to_string(),
            Self::Sealed(error) => error.kind().to_owned(),
        }
    }
}

/// Reads a file of the spool to its end, and gives it one where it has none: a frame that was half written is cut
/// away, and the last frame follows the last whole one.
pub(crate) fn salvage(path: &Path, keys: &KeyRing) -> Result<(Head, Summary), SalvageError> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut start = Vec::new();
    (&mut file).take(LONGEST_HEAD as u64).read_to_end(&mut start)?;
    let head = Head::parse(&start)?;
    let mut opener = Opener::new(&head, keys)?;
    let mut whole = head.length as u64;
    file.seek(SeekFrom::Start(whole))?;
    let mut reader = io::BufReader::with_capacity(SILENCE, &file);
    let mut sealed = Vec::new();
    while let Ok(word) = read_word(&mut reader) {
        let Ok(length) = sealed_length(word) else { break };
        sealed.resize(length, 0);
        if reader.read_exact(&mut sealed).is_err() {
            break;
        }
        match opener.open(word, &mut sealed) {
            Ok(Opened::Audio(_)) => whole += (word.len() + length) as u64,
            Ok(Opened::End(summary)) => return Ok((head, summary)),
            Err(_) => break,
        }
    }
    drop(reader);
    file.set_len(whole)?;
    file.seek(SeekFrom::End(0))?;
    let mut last = Vec::new();
    let summary = opener.into_sealer().finish(true, &mut last)?;
    file.write_all(&last)?;
    file.sync_data()?;
    Ok((head, summary))
}

fn read_word(reader: &mut impl io::Read) -> io::Result<[u8; 4]> {
    let mut word = [0; 4];
    reader.read_exact(&mut word)?;
    Ok(word)
}
