//! Brings a file of people into a list, in batches that commit with their counters.
//!
//! The place in the file, the counters, the contacts and the length of the error file change in one
//! transaction per batch, and the transaction checks that it starts where the last one ended. So an import that
//! was killed anywhere, or whose last commit was not confirmed, goes on exactly there: the same command with
//! the same file finds the unfinished import by the file's SHA-256.

mod error_file;
mod reader;
mod resolve;
mod store;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use encoding_rs::Encoding;
use error_file::ErrorFile;
use reader::{Batch, Reader};
use resolve::{Decision, Known, Seen, resolve};
use serde_json::{Value, json};
use store::{Changes, Position};
use tokio::sync::mpsc;
use uuid::Uuid;
use voice_lifecycle::SharedClock;
use voice_postgres::{Database, TenantTx};
use voice_resilience::RetryPolicy;
use voice_schemas::TenantId;
use voice_telephony::PhoneTokenKey;

use crate::{
    Candidate, Code, Columns, Counters, Error, Numbers, Outcome, Reading, Region, Remark, Result, Told,
    file::{
        FileError, beginning,
        evidence::{Evidence, examine},
        records::{Found, Records, Row},
        sniff,
    },
    lists::{self, List},
};

/// Rows of a batch.
pub const BATCH_ROWS: usize = 5_000;
/// Rows of the table of rejected rows, for one import. The error file has all of them.
pub const KEPT_ROWS: i32 = 10_000;
/// Rows the columns are decided from.
const SAMPLE_ROWS: usize = 200;
/// A database that is away for half a minute is waited for.
const RETRIES: RetryPolicy = RetryPolicy::full_jitter(Duration::from_millis(200), Duration::from_secs(8), 8);

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file.
    pub path: PathBuf,
    /// The id of a list, or its name; a list with a new name is made.
    pub list: String,
    /// Where numbers without `+` are from.
    pub region: Option<Region>,
    /// Columns told by hand.
    pub told: Vec<Told>,
    /// What separates cells, when it is not to be found out.
    pub delimiter: Option<u8>,
    /// How the file is written, when it is not to be found out.
    pub encoding: Option<&'static Encoding>,
    /// Count everything, write nothing.
    pub dry_run: bool,
    /// Where to say what was not taken.
    pub errors: Option<PathBuf>,
    /// Rows of a batch; [`BATCH_ROWS`] outside of tests.
    pub batch_rows: usize,
}

impl Request {
    /// An import of this file into this list, everything else to be found out.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, list: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            list: list.into(),
            region: None,
            told: Vec::new(),
            delimiter: None,
            encoding: None,
            dry_run: false,
            errors: None,
            batch_rows: BATCH_ROWS,
        }
    }
}

/// How a file is read: what was told and what was found out.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// Its name without folders.
    pub file_name: String,
    /// Its encoding.
    pub encoding: &'static Encoding,
    /// What separates its cells.
    pub delimiter: u8,
    /// Its columns.
    pub columns: Columns,
    mapping: Value,
    options: Value,
}

/// What became of a row that has remarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryOutcome {
    Invalid,
    Duplicate,
    Suppressed,
    /// The row was taken, without the value.
    Noted,
}

impl EntryOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Suppressed => "suppressed",
            Self::Noted => "noted",
        }
    }
}

/// A line of the error file.
#[derive(Clone, Debug)]
struct Entry {
    remark: Remark,
    outcome: EntryOutcome,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What became of the rows so far.
    pub counters: Counters,
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Bytes of the file.
    pub of_bytes: u64,
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id; none for a dry run.
    pub import: Option<Uuid>,
    /// What became of the rows.
    pub counters: Counters,
    /// How often each code was given.
    pub faults: BTreeMap<Code, u64>,
    /// Why the import failed: `no_rows` or `no_valid_rows`.
    pub failure: Option<&'static str>,
}

/// An import under way. Dropping it leaves it to be continued.
pub struct Import {
    database: Database,
    tenant: TenantId,
    clock: SharedClock,
    id: Uuid,
    /// None in a dry run into a list that does not exist yet.
    list: Option<List>,
    setup: Setup,
    dry_run: bool,
    resumed: bool,
    position: Position,
    /// In a dry run, everybody named so far.
    seen: Seen,
    errors: Option<ErrorFile>,
    batches: mpsc::Receiver<Result<Batch, FileError>>,
}

