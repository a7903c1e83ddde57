//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use url::Url;

/// Voice by Kraliki: an AI call-centre platform.
#[derive(Debug, Parser)]
#[command(
    name = "voice",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Roles run until they are told to stop; commands do one thing and end.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every role in one process.
    All,
    /// Run the way in: webhooks of the carriers and events of trusted producers, to Kafka.
    Ingest,
    /// Run campaigns: pace them, judge every dial, ask the carriers, handle answers.
    Dialer,
    /// Run calls with AI agents: carriers' audio to AI providers and back.
    Media,
    /// Run Kafka to ClickHouse, the roll-ups and the call watchdog.
    Analytics,
    /// Run schedules and report jobs, and the outbox relay.
    Scheduler,
    /// Bring Postgres and ClickHouse to the schema of this release.
    Migrate,
    /// Create the topics, or show what they hold.
    Topics {
        /// What to do with them.
        #[command(subcommand)]
        action: TopicsAction,
    },
    /// Start and pause campaigns, and ask why a contact is not called.
    Campaign {
        /// What to do.
        #[command(subcommand)]
        action: CampaignAction,
    },
    /// Bring people into a list, or keep numbers from being called.
    Contacts {
        /// What to do.
        #[command(subcommand)]
        action: ContactsAction,
    },
    /// Bring in what the company knows, and see what AI agents find in it.
    Knowledge {
        /// What to do.
        #[command(subcommand)]
        action: KnowledgeAction,
    },
    /// Show what was recorded, make a file to listen to, or destroy what may be kept no longer.
    Recordings {
        /// What to do.
        #[command(subcommand)]
        action: RecordingsAction,
    },
    /// Say everything that is wrong: settings, stores, schema, topics.
    Check,
    /// Compare Kafka with ClickHouse: duplicates, gaps, calls without an end.
    Audit {
        /// Write the figures as JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Look at what could not be processed, or process it again.
    DeadLetters {
        /// What to do with them.
        #[command(subcommand)]
        action: DeadLettersAction,
    },
    /// Play a whole shift of calls through the platform, then dial a campaign, and check that nothing was lost or doubled.
    Demo(DemoArgs),
    /// Measure the platform beside its peers.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        bench: Bench,
    },
}

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicsAction {
    /// Create what is missing and bring the rest to the catalogue.
    Apply {
        /// Copies of every topic.
        #[arg(long, default_value_t = 1)]
        replication: i32,
    },
    /// Show what each topic holds.
    List,
}

/// What to do with a campaign.
#[derive(Debug, Subcommand)]
pub enum CampaignAction {
    /// Bring its lists in and start it, or end its pause; says everything that stands against it.
    Start(CampaignArgs),
    /// Pause it: nothing of it is claimed any more once this returns. Only a person starts it again.
    Pause(CampaignArgs),
    /// Show where it stands.
    Status(CampaignArgs),
    /// Say why a contact is not called, and when it may be.
    Explain {
        /// Which campaign.
        #[command(flatten)]
        campaign: CampaignArgs,
        /// The contact: `con_…` or its UUID.
        contact: voice_schemas::ContactId,
    },
    /// Count its contacts by where they stand.
    Funnel(CampaignArgs),
    /// Stop all dialling of a tenant at once, or of everybody.
    Stop {
        /// The tenant's short name; everybody when absent.
        #[arg(long)]
        tenant: Option<String>,
        /// Why, for whoever finds the switch thrown.
        #[arg(long)]
        reason: String,
    },
    /// Take a stop back.
    Allow {
        /// The tenant's short name; everybody when absent.
        #[arg(long)]
        tenant: Option<String>,
    },
}

/// A campaign of a tenant.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// The tenant's short name.
    #[arg(long)]
    pub tenant: String,
    /// The campaign: `cmp_…` or its UUID.
    pub campaign: voice_schemas::CampaignId,
}

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersAction {
    /// Show them, oldest first.
    List(Selection),
    /// Process them again: records go to their topic, requests through ingest.
    Replay(Selection),
}

