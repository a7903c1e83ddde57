//! Recordings that run out, in a real folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use object_store::{
    Error, ObjectStore as _, ObjectStoreExt as _, PutPayload, local::LocalFileSystem, path::Path,
};
use uuid::{NoContext, Timestamp, Uuid};
use voice_lifecycle::{Clock as _, SystemClock};
use voice_recordings::{
    Note,
    expiry::{Counts, Keep, Run, expire, hold, release},
    key, note_key,
};
use voice_schemas::{CallId, TenantId};

struct Place {
    _folder: tempfile::TempDir,
    objects: Arc<LocalFileSystem>,
    tenant: TenantId,
    now: DateTime<Utc>,
}

fn keep() -> Keep {
    Keep::new([("standard".to_owned(), 90), ("short".to_owned(), 30)].into())
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            objects: Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
            _folder: folder,
            tenant: TenantId::random(),
            // Files made by a test are days old then, as those of old calls are.
            now: SystemClock.now() + TimeDelta::days(3),
        }
    }

    fn call(&self, days_ago: i64) -> CallId {
        let at = self.now - TimeDelta::days(days_ago);
        let at = Timestamp::from_unix(NoContext, u64::try_from(at.timestamp()).unwrap(), 0);
        CallId(Uuid::new_v7(at))
    }

    async fn put(&self, name: &str, content: &str) {
        let content = PutPayload::from(content.to_owned());
        self.objects.put(&Path::from(name), content).await.unwrap();
    }

    async fn store(&self, tenant: TenantId, days_ago: i64, rule: &str) -> CallId {
        let call = self.call(days_ago);
        let key = key(tenant, call);
        self.put(&key, "sealed").await;
        let note = Note {
            sha256: "00".repeat(32),
            bytes: 6,
            duration_ms: 1_000,
            retention: rule.to_owned(),
            key_id: "2026-11".to_owned(),
            salvaged: false,
        };
        self.put(&note_key(&key), &serde_json::to_string(&note).unwrap())
            .await;
        call
    }

    async fn expire(&self, run: Run) -> Counts {
        expire(&*self.objects, &keep(), None, run, self.now)
            .await
            .unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .objects
            .list(None)
            .map(|object| object.unwrap().location.to_string())
            .collect()
            .await;
        names.sort();
        names
    }
}

/// REC-07
#[tokio::test]
async fn what_ran_out_by_its_own_rule_is_destroyed_with_its_note_and_nothing_else_is() {
    let place = Place::new();
    let other = TenantId::random();
    let gone = place.store(place.tenant, 91, "standard").await;
    let short = place.store(other, 31, "short").await;
    let young = place.store(place.tenant, 89, "standard").await;
    let unruled = place.store(place.tenant, 900, "audit").await;
    let held = place.store(place.tenant, 91, "standard").await;
    hold(&*place.objects, place.tenant, held, "case 7").await.unwrap();
    place.put("reports/2026/a.pdf", "not a recording").await;
    let before = place.names().await;

    let counts = Counts {
        found: 5,
        kept: 1,
        held: 1,
        no_rule: 1,
        destroyed: 2,
        failed: 0,
        left_over: 0,
    };
    assert_eq!(place.expire(Run::Dry).await, counts);
    assert_eq!(place.names().await, before, "a dry run changes nothing");
    let of_one = expire(&*place.objects, &keep(), Some(other), Run::Dry, place.now)
        .await
        .unwrap();
    assert_eq!((of_one.found, of_one.destroyed), (1, 1));

    assert_eq!(place.expire(Run::Real).await, counts);
    let left = place.names().await;
    for (tenant, call) in [(place.tenant, gone), (other, short)] {
        let key = key(tenant, call);
        assert!(before.contains(&key) && !left.contains(&key) && !left.contains(&note_key(&key)));
    }
    for call in [young, unruled, held] {
        let key = key(place.tenant, call);
        assert!(left.contains(&key) && left.contains(&note_key(&key)));
    }
    assert!(left.contains(&"reports/2026/a.pdf".to_owned()));
    let again = place.expire(Run::Real).await;
    assert_eq!(
        (again.found, again.destroyed),
        (3, 0),
        "a repeat finds nothing to do"
    );

    release(&*place.objects, place.tenant, held).await.unwrap();
    assert_eq!(place.expire(Run::Real).await.destroyed, 1);
    assert!(!place.names().await.contains(&key(place.tenant, held)));
}

/// REC-07: whatever a killed run left is taken away by the next one.
#[tokio::test]
async fn a_run_that_dies_between_any_two_steps_is_finished_by_the_next() {
    for steps in 0..2 {
        let place = Place::new();
        let call = place.store(place.tenant, 100, "standard").await;
        let key = key(place.tenant, call);
        for name in [key.clone(), note_key(&key)].iter().take(steps) {
            place.objects.delete(&Path::from(name.as_str())).await.unwrap();
        }
        let counts = place.expire(Run::Real).await;
        assert_eq!(
            counts.destroyed + counts.left_over,
            1,
            "after {steps} steps: {counts:?}"
        );
        assert_eq!(place.names().await, [""; 0], "after {steps} steps");
    }
}

#[tokio::test]
async fn what_is_only_just_being_stored_stays_and_what_never_got_its_note_is_judged_by_its_own_head() {
    let place = Place::new();
    let call = place.call(100);
    place.put(&key(place.tenant, call), "no recording at all").await;
    let early = place.now - TimeDelta::days(2);
    let counts = expire(&*place.objects, &keep(), None, Run::Real, early)
        .await
        .unwrap();
    assert_eq!(counts.kept, 1, "its note may still come");
    assert_eq!(place.expire(Run::Real).await.no_rule, 1, "its head names no rule");
    let missing = hold(&*place.objects, place.tenant, place.call(3), "nothing").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    assert!(!place.names().await.iter().any(|name| name.ends_with(".hold")));
}
