//! Calls the platform places at the twin, as they live: who picks up, what they hear, when they hang up, and what the
//! carrier says about all of it.
//!
//! ```text
//!  POST …/Calls, …/actions ──► Board ◄── Population: the fate of (seed, number, try)
//!                                │ one queue of timers, one of webhooks
//!                                ▼
//!                        Live::run, one task ──signed webhooks──► platform
//! ```
//!
//! The [board](board) is pure and takes the time as an argument; [`Live::run`] is the loop around it. Ids are new in
//! every run; what happens under them depends on the seed alone.

mod board;
mod desk;
mod limits;
mod line;
mod outage;
mod population;
mod post;
mod script;
mod stream;
mod telling;
mod truth;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::Notify, task::JoinSet};
use url::Url;
use uuid::Uuid;
use voice_lifecycle::SharedClock;
use voice_schemas::events::call::Carrier;

use self::{
    board::Question,
    post::{Delivery, Reply},
    telling::{Body, Webhook},
};
pub(crate) use self::{
    board::{Board, Found, Ids},
    limits::Declined,
    line::{Detection, Hooks, Line, OnAnswer, Order, Phase, Progress},
    script::{Seat, Sound, Step, read},
};
pub use self::{
    limits::Limits,
    outage::{Outage, Trouble},
    population::{Detector, Fate, Population},
    stream::{StreamTruth, Streams},
    truth::{CallTruth, Truth},
};
use crate::{
    Account, Credentials, Faults, SimulatorError,
    player::Retries,
    wire::{Target, telnyx, twilio},
};

/// How live calls go.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Equal seeds have the same people behind the same numbers, and the same faults.
    pub seed: u64,
    /// Who they are.
    pub population: Population,
    /// Rings, greetings, messages and talks last so many times as long. The clock, patience and detection stay.
    pub time_scale: f64,
    /// What the accounts may do, in their order; without limits where there is none.
    pub limits: Vec<Limits>,
    /// What goes wrong with webhooks.
    pub faults: Faults,
    /// What happens to webhooks that are not taken.
    pub retries: Retries,
    /// Where the platform's public address really is; none where it is reached at that address.
    pub target: Option<Target>,
    /// An agent with a telephone of their own sits in every room, and talks to whoever is put into it. Else a
    /// customer waits until a leg of an agent comes.
    pub people_in_rooms: bool,
    /// Whether calls that are told to stream their audio do.
    pub streams: Streams,
    /// Requests under way at once, at most.
    pub concurrency: usize,
    /// How long to wait for a response.
    pub timeout: Duration,
    /// How many calls that are over are remembered.
    pub remember: usize,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            seed: 7,
            population: Population::default(),
            time_scale: 1.0,
            limits: Vec::new(),
            faults: Faults::none(),
            retries: Retries::default(),
            target: None,
            people_in_rooms: true,
            streams: Streams::default(),
            concurrency: 256,
            timeout: Duration::from_secs(15),
            remember: 100_000,
        }
    }
}