impl Import {
    /// Looks at the file, finds or begins the import and starts reading. Worker or API role.
    ///
    /// # Errors
    /// When the file, its columns, the list or the error file are not usable, or the database fails.
    pub async fn open(
        database: &Database,
        tenant: TenantId,
        key: PhoneTokenKey,
        request: Request,
        clock: SharedClock,
    ) -> Result<Self> {
        let numbers = Numbers::new(Arc::new(key), request.region);
        let looking = {
            let (request, numbers) = (request.clone(), numbers.clone());
            move || look(&request, &numbers)
        };
        let setup = tokio::task::spawn_blocking(looking)
            .await
            .map_err(|_| Error::ReaderDied)??;
        if let Some(errors) = &request.errors
            && same_file(errors, &request.path).await
        {
            return Err(Error::ErrorFileIsTheFile);
        }
        let mut tx = database.tenant(tenant).await?;
        let list = find_list(&mut tx, &request).await?;
        let (id, resumed, position) = match &list {
            Some(list) if !request.dry_run => begin_or_continue(&mut tx, list, &setup).await?,
            _ => (Uuid::now_v7(), false, Position::default()),
        };
        tx.commit().await?;
        let errors = match &request.errors {
            Some(path) => Some(ErrorFile::open(path, position.errors_bytes).await?),
            None => None,
        };
        let reader = Reader {
            path: request.path,
            encoding: setup.encoding,
            delimiter: setup.delimiter,
            has_header: setup.columns.has_header,
            columns: Arc::new(setup.columns.columns.clone()),
            numbers,
            file_bytes: setup.bytes,
            batch_rows: request.batch_rows.max(1),
            now: clock.now(),
        };
        let mut import = Self {
            database: database.clone(),
            tenant,
            clock,
            id,
            list,
            setup,
            dry_run: request.dry_run,
            resumed,
            batches: reader.start(position.counters.read()),
            position,
            seen: Seen::default(),
            errors,
        };
        // From here on the error file is what the counters say, also when no row is bad.
        import.position.errors_bytes = import.write_errors(&[]).await?;
        Ok(import)
    }