/// What to do with recordings.
#[derive(Debug, Subcommand)]
pub enum RecordingsAction {
    /// Show those of a tenant, the oldest first.
    List {
        /// The tenant's short name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Open one and write it as a WAV file: the caller left, the agent right.
    Fetch {
        /// The call: `call_…` or its UUID.
        call: voice_schemas::CallId,
        /// The tenant's short name or id.
        #[arg(long)]
        tenant: String,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
    },
    /// Destroy those that media.recording.keep_days keeps no longer, and say how many. The scheduler does so every hour.
    Expire {
        /// Only those of this tenant, by its short name or id.
        #[arg(long)]
        tenant: Option<String>,
        /// Count everything and destroy nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Keep one, however long its rule keeps it, until it is released.
    Hold {
        /// The call: `call_…` or its UUID.
        call: voice_schemas::CallId,
        /// The tenant's short name or id.
        #[arg(long)]
        tenant: String,
        /// Why, for whoever finds it held. It is stored beside the recording, in the clear.
        #[arg(long)]
        reason: String,
    },
    /// Take a hold away.
    Release {
        /// The call: `call_…` or its UUID.
        call: voice_schemas::CallId,
        /// The tenant's short name or id.
        #[arg(long)]
        tenant: String,
    },
}

/// What to do with what the company knows.
#[derive(Debug, Subcommand)]
pub enum KnowledgeAction {
    /// Import articles: a file of JSON lines, a Markdown file, or a folder of these. All of it is taken, or none.
    Import(KnowledgeImportArgs),
    /// Show what is found, as it is read to a caller.
    Search(KnowledgeSearchArgs),
    /// Let an AI agent look things up in these collections, and in no others.
    Allow {
        /// The collections; none at all when absent.
        collections: Vec<String>,
        /// The tenant's short name or id.
        #[arg(long)]
        tenant: String,
        /// The AI agent: `agt_…` or its UUID.
        #[arg(long)]
        agent: voice_schemas::AgentId,
    },
}

/// Which articles, and where to.
#[derive(Debug, Args)]
pub struct KnowledgeImportArgs {
    /// JSON lines (`{"id", "title", "body", "language"}` each), a Markdown file, or a folder of them.
    pub path: PathBuf,
    /// The tenant's short name or id.
    #[arg(long)]
    pub tenant: String,
    /// What AI agents are allowed as a whole: small letters, digits, dashes.
    #[arg(long, default_value = "general")]
    pub collection: String,
    /// Of articles that name none: two or three letters. `returns.es.md` names one.
    #[arg(long, default_value = "en")]
    pub language: String,
    /// Take out what the collection has and the import has not.
    #[arg(long)]
    pub prune: bool,
    /// Count everything and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What to look up.
#[derive(Debug, Args)]
pub struct KnowledgeSearchArgs {
    /// The question.
    pub question: String,
    /// The tenant's short name or id.
    #[arg(long)]
    pub tenant: String,
    /// Only in these collections, with commas; in all when absent.
    #[arg(long, value_delimiter = ',', conflicts_with = "agent")]
    pub collection: Vec<String>,
    /// Only what this AI agent may find: `agt_…` or its UUID.
    #[arg(long)]
    pub agent: Option<voice_schemas::AgentId>,
}

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub enum ContactsAction {
    /// Import a CSV file. Killed in the middle, the same command goes on; docs/contacts.md explains the counters.
    Import(ImportArgs),
    /// Keep numbers from being called. They are read from a file, one a line.
    Suppress(SuppressArgs),
    /// Load a register of people who do not want calls, or the answer of a look-up in one. Numbers are read from a file,
    /// one a line; the last load stays in use until this one is complete.
    Register(RegisterArgs),
}

/// Which register, as of when.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// A file with one number a line; with `--looked-up`, each followed by a comma and `yes` or `no`.
    pub file: PathBuf,
    /// The tenant's short name or id.
    #[arg(long)]
    pub tenant: String,
    /// The register, as the rules call it: us-dnc, gb-tps, gb-ctps, fr-bloctel, ca-dncl, es-robinson.
    #[arg(long)]
    pub list: String,
    /// As of when: RFC 3339, such as 2026-11-01T00:00:00Z. After some weeks the rules take it for not asked.
    #[arg(long)]
    pub taken: chrono::DateTime<chrono::Utc>,
    /// The file says something about its own numbers only, and is not the whole register.
    #[arg(long)]
    pub looked_up: bool,
    /// Where numbers without `+` are from: two letters, `US`.
    #[arg(long)]
    pub region: Option<String>,
}

/// What to import, and how.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file. Delimiter, encoding and columns are found out.
    pub file: PathBuf,
    /// The tenant's short name or id.
    #[arg(long)]
    pub tenant: String,
    /// The list's name or id; a list with a new name is made.
    #[arg(long)]
    pub list: String,
    /// Where numbers without `+` are from: two letters, `CZ`.
    #[arg(long)]
    pub region: Option<String>,
    /// What a column is: `heading=field`, or `#3=field` for the third one. Several with commas.
    #[arg(long, value_delimiter = ',')]
    pub mapping: Vec<String>,
    /// Count everything and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Write what was not taken to this file: line, column, code, and the shape of the value.
    #[arg(long)]
    pub errors: Option<PathBuf>,
    /// What separates cells, when it is found out wrongly: one character, or `tab`.
    #[arg(long)]
    pub delimiter: Option<String>,
    /// How the file is written, when it is found out wrongly: `windows-1250`.
    #[arg(long)]
    pub encoding: Option<String>,
}

/// Which numbers to keep from being called.
#[derive(Debug, Args)]
pub struct SuppressArgs {
    /// A file with one number a line; `-` is standard input.
    pub file: PathBuf,
    /// The tenant's short name or id.
    #[arg(long)]
    pub tenant: String,
    /// Why: opt_out, withdrawn, do_not_call_list, complaint, wrong_number, erased or other.
    #[arg(long)]
    pub reason: String,
    /// Only for this campaign.
    #[arg(long)]
    pub campaign: Option<String>,
    /// For so many days; for good when absent.
    #[arg(long)]
    pub days: Option<u32>,
    /// Where numbers without `+` are from: two letters, `CZ`.
    #[arg(long)]
    pub region: Option<String>,
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct Selection {
    /// Only those with this code.
    #[arg(long)]
    pub code: Option<String>,
    /// Only those of this stage.
    #[arg(long)]
    pub stage: Option<String>,
    /// Only this one: `partition@offset`, as the list shows it.
    #[arg(long)]
    pub at: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 1_000)]
    pub limit: usize,
}