impl LiveOptions {
    fn check(&self) -> Result<(), SimulatorError> {
        let wrong = |field, reason| Err(SimulatorError::Parameter { field, reason });
        self.population.check()?;
        self.faults.check()?;
        if !(self.time_scale.is_finite() && self.time_scale >= 0.0) {
            return wrong("time_scale", "must be finite and not negative");
        }
        if self.concurrency == 0 {
            return wrong("concurrency", "must be at least 1");
        }
        if self.retries.tries == 0 {
            return wrong("tries", "must be at least 1");
        }
        for limits in &self.limits {
            if !(limits.calls_per_second.is_finite() && limits.calls_per_second > 0.0) {
                return wrong("calls_per_second", "must be positive");
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Shared {
    board: Mutex<Board>,
    wake: Notify,
    accounts: Arc<[Account]>,
    clock: SharedClock,
    target: RwLock<Option<Target>>,
    concurrency: usize,
    timeout: Duration,
}

/// The live calls of some accounts. Clones are the same calls.
#[derive(Clone, Debug)]
pub struct Live(Arc<Shared>);

impl Live {
    /// Live calls over these accounts, by the machine's `clock`. They come alive while [`run`](Self::run) runs.
    ///
    /// # Errors
    /// When a parameter is out of range.
    pub fn new(
        options: LiveOptions,
        accounts: Arc<[Account]>,
        clock: SharedClock,
    ) -> Result<Self, SimulatorError> {
        options.check()?;
        Ok(Self::made(options, accounts, clock, true))
    }

    /// Calls nobody picks up and nobody is told about.
    pub(crate) fn asleep(accounts: Arc<[Account]>, clock: SharedClock) -> Self {
        Self::made(LiveOptions::default(), accounts, clock, false)
    }

    fn made(options: LiveOptions, accounts: Arc<[Account]>, clock: SharedClock, awake: bool) -> Self {
        Self(Arc::new(Shared {
            board: Mutex::new(Board::new(&options, &accounts, awake)),
            wake: Notify::new(),
            accounts,
            clock,
            target: RwLock::new(options.target),
            concurrency: options.concurrency,
            timeout: options.timeout,
        }))
    }

    /// What becomes of calls to this number from now on; of chance again when none.
    pub fn set_fate(&self, number: &str, fate: Option<Fate>) {
        self.board().set_fate(number, fate);
    }

    /// What becomes of calls to all other numbers from now on; of chance again when none.
    pub fn set_everybody(&self, fate: Option<Fate>) {
        self.board().set_everybody(fate);
    }

    /// Who is called from now on.
    ///
    /// # Errors
    /// When a parameter is out of range.
    pub fn set_population(&self, population: Population) -> Result<(), SimulatorError> {
        population.check()?;
        self.board().set_population(population);
        Ok(())
    }

    /// What goes wrong with webhooks from now on.
    ///
    /// # Errors
    /// When a parameter is out of range.
    pub fn set_faults(&self, faults: Faults) -> Result<(), SimulatorError> {
        faults.check()?;
        self.board().set_faults(faults);
        Ok(())
    }

    /// What the account at this place may do from now on.
    pub fn set_limits(&self, account: usize, limits: Limits) {
        self.board().set_limits(account, limits);
    }

    /// Calls to this number are to an agent's own telephone, which picks up at once and stays. `sip:` and `client:`
    /// addresses always are.
    pub fn add_agent(&self, number: &str) {
        self.board().add_agent(number);
    }

    /// Something will be wrong for a while.
    pub fn add_outage(&self, outage: Outage) {
        self.board().add_outage(outage);
        self.0.wake.notify_one();
    }

    /// Where the platform's public address really is, from now on.
    pub fn deliver_to(&self, target: Target) {
        *self.0.target.write().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    /// What the platform has to know.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.board().truth()
    }

    /// The calls that are remembered, in the order they were placed.
    #[must_use]
    pub fn calls(&self) -> Vec<CallTruth> {
        self.board().calls()
    }

    /// No call lives, and no webhook waits or is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.board().is_quiet()
    }

    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.0.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the calls, and lets the loop look at what follows.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Board, DateTime<Utc>) -> T) -> T {
        let result = act(&mut self.board(), self.0.clock.now());
        self.0.wake.notify_one();
        result
    }

    /// What is wrong with the REST API now, and until when.
    pub(crate) fn trouble(&self, carrier: Carrier) -> Option<(Trouble, Duration)> {
        let now = self.0.clock.now();
        let (trouble, until) = self.board().trouble(carrier, now)?;
        Some((trouble, (until - now).to_std().unwrap_or_default()))
    }

    /// Lets calls live until `stop` is done. One task: the work of a call is its webhooks' signatures and requests on
    /// connections that are kept open.
    pub async fn run(self, http: reqwest::Client, stop: impl Future<Output = ()>) {
        let mut under_way: FuturesUnordered<BoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut stop = std::pin::pin!(stop);
        // Each in a task of its own: fifty frames a second are not to wake this one.
        let mut streams = JoinSet::new();
        loop {
            while streams.try_join_next().is_some() {}
            let next = {
                let mut board = self.board();
                let now = self.0.clock.now();
                board.advance(now);
                while let Some(order) = board.stream() {
                    streams.spawn(stream::carry(self.clone(), order));
                }
                while let Some(question) = board.question() {
                    under_way.push(Box::pin(self.ask(&http, question)));
                }
                while under_way.len() < self.0.concurrency
                    && let Some(delivery) = board.delivery(now)
                {
                    under_way.push(Box::pin(self.deliver(&http, delivery)));
                }
                board.next_due().map(|due| due - now)
            };
            // A full house waits for a response, whatever is due.
            let full = under_way.len() >= self.0.concurrency;
            let wait = next
                .filter(|_| !full)
                .map(|wait| wait.to_std().unwrap_or_default());
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(done) = under_way.next(), if !under_way.is_empty() => self.conclude(done),
                () = self.0.wake.notified() => {}
                // Timers of the machine count milliseconds; one that is early finds nothing due and looks again.
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    fn conclude(&self, done: Done) {
        let now = self.0.clock.now();
        let mut board = self.board();
        match done {
            Done::Told(delivery, reply) => board.conclude(delivery, reply, now),
            Done::Asked(asked, steps) => board.answered(asked, steps, now),
        }
    }

    async fn deliver(&self, http: &reqwest::Client, delivery: Delivery) -> Done {
        let reply = match self.signed(&delivery.letter.webhook, delivery.attempt) {
            Some((headers, body)) => {
                match self.post(http, &delivery.letter.webhook.url, headers, body).await {
                    Some((200..=299, _)) => Reply::Taken,
                    Some((status, _)) if is_final(status) => Reply::Refused,
                    _ => Reply::NotTaken,
                }
            }
            None => Reply::Refused,
        };
        Done::Told(delivery, reply)
    }

    async fn ask(&self, http: &reqwest::Client, question: Question) -> Done {
        let Question {
            line,
            turn,
            account,
            url,
            form,
            pressed,
        } = question;
        let webhook = Webhook {
            account,
            line,
            url,
            body: Body::Twilio(form),
            id: Uuid::new_v4(),
            fact: false,
            end: false,
        };
        let steps = match self.signed(&webhook, 1) {
            Some((headers, body)) => match self.post(http, &webhook.url, headers, body).await {
                Some((200..=299, document)) => read(&document),
                _ => None,
            },
            None => None,
        };
        Done::Asked((line, turn, pressed), steps)
    }

    fn signed(&self, webhook: &Webhook, attempt: u32) -> Option<(http::HeaderMap, Vec<u8>)> {
        match (&self.0.accounts.get(webhook.account)?.credentials, &webhook.body) {
            (Credentials::Twilio { auth_token, .. }, Body::Twilio(form)) => {
                let pairs: Vec<(&str, &str)> =
                    form.iter().map(|(name, value)| (*name, value.as_str())).collect();
                twilio::signed(auth_token, &webhook.url, &pairs, webhook.id).ok()
            }
            (Credentials::Telnyx { signing_key, .. }, Body::Telnyx(data)) => {
                let body = telling::envelope(data, attempt, &webhook.url);
                Some((telnyx::headers(signing_key, self.0.clock.now(), &body), body))
            }
            _ => None,
        }
    }

    async fn post(
        &self,
        http: &reqwest::Client,
        url: &str,
        mut headers: http::HeaderMap,
        body: Vec<u8>,
    ) -> Option<(u16, String)> {
        let connect = self.connect(url, &mut headers);
        let request = http.post(connect).headers(headers).body(body);
        let response = request.timeout(self.0.timeout).send().await.ok()?;
        let status = response.status().as_u16();
        // The connection is only used again once the body has been read.
        let body = response.text().await.ok()?;
        Some((status, body))
    }

    /// Where to connect for a public address.
    fn connect(&self, url: &str, headers: &mut http::HeaderMap) -> String {
        let target = self.0.target.read().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = target.as_ref() else {
            return url.to_owned();
        };
        let public = target.public.as_str().trim_end_matches('/');
        let Some(rest) = url.strip_prefix(public) else {
            return url.to_owned();
        };
        let authority = |url: &Url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        if let Ok(host) = http::HeaderValue::try_from(authority(&target.public)) {
            headers.insert(http::header::HOST, host);
        }
        format!("{}{rest}", target.connect.as_str().trim_end_matches('/'))
    }
}

/// A request that is over.
enum Done {
    Told(Delivery, Reply),
    Asked((u64, u32, bool), Option<Vec<Step>>),
}

/// Whether another try cannot change the answer.
const fn is_final(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}
