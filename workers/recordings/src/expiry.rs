//! Recordings whose time has run out are destroyed.
//!
//! How long one may be kept is said by the name of its rule, which stands in the [`Note`] beside it and in its own head;
//! how many days that is, the configuration says. Its time counts from the call, whose id carries it: copying objects
//! about does not make them younger. One with a hold beside it stays until the hold is taken away.
//!
//! A recording's key is wrapped in its own head, so destroying the object destroys the key. It goes first, then the note.
//! A process that dies in between leaves a note, and the next run takes that away; a run that is repeated finds
//! nothing to do.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, PutPayload, path::Path as Key};
use serde::Deserialize;
use voice_lifecycle::{CancellationToken, SharedClock};
use voice_schemas::{CallId, TenantId};
use voice_telemetry::{Emit as _, Metrics};

use crate::{
    Note,
    events::{Destroyed, ExpiryFailed},
    hold_key, key, note_key,
    sealed::{Head, LONGEST_HEAD},
};

/// Recordings that are looked at or destroyed at a time.
const AT_ONCE: usize = 8;
/// Of what the store lists, so much is taken at a time.
const BATCH: usize = 256;
/// How often recordings that run out are looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// A recording without a note is taken for one that is being stored, for so long.
const BEING_STORED: TimeDelta = TimeDelta::days(2);

/// How many days recordings are kept, by the name of their rule. What no rule names is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Keep(BTreeMap<String, u32>);

impl Keep {
    /// These rules.
    #[must_use]
    pub const fn new(days: BTreeMap<String, u32>) -> Self {
        Self(days)
    }

    /// Whether there is a rule of that name.
    #[must_use]
    pub fn names(&self, rule: &str) -> bool {
        self.0.contains_key(rule)
    }

    /// No recording from after this instant has run out by any rule; none has at all where there is no rule.
    fn latest(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let shortest = self.0.values().min()?;
        now.checked_sub_signed(TimeDelta::days(i64::from(*shortest)))
    }

    /// What is to become of a recording of a call at that time.
    #[must_use]
    pub fn judge(&self, rule: &str, at: DateTime<Utc>, held: bool, now: DateTime<Utc>) -> Fate {
        match self.0.get(rule) {
            None => Fate::NoRule,
            Some(days) if now - at < TimeDelta::days(i64::from(*days)) => Fate::Kept,
            Some(_) if held => Fate::Held,
            Some(_) => Fate::Destroyed,
        }
    }
}

/// What becomes of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its time has not run out.
    Kept,
    /// Its time has run out and somebody holds it.
    Held,
    /// No rule says how long it may be kept.
    NoRule,
    /// Its time has run out.
    Destroyed,
}

/// What a run came to. A recording is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Recordings that were found.
    pub found: u64,
    /// Of these, those whose time has not run out, and those that are only just being stored.
    pub kept: u64,
    /// Of these, those that somebody holds.
    pub held: u64,
    /// Of these, those that no rule names.
    pub no_rule: u64,
    /// Of these, those that are destroyed.
    pub destroyed: u64,
    /// Of these, those the store did not let go, or could not be read; the next run tries again.
    pub failed: u64,
    /// Notes and holds without their recording, which are taken away.
    pub left_over: u64,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Destroys.
    Real,
    /// Counts what it would destroy.
    Dry,
}

/// Destroys every recording whose time has run out at `now`, of one tenant or of all.
///
/// # Errors
/// When the object store does not say what it has. What it does not let go is counted.
pub async fn expire(
    objects: &dyn ObjectStore,
    keep: &Keep,
    tenant: Option<TenantId>,
    run: Run,
    now: DateTime<Utc>,
) -> Result<Counts, StoreError> {
    let prefix = tenant.map_or_else(
        || Key::from("recordings"),
        |tenant| Key::from(format!("recordings/{}", tenant.0)),
    );
    let latest = keep.latest(now);
    let mut counts = Counts::default();
    // What is left over is only known when no recording is being destroyed any more.
    for kind in [Kind::Recording, Kind::Beside] {
        let mut listed = objects.list(Some(&prefix)).ready_chunks(BATCH);
        while let Some(batch) = listed.next().await {
            let mut found = Vec::with_capacity(batch.len());
            for object in batch {
                let object = object?;
                found.extend(
                    Object::parse(object.location, object.last_modified).filter(|one| one.kind == kind),
                );
            }
            let settled = found
                .into_iter()
                .map(|one| one.settle(objects, keep, latest, run, now));
            let mut settled = stream::iter(settled).buffer_unordered(AT_ONCE);
            while let Some(one) = settled.next().await {
                counts = counts.plus(one);
            }
        }
    }
    Ok(counts)
}

