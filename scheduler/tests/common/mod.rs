//! A scheduler on a database of its own, with figures and time from the test.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use voice_lifecycle::ManualClock;
use voice_postgres::{
    Database, Role,
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_reports::{
    DailySummaryData, Format,
    daily_summary::{AnswerTime, Counts, Thresholds},
    model::{Branding, Currency},
};
use voice_scheduler::{
    App, Config, Deps,
    jobs::{
        ReportJob, files,
        rows::{NewReport, Parameters, request},
    },
    schedules::{self, CatchUp, NewSchedule},
    source::{DailyRequest, ReportSource, SourceError, Watermark},
};
use voice_schemas::{ReportId, ScheduleId, TenantId};
use voice_telemetry::Metrics;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Figures from the test: it can fail a few times, or wait until it is let go.
pub struct Figures {
    pub failures: AtomicUsize,
    pub hold: Option<Arc<Notify>>,
    pub asked: mpsc::Sender<DailyRequest>,
    pub attempts: AtomicUsize,
}

impl ReportSource for Figures {
    fn daily_summary<'a>(
        &'a self,
        request: &'a DailyRequest,
    ) -> BoxFuture<'a, Result<DailySummaryData, SourceError>> {
        Box::pin(async move {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            self.asked.send(request.clone()).await.unwrap();
            if let Some(hold) = &self.hold {
                hold.notified().await;
            }
            let left = self.failures.load(Ordering::SeqCst);
            if left > 0 {
                self.failures.store(left - 1, Ordering::SeqCst);
                return Err(SourceError::Unavailable("down".to_owned()));
            }
            Ok(DailySummaryData {
                tenant_name: request.tenant_name.clone(),
                day: request.day,
                zone: request.zone,
                generated_at: request.generated_at,
                locale: request.locale,
                branding: Branding::default(),
                provisional: request.provisional,
                currency: Currency::EUR,
                thresholds: Thresholds::default(),
                totals: Counts {
                    attempts: 10,
                    answered: 7,
                    contacts: 5,
                    machine: 2,
                    no_answer: 3,
                    ..Counts::default()
                },
                answer_time: AnswerTime::default(),
                previous: None,
                intervals: Vec::new(),
                campaigns: Vec::new(),
                carriers: Vec::new(),
                outcomes: Vec::new(),
                hangup_causes: Vec::new(),
            })
        })
    }
}

/// How far the figures are complete, as the test says.
pub struct Complete(pub Mutex<Option<DateTime<Utc>>>);

impl Watermark for Complete {
    fn complete_until(&self, _: TenantId) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, SourceError>> {
        let until = *self.0.lock().unwrap();
        Box::pin(async move { Ok(until) })
    }
}

/// One database, one folder, one clock; as many schedulers on them as a test wants.
pub struct World {
    pub database: TestDatabase,
    pub folder: TempDir,
    pub clock: ManualClock,
    pub tenant: TenantId,
    pub config: Config,
    pub owner: Database,
    pub api: Database,
}

/// A scheduler and what the test can see of it.
pub struct Scheduler {
    pub app: App,
    pub figures: Arc<Figures>,
    pub asked: mpsc::Receiver<DailyRequest>,
    pub complete: Arc<Complete>,
}

impl World {
    pub async fn new(now: &str) -> Self {
        let database = TestDatabase::create().await;
        voice_scheduler::migrate(&database.url())
            .await
            .expect("the queue's tables");
        let (owner, api) = (
            database.connect(Role::Owner).await,
            database.connect(Role::Api).await,
        );
        let tenant = tenant(&owner, "acme").await;
        let mut config = Config::default();
        config.jobs.poll_ms = 20;
        Self {
            database,
            folder: TempDir::new().unwrap(),
            clock: ManualClock::at(at(now)),
            tenant,
            config,
            owner,
            api,
        }
    }

    pub async fn scheduler(&self) -> Scheduler {
        self.scheduler_with(0, None).await
    }

    pub async fn scheduler_with(&self, failures: usize, hold: Option<Arc<Notify>>) -> Scheduler {
        let (asked, receiver) = mpsc::channel(1_000);
        let figures = Arc::new(Figures {
            failures: AtomicUsize::new(failures),
            hold,
            asked,
            attempts: AtomicUsize::new(0),
        });
        let complete = Arc::new(Complete(Mutex::new(Some(DateTime::<Utc>::MAX_UTC))));
        let deps = Deps {
            database: self.database.connect(Role::Worker).await,
            source: figures.clone(),
            watermark: complete.clone(),
            objects: files::folder(self.folder.path()).unwrap(),
            clock: self.clock.shared(),
            metrics: Metrics::empty(),
        };
        Scheduler {
            app: App::build(self.config.clone(), deps),
            figures,
            asked: receiver,
            complete,
        }
    }

