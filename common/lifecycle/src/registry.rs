//! The registry of long tasks and the one shutdown path.

use std::{
    error::Error,
    fmt::Display,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{AbortHandle, JoinError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{Cause, ExitReport, OnEnd, Readiness, Stage, TaskFailure, TaskPolicy, signal::StopSignals};

/// What a task may return: nothing, or a result whose error can be shown.
pub trait TaskResult: Send + 'static {
    /// The error with its causes in one line, if there is one.
    fn into_failure(self) -> Result<(), String>;
}

impl TaskResult for () {
    fn into_failure(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E> TaskResult for Result<(), E>
where
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    fn into_failure(self) -> Result<(), String> {
        self.map_err(|error| {
            let error: Box<dyn Error + Send + Sync> = error.into();
            one_line(error.as_ref())
        })
    }
}

fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        // Many errors already quote their source.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = inner.source();
    }
    line
}

/// The long tasks of a process. Clones are the same registry.
#[derive(Clone, Debug)]
pub struct Lifecycle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    readiness: Readiness,
    readiness_delay: Duration,
    tokens: [CancellationToken; 3],
    state: Mutex<State>,
    /// Counts ends and requests; whoever waits looks at `state` again.
    changed: watch::Sender<u64>,
    next_id: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    running: Vec<Running>,
    failures: Vec<TaskFailure>,
    cause: Option<Cause>,
    started_any: bool,
}

#[derive(Debug)]
struct Running {
    id: u64,
    name: &'static str,
    policy: TaskPolicy,
    abort: AbortHandle,
}

impl Lifecycle {
    /// An empty registry.
    ///
    /// `readiness_delay` is how long the process keeps serving after its readiness turned 503: as long
    /// as the load balancer needs to notice. Zero when nothing stands in front of it.
    #[must_use]
    pub fn new(readiness: Readiness, readiness_delay: Duration) -> Self {
        let (changed, _) = watch::channel(0);
        Self(Arc::new(Inner {
            readiness,
            readiness_delay,
            tokens: std::array::from_fn(|_| CancellationToken::new()),
            state: Mutex::default(),
            changed,
            next_id: AtomicU64::new(0),
        }))
    }

    /// The readiness this registry turns off at the end.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// The token that is cancelled when `stage` has to stop, for parts that are not tasks.
    #[must_use]
    pub fn token(&self, stage: Stage) -> CancellationToken {
        self.0.tokens[stage as usize].clone()
    }

    /// Starts `task` on the current runtime. It gets the token that tells it to stop; it should then
    /// finish what it holds and return within its budget. A task spawned into a stage that is already
    /// cancelled gets a cancelled token.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F, Fut>(&self, name: &'static str, policy: TaskPolicy, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: TaskResult,
    {
        let token = self.0.tokens[policy.stage as usize].child_token();
        let future = task(token);
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        // The lock is held over both spawns, so that the end of a task cannot be booked before its start.
        let mut state = self.state();
        let handle = tokio::spawn(async move { future.await.into_failure() });
        let abort = handle.abort_handle();
        let registry = self.clone();
        tokio::spawn(async move { registry.ended(id, handle.await) });
        state.started_any = true;
        state.running.push(Running {
            id,
            name,
            policy,
            abort,
        });
        tracing::debug!(task = name, stage = policy.stage.as_str(), "task started");
    }

    /// Starts the shutdown from inside; the first cause wins.
    pub fn shut_down(&self, why: impl Display) {
        self.propose(Cause::Requested(why.to_string()));
    }

    /// The longest the shutdown can take: the readiness delay plus, for every stage, the largest budget in
    /// it. Compare it with the supervisor's grace period and with Kafka's session timeout.
    #[must_use]
    pub fn longest_shutdown(&self) -> Duration {
        let state = self.state();
        Stage::ORDER.iter().fold(self.0.readiness_delay, |sum, stage| {
            let budgets = state.running.iter().filter(|task| task.policy.stage == *stage);
            sum + budgets.map(|task| task.policy.budget).max().unwrap_or_default()
        })
    }

    /// Runs until SIGTERM, SIGINT, a request, or the end of a task that should not have ended; then
    /// shuts down in order. A second signal during the shutdown cuts everything off at once.
    pub async fn run_until_signal(&self) -> ExitReport {
        match StopSignals::install() {
            Ok(mut signals) => {
                let cause = tokio::select! {
                    name = signals.recv() => self.propose(Cause::Signal(name)),
                    cause = self.stopping() => cause,
                };
                self.drain(cause, async move {
                    signals.recv().await;
                })
                .await
            }
            Err(error) => {
                self.propose(Cause::Requested(format!(
                    "signals cannot be listened to: {error}"
                )));
                let cause = self.stopping().await;
                self.drain(cause, std::future::pending()).await
            }
        }
    }

