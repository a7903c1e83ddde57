//! Everybody but who is measured, in one process on one core: callers and the AI provider. They share a clock, so the
//! way through the worker is timed for what is known again on the other side; what this process takes is in the figures.
//!
//! Orders come as lines of JSON, and each is answered by one.

mod callers;
mod marker;
mod provider;
pub mod sheet;

use std::{io::Write as _, sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::TimeDelta;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use voice_lifecycle::{Clock as _, SystemClock};
use voice_schemas::{AgentId, CallId, TenantId};
use voice_telephony::media::{Duties, StreamKey, StreamPurpose, StreamTokens};

use self::sheet::{Noted, Sheet};
use super::climb::Row;
use crate::commands::bench::process::{processor_time, resident};

/// Until everybody has found their pace.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a call of a soak lasts, in milliseconds.
const CALL_MS: std::ops::Range<u64> = 20_000..120_000;
/// How long a caller of a soak waits before the next call.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the last calls may take to end.
const ENDING: Duration = Duration::from_secs(15);

/// Where the provider is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Over TLS.
    pub secure: String,
    /// Without.
    pub plain: String,
    /// Whom to believe, in Base64.
    pub certificate: String,
}

/// What calls of a worker are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Both sides speak µ-law; nothing is recorded.
    PassThrough,
    /// The provider speaks PCM at 24 kHz; everything is recorded.
    Transcoded,
    /// Every other call is of the one kind, the rest of the other; everything is recorded.
    Mixed,
}

impl Wish {
    /// What a call asks for.
    const fn of(self, number: usize) -> &'static str {
        match self {
            Self::PassThrough => "copy",
            Self::Transcoded => "convert,record",
            Self::Mixed if number.is_multiple_of(2) => "copy,record",
            Self::Mixed => "convert,record",
        }
    }
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Our worker.
    Worker {
        /// Where it listens.
        address: String,
        /// What its calls are to be.
        wish: Wish,
    },
    /// A peer that speaks Twilio's protocol and asks for no token.
    Peer {
        /// Where it listens.
        address: String,
    },
}

impl Target {
    fn address(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Worker { address, .. } => format!("ws://{address}/media/twilio/{}", token()),
            Self::Peer { address } => format!("ws://{address}/ws"),
        })
    }

    /// Frames and pieces are passed on one by one.
    const fn is_whole(&self) -> bool {
        matches!(self, Self::Worker { .. })
    }

    const fn wish(&self, number: usize) -> &'static str {
        match self {
            Self::Worker { wish, .. } => wish.of(number),
            Self::Peer { .. } => "",
        }
    }

    /// Between two calls that begin. A peer takes longer to make a pipeline than a worker to take a call.
    const fn spacing(&self) -> Duration {
        match self {
            Self::Worker { .. } => Duration::from_micros(2_700),
            Self::Peer { .. } => Duration::from_millis(150),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// From now on calls go there; answered with `null`.
    Call {
        /// Whom.
        target: Target,
        /// Its process.
        process: u32,
    },
    /// Have so many calls and measure for a while; answered with a [`Row`].
    Step {
        /// Calls; never fewer than before.
        calls: usize,
        /// How long.
        seconds: u64,
    },
    /// Have so many calls that begin and end all the time; answered with [`Churned`] when it is over.
    Churn {
        /// Calls at a time.
        calls: usize,
        /// How long.
        seconds: u64,
    },
    /// End all calls; answered with `null`.
    HangUp,
}

/// What became of calls that began and ended all the time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Churned {
    /// Calls that were carried to the end the caller wanted.
    pub carried: u64,
    /// Calls that were not.
    pub failed: u64,
    /// What was noted of all of them.
    pub noted: Noted,
}

/// A key for benches only.
pub fn tokens() -> StreamTokens {
    StreamTokens::new(StreamKey::new([1; 32]), None)
}

fn token() -> String {
    let purpose = StreamPurpose {
        tenant: TenantId::random(),
        call: CallId::random(),
        agent: AgentId::random(),
        dialled: None,
        duties: Duties::STRICTEST,
    };
    let expires = SystemClock.now() + TimeDelta::seconds(60);
    tokens().issue(&purpose, expires, rand::random())
}