    pub async fn schedule(&self, name: &str, cron: &str, catch_up: CatchUp) -> ScheduleId {
        let schedule = NewSchedule {
            id: ScheduleId::random(),
            name: name.to_owned(),
            kind: "daily_summary".to_owned(),
            cron: cron.to_owned(),
            zone: Tz::Europe__Prague,
            formats: vec![Format::Csv],
            locale: None,
            catch_up,
            parameters: Parameters::default(),
            start_at: None,
            end_at: None,
        };
        let now = voice_lifecycle::Clock::now(&self.clock);
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        schedules::create(&mut tx, &schedule, now).await.unwrap();
        tx.commit().await.unwrap();
        schedule.id
    }

    pub async fn report(&self, formats: Vec<Format>, parameters: Parameters) -> ReportJob {
        let report = NewReport {
            id: ReportId::random(),
            scheduled: None,
            kind: "daily_summary".to_owned(),
            formats,
            locale: Some("cs".to_owned()),
            zone: Tz::Europe__Prague,
            parameters,
        };
        let now = voice_lifecycle::Clock::now(&self.clock);
        let mut tx = self.api.tenant(self.tenant).await.unwrap();
        assert!(request(&mut tx, &report, now, &self.config.jobs).await.unwrap());
        tx.commit().await.unwrap();
        ReportJob {
            tenant: self.tenant,
            report_id: report.id,
        }
    }

    /// One column of all reports, oldest run first.
    pub async fn reports(&self, column: &'static str) -> Vec<String> {
        let sql = match column {
            "status" => "SELECT status FROM app.reports ORDER BY scheduled_for, created_at",
            "scheduled_for" => {
                "SELECT to_char(scheduled_for AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM app.reports ORDER BY scheduled_for"
            }
            "failure" => "SELECT coalesce(failure, '-') FROM app.reports ORDER BY scheduled_for, created_at",
            "attempts" => "SELECT attempts::text FROM app.reports ORDER BY scheduled_for, created_at",
            other => panic!("no query for {other}"),
        };
        let mut tx = self.owner.tenant(self.tenant).await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut *tx).await.unwrap()
    }

    pub async fn events(&self) -> Vec<serde_json::Value> {
        let mut tx = self.owner.tenant(self.tenant).await.unwrap();
        sqlx::query_scalar("SELECT payload::jsonb FROM app.outbox ORDER BY id")
            .fetch_all(&mut *tx)
            .await
            .unwrap()
    }

    /// The queue as (status, job) rows.
    pub async fn queue(&self) -> Vec<(String, ReportJob)> {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as("SELECT status, job FROM apalis.jobs ORDER BY id")
            .fetch_all(&self.owner.job_pool())
            .await
            .unwrap();
        rows.into_iter()
            .map(|(status, job)| (status, serde_json::from_slice(&job).unwrap()))
            .collect()
    }

    /// Paths of all stored files, relative to the folder.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(self.folder.path(), self.folder.path(), &mut files);
        files.sort();
        files
    }

    /// Asks the database until `done` says so.
    pub async fn until<F>(&self, what: &str, column: &'static str, done: F)
    where
        F: Fn(&[String]) -> bool,
    {
        let wait = async {
            let mut every = tokio::time::interval(Duration::from_millis(10));
            loop {
                every.tick().await;
                if done(&self.reports(column).await) {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!(
                "{what}: {:?}, queue {:?}",
                self.reports(column).await,
                self.queue().await
            );
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub async fn tenant(owner: &Database, slug: &str) -> TenantId {
    let sealer = Sealer::new(&[MasterKey {
        version: 1,
        key: STANDARD.encode([7; 32]).into(),
    }])
    .unwrap();
    let id = TenantId::random();
    let tenant = NewTenant {
        id,
        slug: slug.to_owned(),
        name: "Acme".to_owned(),
        region: "eu".to_owned(),
        default_locale: "en".to_owned(),
        timezone: Tz::Europe__Prague,
    };
    tenants::upsert(owner, &sealer, &tenant).await.unwrap();
    id
}