/// The shift to play and the campaign to dial.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many calls the shift has.
    #[arg(long, default_value_t = 20_000)]
    pub calls: u64,
    /// Equal seeds play the same shift.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where the report files are copied.
    #[arg(long, default_value = ".local/demo-reports")]
    pub out: PathBuf,
    /// Rows of the list of people of the live campaign; 0 plays the shift alone.
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(0..=5_000))]
    pub contacts: u32,
    /// People who work for it.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub agents: u32,
    /// The share of the people on the list who agreed to talk to an AI agent. Only where all did does pacing count on
    /// AI agents; else people are kept less busy, so that nobody is abandoned.
    #[arg(long, default_value_t = 1.0)]
    pub ai_consent: f64,
    /// Where the people on the list live: us-east, gb, us-hi or gu; where it is lawful to call now when absent.
    #[arg(long)]
    pub place: Option<String>,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Webhooks per second and processor time per webhook, beside FastAPI and aiokafka.
    Ingest(BenchArgs),
    /// Rows per second from Kafka to ClickHouse, beside ClickHouse's own Kafka engine.
    Sink(BenchArgs),
    /// Whole attempts a second: claimed, judged, dialled, answered, ended and in ClickHouse.
    Dial(DialArgs),
    /// Agents kept busy and people abandoned on virtual shifts, beside other policies and the exact optimum.
    Pacing(PacingArgs),
    /// Calls that one core bridges to an AI provider, beside Pipecat; or memory over an hour of calls.
    Media(MediaArgs),
    /// Draw docs/benchmarks.md from the files in docs/benchmarks.
    Docs,
    /// A process of a bench: a server to be measured, or who asks it.
    #[command(hide = true)]
    Part {
        /// Which one.
        #[command(subcommand)]
        part: BenchPart,
    },
}

