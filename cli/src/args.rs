//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Play a whole shift of calls through the platform and check that nothing was lost or doubled.
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

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersAction {
    /// Show them, oldest first.
    List(Selection),
    /// Process them again: records go to their topic, requests through ingest.
    Replay(Selection),
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

/// The shift to play.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many calls.
    #[arg(long, default_value_t = 20_000)]
    pub calls: u64,
    /// Equal seeds play the same shift.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where the report files are copied.
    #[arg(long, default_value = ".local/demo-reports")]
    pub out: PathBuf,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Webhooks per second and processor time per webhook, beside FastAPI and aiokafka.
    Ingest(BenchArgs),
    /// Rows per second from Kafka to ClickHouse, beside ClickHouse's own Kafka engine.
    Sink(BenchArgs),
    /// Draw docs/benchmarks.md from the files in docs/benchmarks.
    Docs,
    /// A process of the ingest bench: a server to be measured, or who asks it.
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

/// The processes of the ingest bench.
#[derive(Debug, Subcommand)]
pub enum BenchPart {
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