/// Serves the provider and carries out orders until there are no more.
pub fn run() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let sheet = Arc::new(Sheet::default());
            say(&provider::serve(Arc::clone(&sheet)).await?)?;
            let mut orders = BufReader::new(tokio::io::stdin()).lines();
            let mut rig = Rig {
                sheet,
                target: None,
                calls: JoinSet::new(),
                number: 0,
                over: CancellationToken::new(),
            };
            while let Some(order) = orders.next_line().await? {
                match serde_json::from_str(&order)? {
                    Order::Call { target, process } => {
                        rig.target = Some((Arc::new(target), process));
                        say(&())?;
                    }
                    Order::Step { calls, seconds } => say(&rig.step(calls, seconds).await?)?,
                    Order::Churn { calls, seconds } => say(&rig.churn(calls, seconds).await?)?,
                    Order::HangUp => {
                        rig.hang_up().await;
                        say(&())?;
                    }
                }
            }
            Ok(())
        })
}

fn say(answer: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

struct Rig {
    sheet: Arc<Sheet>,
    target: Option<(Arc<Target>, u32)>,
    calls: JoinSet<bool>,
    /// The number of the next call.
    number: usize,
    over: CancellationToken,
}

impl Rig {
    async fn step(&mut self, calls: usize, seconds: u64) -> anyhow::Result<Row> {
        let (target, process) = self.target.clone().context("nobody to call")?;
        while self.number < calls {
            let (sheet, over) = (Arc::clone(&self.sheet), self.over.clone());
            self.calls
                .spawn(callers::carry(Arc::clone(&target), self.number, sheet, over));
            self.number += 1;
            sleep(target.spacing()).await;
        }
        sleep(SETTLE).await;
        let own = std::process::id();
        let before = (processor_time(process)?, processor_time(own)?);
        let began = Instant::now();
        self.sheet.begin();
        sleep(Duration::from_secs(seconds)).await;
        let noted = self.sheet.end();
        let took = began.elapsed().as_secs_f64();
        let after = (processor_time(process)?, processor_time(own)?);
        while self.calls.try_join_next().is_some() {}
        Ok(Row {
            calls,
            alive: self.calls.len(),
            core: (after.0 - before.0).as_secs_f64() / took,
            rig_core: (after.1 - before.1).as_secs_f64() / took,
            resident: resident(process)?,
            noted,
        })
    }

    async fn churn(&mut self, calls: usize, seconds: u64) -> anyhow::Result<Churned> {
        let (target, _) = self.target.clone().context("nobody to call")?;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut churned = Churned::default();
        self.sheet.begin();
        let begin = |lasts: u64, calls: &mut JoinSet<bool>, number: &mut usize, pause: Duration| {
            let (target, sheet) = (Arc::clone(&target), Arc::clone(&self.sheet));
            let over = self.over.child_token();
            let own = *number;
            *number += 1;
            calls.spawn(async move {
                sleep(pause).await;
                let timer = over.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(lasts)).await;
                    timer.cancel();
                });
                callers::carry(target, own, sheet, over).await
            });
        };
        for place in 0..calls {
            // The first calls are under way already: some end soon, some late.
            let pause = Duration::from_millis(place as u64 * 10);
            begin(
                rng.random_range(1_000..CALL_MS.end),
                &mut self.calls,
                &mut self.number,
                pause,
            );
        }
        while let Ok(Some(ended)) = tokio::time::timeout_at(end, self.calls.join_next()).await {
            if ended? {
                churned.carried += 1;
            } else {
                churned.failed += 1;
            }
            begin(
                rng.random_range(CALL_MS),
                &mut self.calls,
                &mut self.number,
                PAUSE,
            );
        }
        churned.noted = self.sheet.end();
        Ok(churned)
    }

    async fn hang_up(&mut self) {
        self.over.cancel();
        let all = async { while self.calls.join_next().await.is_some() {} };
        if tokio::time::timeout(ENDING, all).await.is_err() {
            self.calls.shutdown().await;
        }
    }
}