    /// Runs until `stop` or the end of a task that should not have ended; then shuts down in order. For
    /// tests and for programs that decide themselves when they are done.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> ExitReport {
        let cause = tokio::select! {
            () = stop => self.propose(Cause::Requested("stopped by its owner".to_owned())),
            cause = self.stopping() => cause,
        };
        self.drain(cause, std::future::pending()).await
    }

    /// Waits for a cause to stop.
    async fn stopping(&self) -> Cause {
        let mut changed = self.0.changed.subscribe();
        loop {
            {
                let mut state = self.state();
                if state.cause.is_none() && state.started_any && state.running.is_empty() {
                    state.cause = Some(Cause::AllFinished);
                }
                if let Some(cause) = &state.cause {
                    return cause.clone();
                }
            }
            // The sender lives in `self`, so this cannot fail.
            let _alive = changed.changed().await;
        }
    }

    fn propose(&self, cause: Cause) -> Cause {
        let winner = self.state().cause.get_or_insert(cause).clone();
        self.notify();
        winner
    }

    fn notify(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn ended(&self, id: u64, result: Result<Result<(), String>, JoinError>) {
        {
            let mut state = self.state();
            let Some(position) = state.running.iter().position(|task| task.id == id) else {
                // Cut off at the end of its budget, and reported as such.
                return;
            };
            let Running { name, policy, .. } = state.running.swap_remove(position);
            let asked = self.0.tokens[policy.stage as usize].is_cancelled();
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(error) => Err(death(error)),
            };
            match outcome {
                Ok(()) if asked || policy.may_finish => tracing::debug!(task = name, "task finished"),
                Ok(()) => {
                    tracing::error!(task = name, "task ended though it should run for ever");
                    self.unexpected(
                        &mut state,
                        policy,
                        name,
                        Cause::TaskEnded(name),
                        "ended".to_owned(),
                    );
                }
                Err(error) => {
                    tracing::error!(task = name, %error, "task failed");
                    state.failures.push(TaskFailure {
                        task: name,
                        error: error.clone(),
                    });
                    if !asked {
                        self.unexpected(&mut state, policy, name, Cause::TaskFailed(name), error);
                    }
                }
            }
        }
        self.notify();
    }

    fn unexpected(
        &self,
        state: &mut State,
        policy: TaskPolicy,
        name: &'static str,
        cause: Cause,
        reason: String,
    ) {
        match policy.on_end {
            OnEnd::Shutdown => {
                state.cause.get_or_insert(cause);
            }
            OnEnd::Degrade => self.0.readiness.check(name).set_unready(reason),
        }
    }

    async fn drain(&self, cause: Cause, cut_short: impl Future<Output = ()>) -> ExitReport {
        tracing::info!(?cause, "shutting down");
        self.0.readiness.drain();
        let mut cut_short = pin!(cut_short);
        let mut cut = tokio::select! {
            () = tokio::time::sleep(self.0.readiness_delay) => false,
            () = &mut cut_short => true,
        };
        let mut unfinished = Vec::new();
        for stage in Stage::ORDER {
            self.0.tokens[stage as usize].cancel();
            if !cut {
                tokio::select! {
                    () = self.stage_stopped(stage, &mut unfinished) => {}
                    () = &mut cut_short => cut = true,
                }
            }
            if cut {
                unfinished.extend(self.cut_off(stage, None));
            }
        }
        let failures = self.state().failures.clone();
        let report = ExitReport {
            cause,
            failures,
            unfinished,
        };
        if report.unfinished.is_empty() {
            tracing::info!(code = report.code(), "shut down");
        } else {
            tracing::error!(code = report.code(), unfinished = ?report.unfinished, "shut down with work cut off");
        }
        report
    }

    /// Waits until every task of `stage` has ended; a task is cut off when its own budget is over.
    async fn stage_stopped(&self, stage: Stage, unfinished: &mut Vec<&'static str>) {
        let since = Instant::now();
        let mut changed = self.0.changed.subscribe();
        loop {
            let next = {
                let state = self.state();
                let budgets = state.running.iter().filter(|task| task.policy.stage == stage);
                budgets.map(|task| since + task.policy.budget).min()
            };
            let Some(deadline) = next else { return };
            tokio::select! {
                biased;
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(deadline) => {
                    unfinished.extend(self.cut_off(stage, Some(since.elapsed())));
                }
            }
        }
    }

    /// Aborts the tasks of `stage` whose budget is `spent`; all of them without one.
    fn cut_off(&self, stage: Stage, spent: Option<Duration>) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.state().running.retain(|task| {
            let over = task.policy.stage == stage && spent.is_none_or(|spent| task.policy.budget <= spent);
            if over {
                task.abort.abort();
                names.push(task.name);
            }
            !over
        });
        names
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn death(error: JoinError) -> String {
    if !error.is_panic() {
        return "cancelled from outside".to_owned();
    }
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a message"))
}