    /// How the file is read.
    #[must_use]
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Whether an earlier run began it.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress {
            counters: self.position.counters,
            bytes: self.position.bytes,
            of_bytes: self.setup.bytes,
        }
    }

    /// Takes the next batch; false when there is none left. When it fails the import can be opened again.
    ///
    /// # Errors
    /// When the file or the error file cannot be used, somebody else continues the import, or the database
    /// fails longer than it is waited for.
    pub async fn step(&mut self) -> Result<bool> {
        let Some(batch) = self.batches.recv().await else {
            return Ok(false);
        };
        let batch = batch?;
        let list = self.list.clone();
        match list.filter(|_| !self.dry_run) {
            None => self.count(&batch).await?,
            Some(list) => {
                let mut waits = RETRIES.backoff(self.id.as_u128() as u64);
                loop {
                    match self.apply(&batch, &list).await {
                        Err(Error::Database(error)) if error.is_transient() => match waits.next() {
                            Some(wait) => tokio::time::sleep(wait).await,
                            None => return Err(error.into()),
                        },
                        done => break done?,
                    }
                }
            }
        }
        Ok(true)
    }

    /// Ends the import. An import that took no row has failed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(self) -> Result<Report> {
        let counters = self.position.counters;
        let failure = match counters.read() {
            0 => Some("no_rows"),
            read if read == counters.invalid => Some("no_valid_rows"),
            _ => None,
        };
        if !self.dry_run {
            let mut tx = self.database.tenant(self.tenant).await?;
            store::finish(&mut tx, self.id, failure).await?;
            tx.commit().await?;
        }
        let import = (!self.dry_run).then_some(self.id);
        Ok(Report {
            import,
            counters,
            faults: self.position.faults,
            failure,
        })
    }

    /// A batch of a dry run.
    async fn count(&mut self, batch: &Batch) -> Result<()> {
        let mut tx = self.database.tenant(self.tenant).await?;
        let known = store::known(&mut tx, self.list.as_ref(), &people(batch), self.clock.now()).await?;
        tx.rollback().await?;
        let judged = judge(batch, &known, &mut self.seen, self.id);
        self.position.errors_bytes = self.write_errors(&judged.entries).await?;
        judged.count(&mut self.position);
        self.position.bytes = batch.bytes;
        Ok(())
    }

    /// A batch in its transaction.
    async fn apply(&mut self, batch: &Batch, list: &List) -> Result<()> {
        let mut tx = self.database.tenant(self.tenant).await?;
        store::take_turn(&mut tx).await?;
        let found = store::position(&mut tx, self.id).await?.ok_or(Error::TakenOver)?;
        let (read, end) = (
            self.position.counters.read(),
            self.position.counters.read() + batch.rows.len() as u64,
        );
        if found.counters.read() == end && end > read {
            // The commit of an earlier try arrived, its confirmation did not.
            self.position = found;
            return Ok(());
        }
        if found.counters.read() != read {
            return Err(Error::TakenOver);
        }
        let known = store::known(&mut tx, Some(list), &people(batch), self.clock.now()).await?;
        let judged = judge(batch, &known, &mut Seen::default(), self.id);
        store::write(&mut tx, self.id, list, &judged.changes).await?;
        let mut position = self.position.clone();
        let room = usize::try_from(KEPT_ROWS - position.kept)
            .unwrap_or(0)
            .min(judged.entries.len());
        store::keep(
            &mut tx,
            self.id,
            position.kept,
            &judged.entries[..room],
            &self.setup.columns.columns,
        )
        .await?;
        position.kept += i32::try_from(room).unwrap_or(0);
        position.errors_bytes = self.write_errors(&judged.entries).await?;
        position.bytes = batch.bytes;
        judged.count(&mut position);
        store::advance(&mut tx, self.id, &position).await?;
        tx.commit().await?;
        self.position = position;
        Ok(())
    }

    async fn write_errors(&mut self, entries: &[Entry]) -> Result<u64> {
        let committed = self.position.errors_bytes;
        match &mut self.errors {
            Some(errors) => {
                errors
                    .write(committed, entries, &self.setup.columns.columns)
                    .await
            }
            None => Ok(committed),
        }
    }
}

/// Everything at once; `progress` is told after every batch.
///
/// # Errors
/// See [`Import::open`], [`Import::step`] and [`Import::finish`].
pub async fn run(mut import: Import, mut progress: impl FnMut(Progress)) -> Result<Report> {
    progress(import.progress());
    while import.step().await? {
        progress(import.progress());
    }
    import.finish().await
}

fn people(batch: &Batch) -> Vec<&Candidate> {
    let rows = batch.rows.iter();
    rows.filter_map(|(reading, _)| match reading {
        Reading::Person(person) => Some(&**person),
        Reading::Invalid => None,
    })
    .collect()
}

/// What is to be done with the rows of a batch.
#[derive(Default)]
struct Judged<'a> {
    counters: Counters,
    entries: Vec<Entry>,
    changes: Changes<'a>,
}

impl Judged<'_> {
    fn count(&self, position: &mut Position) {
        position.counters += self.counters;
        for entry in &self.entries {
            *position.faults.entry(entry.remark.code).or_default() += 1;
        }
    }
}