impl Counts {
    const fn plus(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            kept: self.kept + other.kept,
            held: self.held + other.held,
            no_rule: self.no_rule + other.no_rule,
            destroyed: self.destroyed + other.destroyed,
            failed: self.failed + other.failed,
            left_over: self.left_over + other.left_over,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Recording,
    /// A note or a hold.
    Beside,
}

/// Something of a recording, in the object store.
struct Object {
    kind: Kind,
    location: Key,
    /// Of the recording.
    recording: String,
    /// When the call began; when the object was stored, where the call's id does not tell.
    at: DateTime<Utc>,
    stored_at: DateTime<Utc>,
}

impl Object {
    fn parse(location: Key, stored_at: DateTime<Utc>) -> Option<Self> {
        let name = location.filename()?;
        let (call, rest) = name.split_once('.')?;
        let call: CallId = call.parse().ok()?;
        let kind = match rest {
            "rec" => Kind::Recording,
            "rec.json" | "rec.hold" => Kind::Beside,
            _ => return None,
        };
        let began = call.0.get_timestamp().and_then(|stamp| {
            let (seconds, nanos) = stamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        let (folder, _) = location.as_ref().rsplit_once('/')?;
        Some(Self {
            recording: format!("{folder}/{}.rec", call.0),
            at: began.unwrap_or(stored_at),
            kind,
            location,
            stored_at,
        })
    }

    async fn settle(
        self,
        objects: &dyn ObjectStore,
        keep: &Keep,
        latest: Option<DateTime<Utc>>,
        run: Run,
        now: DateTime<Utc>,
    ) -> Counts {
        let young = latest.is_none_or(|latest| self.at > latest);
        let mut counts = Counts::default();
        match self.kind {
            Kind::Recording => {
                counts.found = 1;
                // Most are: nothing of them is read.
                let fate = if young && latest.is_some() {
                    Ok(Fate::Kept)
                } else {
                    self.decide(objects, keep, run, now).await
                };
                match fate {
                    Ok(Fate::Kept) => counts.kept = 1,
                    Ok(Fate::Held) => counts.held = 1,
                    Ok(Fate::NoRule) => counts.no_rule = 1,
                    Ok(Fate::Destroyed) => counts.destroyed = 1,
                    Err(error) => {
                        tracing::warn!(key = self.recording, %error, "a recording could not be let go");
                        counts.failed = 1;
                    }
                }
            }
            Kind::Beside if young => {}
            Kind::Beside => match self.is_left_over(objects, run, now).await {
                Ok(left_over) => counts.left_over = u64::from(left_over),
                Err(error) => tracing::warn!(key = %self.location, %error, "a note could not be taken away"),
            },
        }
        counts
    }

    async fn decide(
        &self,
        objects: &dyn ObjectStore,
        keep: &Keep,
        run: Run,
        now: DateTime<Utc>,
    ) -> Result<Fate, StoreError> {
        let note = Key::from(note_key(&self.recording));
        let rule = match read(objects, &note).await? {
            Some(note) => serde_json::from_slice(&note)
                .ok()
                .map(|note: Note| note.retention),
            // The note comes right after the recording, and goes right after it.
            None if now - self.stored_at < BEING_STORED => return Ok(Fate::Kept),
            None => None,
        };
        let rule = match rule {
            Some(rule) => rule,
            None => match self.head(objects).await? {
                Some(head) => head.label.retention,
                None => return Ok(Fate::NoRule),
            },
        };
        let fate = keep.judge(&rule, self.at, false, now);
        if fate != Fate::Destroyed {
            return Ok(fate);
        }
        // Asked as late as can be: whoever writes a hold before this keeps the recording.
        if exists(objects, &Key::from(hold_key(&self.recording))).await? {
            return Ok(keep.judge(&rule, self.at, true, now));
        }
        if run == Run::Real {
            delete(objects, &self.location).await?;
            delete(objects, &note).await?;
        }
        Ok(Fate::Destroyed)
    }

    /// Whose recording it is, without a note.
    async fn head(&self, objects: &dyn ObjectStore) -> Result<Option<Head>, StoreError> {
        let size = objects.head(&self.location).await?.size;
        let start = objects
            .get_range(&self.location, 0..size.min(LONGEST_HEAD as u64))
            .await?;
        Ok(Head::parse(&start).ok())
    }

    async fn is_left_over(
        &self,
        objects: &dyn ObjectStore,
        run: Run,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if now - self.stored_at < BEING_STORED || exists(objects, &Key::from(self.recording.as_str())).await?
        {
            return Ok(false);
        }
        if run == Run::Real {
            delete(objects, &self.location).await?;
        }
        Ok(true)
    }
}

async fn read(objects: &dyn ObjectStore, key: &Key) -> Result<Option<bytes::Bytes>, StoreError> {
    match objects.get(key).await {
        Ok(found) => Ok(Some(found.bytes().await?)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn exists(objects: &dyn ObjectStore, key: &Key) -> Result<bool, StoreError> {
    match objects.head(key).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Another process may have been faster.
async fn delete(objects: &dyn ObjectStore, key: &Key) -> Result<(), StoreError> {
    match objects.delete(key).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Keeps the recording of a call, whatever its rule says, until [`release`].
///
/// # Errors
/// When there is no such recording, or the store fails.
pub async fn hold(
    objects: &dyn ObjectStore,
    tenant: TenantId,
    call: CallId,
    reason: &str,
) -> Result<(), StoreError> {
    let recording = key(tenant, call);
    let held = PutPayload::from(reason.to_owned());
    objects.put(&Key::from(hold_key(&recording)), held).await?;
    // Asked after the hold is there: a run that did not see it has destroyed the recording by now, or will not.
    let there = objects.head(&Key::from(recording.as_str())).await;
    if let Err(StoreError::NotFound { .. }) = there {
        delete(objects, &Key::from(hold_key(&recording))).await?;
    }
    there.map(drop)
}

/// Takes a hold away.
///
/// # Errors
/// When the store fails.
pub async fn release(objects: &dyn ObjectStore, tenant: TenantId, call: CallId) -> Result<(), StoreError> {
    delete(objects, &Key::from(hold_key(&key(tenant, call)))).await
}

/// Destroys what has run out, now and every hour, until `stop`.
pub async fn run(
    objects: std::sync::Arc<dyn ObjectStore>,
    keep: Keep,
    clock: SharedClock,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(EVERY);
    let work = async {
        loop {
            ticks.tick().await;
            match expire(&*objects, &keep, None, Run::Real, clock.now()).await {
                Ok(counts) => Destroyed { counts }.emit(&metrics),
                Err(error) => ExpiryFailed { error: &error }.emit(&metrics),
            }
        }
    };
    let _stopped: Option<()> = stop.run_until_cancelled(work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_kept_to_the_last_moment_of_its_rule_and_longer_where_it_is_held_or_no_rule_names_it() {
        let keep = Keep::new(BTreeMap::from([
            ("standard".to_owned(), 90),
            ("short".to_owned(), 1),
        ]));
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let after = |days: i64, seconds: i64| at + TimeDelta::days(days) + TimeDelta::seconds(seconds);
        for (rule, held, now, fate) in [
            ("standard", false, after(90, -1), Fate::Kept),
            ("standard", false, after(90, 0), Fate::Destroyed),
            ("standard", true, after(90, 0), Fate::Held),
            ("standard", true, after(89, 0), Fate::Kept),
            ("short", false, after(1, 0), Fate::Destroyed),
            ("audit", false, after(9_999, 0), Fate::NoRule),
        ] {
            assert_eq!(keep.judge(rule, at, held, now), fate, "{rule} {now}");
        }
        assert_eq!(keep.latest(after(1, 0)), Some(at));
        assert_eq!(Keep::new(BTreeMap::new()).latest(at), None);
    }
}