/// How to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Repetitions; medians are reported.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Events or webhooks per repetition.
    #[arg(long)]
    pub events: Option<u64>,
    /// Also write the figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// How much to dial.
#[derive(Debug, Args)]
pub struct DialArgs {
    /// How long to measure.
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
    /// People in all lists together; each is called once.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    pub contacts: u64,
    /// Campaigns that share them.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub campaigns: u32,
    /// Also write the figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Which virtual shifts to play. A thousand seeds of the ordinary shift: `--seeds 1000 --scenario R1`.
#[derive(Debug, Args)]
pub struct PacingArgs {
    /// Shifts per scenario and team size.
    #[arg(long, default_value_t = 8)]
    pub seeds: u64,
    /// The first seed; equal seeds play the same shifts.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only these, with commas: `M1,R1`.
    #[arg(long, value_delimiter = ',')]
    pub scenario: Vec<String>,
    /// Also write the figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// How to measure media workers.
#[derive(Debug, Args)]
pub struct MediaArgs {
    /// Repetitions; medians are reported.
    #[arg(long, default_value_t = 2)]
    pub runs: usize,
    /// How long each number of calls is measured.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// Instead: calls that begin and end all the time, and what becomes of the worker's memory.
    #[arg(long)]
    pub soak: bool,
    /// Calls at a time.
    #[arg(long, default_value_t = 200, requires = "soak")]
    pub calls: usize,
    /// How long.
    #[arg(long, default_value_t = 60, requires = "soak")]
    pub minutes: u64,
    /// Also write the figures to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// The processes of the benches.
#[derive(Debug, Subcommand)]
pub enum BenchPart {
    /// Those of the ingest bench.
    #[command(flatten)]
    Ingest(IngestPart),
    /// Those of the media bench.
    #[command(flatten)]
    Media(MediaPart),
}

/// The processes of the media bench.
#[derive(Debug, Subcommand)]
pub enum MediaPart {
    /// A media worker with one lane.
    MediaWorker(MediaWorkerArgs),
    /// Callers and the AI provider.
    MediaRig,
}

/// What a media worker of the bench is given.
#[derive(Debug, Args)]
pub struct MediaWorkerArgs {
    /// Where the provider is: `wss://localhost:443`.
    #[arg(long)]
    pub provider: Url,
    /// The provider's certificate in Base64.
    #[arg(long)]
    pub certificate: String,
    /// Where recordings grow, and where they are stored.
    #[arg(long)]
    pub folder: PathBuf,
    /// Delete recordings as soon as they are stored: hours of them do not fit on a disk.
    #[arg(long)]
    pub forget: bool,
}

/// The processes of the ingest bench.
#[derive(Debug, Subcommand)]
pub enum IngestPart {
    /// The ingest service with two accounts of its own.
    Service,
    /// A handler that checks the signature, appends the body and answers, and no more.
    Floor,
    /// The carriers.
    Carrier(CarrierArgs),
}

/// What the carriers of the ingest bench send.
#[derive(Debug, Args)]
pub struct CarrierArgs {
    /// Where the server listens: `127.0.0.1:8080`.
    #[arg(long)]
    pub at: String,
    /// `telnyx` or `twilio`.
    #[arg(long)]
    pub carrier: String,
    /// Webhooks.
    #[arg(long)]
    pub count: u64,
    /// The number of the first one; equal numbers are the same webhook.
    #[arg(long)]
    pub first: u64,
    /// Webhooks per second; as fast as they are answered when absent.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
}