fn judge<'a>(batch: &'a Batch, known: &Known, seen: &mut Seen, import: Uuid) -> Judged<'a> {
    let mut judged = Judged::default();
    for (reading, remarks) in &batch.rows {
        let (outcome, entry_outcome, own) = match reading {
            Reading::Invalid => (Outcome::Invalid, EntryOutcome::Invalid, None),
            Reading::Person(person) => {
                let decision = resolve(person, known, seen, import);
                let outcome = decision.outcome();
                let whole = |code| {
                    Some(Remark {
                        line: person.line,
                        column: None,
                        code,
                        masked: None,
                    })
                };
                let (entry_outcome, own) = match decision {
                    Decision::Create => {
                        judged.changes.created.push((Uuid::now_v7(), person));
                        (EntryOutcome::Noted, None)
                    }
                    Decision::Update(id, change) => {
                        judged.changes.updated.push((id, person, change));
                        (EntryOutcome::Noted, None)
                    }
                    Decision::Unchanged(id) => {
                        judged.changes.unchanged.push(id);
                        (EntryOutcome::Noted, None)
                    }
                    Decision::InFileDuplicate => (EntryOutcome::Duplicate, whole(Code::DuplicateInFile)),
                    Decision::Suppressed => (EntryOutcome::Suppressed, whole(Code::Suppressed)),
                };
                (outcome, entry_outcome, own)
            }
        };
        judged.counters.count(outcome);
        match own {
            // Single cells do not matter in a row that was not taken.
            Some(remark) => judged.entries.push(Entry {
                remark,
                outcome: entry_outcome,
            }),
            None => judged.entries.extend(remarks.iter().map(|remark| Entry {
                remark: remark.clone(),
                outcome: entry_outcome,
            })),
        }
    }
    judged
}

async fn find_list(tx: &mut TenantTx, request: &Request) -> Result<Option<List>> {
    let name = request.list.trim();
    let mut list = lists::find(tx, name).await?;
    if list.is_none() {
        let is_id = name.parse::<voice_schemas::ListId>().is_ok();
        if is_id || name.is_empty() || name.chars().count() > 200 {
            return Err(Error::NoList(name.to_owned()));
        }
        if !request.dry_run {
            lists::create(tx, name).await?;
            list = lists::find(tx, name).await?;
        }
    }
    match list {
        Some(list) if !list.is_static => Err(Error::DynamicList(name.to_owned())),
        list => Ok(list),
    }
}

async fn begin_or_continue(tx: &mut TenantTx, list: &List, setup: &Setup) -> Result<(Uuid, bool, Position)> {
    // Two processes that begin the same import take turns here, and the second one continues it.
    store::take_turn(tx).await?;
    match store::unfinished(tx, list, setup).await? {
        Some((id, true)) => {
            let position = store::position(tx, id).await?.ok_or(Error::TakenOver)?;
            return Ok((id, true, position));
        }
        // Begun with another mapping or region: what it wrote stays, and is found again as known contacts.
        Some((id, false)) => store::finish(tx, id, Some("superseded")).await?,
        None => {}
    }
    let id = Uuid::now_v7();
    store::begin(tx, id, list, setup).await?;
    Ok((id, false, Position::default()))
}

/// Reads the whole file once, and its beginning again as rows.
fn look(request: &Request, numbers: &Numbers) -> Result<Setup> {
    let Evidence {
        sha256,
        bytes,
        encoding,
    } = examine(&request.path, request.encoding, request.region)?;
    let (sample, complete) = beginning(&request.path, encoding)?;
    let delimiter = request
        .delimiter
        .unwrap_or_else(|| sniff::delimiter(&sample, complete));
    let mut records = Records::open(&request.path, encoding, delimiter).map_err(FileError::from)?;
    let (mut row, mut rows) = (Row::default(), Vec::new());
    while rows.len() < SAMPLE_ROWS {
        match records.next(&mut row).map_err(FileError::from)? {
            Some(Found::Row) => rows.push(row.cells().map(str::to_owned).collect()),
            Some(_) => {}
            None => break,
        }
    }
    if rows.is_empty() {
        return Err(FileError::Empty.into());
    }
    let columns = Columns::plan(&rows, &request.told, numbers)?;
    let name = request.path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Setup {
        sha256,
        bytes,
        file_name: name.chars().take(255).collect(),
        encoding,
        delimiter,
        mapping: json!(columns.columns),
        options: json!({
            "encoding": encoding.name(),
            "delimiter": char::from(delimiter).to_string(),
            "has_header": columns.has_header,
            "region": request.region.map(|region| region.code()),
        }),
        columns,
    })
}

async fn same_file(one: &std::path::Path, other: &std::path::Path) -> bool {
    match (
        tokio::fs::canonicalize(one).await,
        tokio::fs::canonicalize(other).await,
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
