//! Packs compiled: one table of rules, and bit sets that say which of them hold where, for what and when.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    abandonment::{AbandonmentRule, SafeHarbour},
    capacity::{CallerIdNeed, LineKind},
    consent::{ConsentNeed, Registry},
    history::{Cap, CoolOff},
    holidays::Calendar,
    hours::Week,
    jurisdiction::{Jurisdiction, Jurisdictions},
    label::Label,
    limits,
    packs::{self, Basis, Confidence, PackError, PackText, RuleText},
    place::{self, Evidence, Place, Plan},
    request::{Mode, Purpose, Uses},
    verdict::Obligations,
};

const WORDS: usize = 4;

/// A set of rules by their position in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleSet([u64; WORDS]);

impl RuleSet {
    const MOST: usize = WORDS * 64;

    fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == [0; WORDS]
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, bits)| {
            let mut rest = bits;
            std::iter::from_fn(move || {
                let next = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(word * 64 + next)
            })
        })
    }
}

/// What a rule asks.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Hours { week: Week, holidays: Option<Calendar> },
    Cap(Cap),
    CoolOff(CoolOff),
    Consent(ConsentNeed),
    Registry(Registry),
    CallerId(CallerIdNeed),
    Abandonment(AbandonmentRule),
    SafeHarbour(SafeHarbour),
    Ring { seconds: u32 },
    Obligations(Obligations),
    Registration { registered_as: String },
    RevokesEveryTopic,
    Records { days: u32 },
}

/// One rule of the table.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    id: Arc<str>,
    pack: Arc<str>,
    pub(crate) jurisdiction: Jurisdiction,
    /// Its jurisdiction, as it stands in a sentence.
    pub(crate) place: Arc<str>,
    uses: Uses,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    pub(crate) kind: Kind,
    text: RuleText,
}

impl Rule {
    pub(crate) fn id(&self) -> Label {
        Label::Shared(self.id.clone())
    }

    pub(crate) fn pack(&self) -> Label {
        Label::Shared(self.pack.clone())
    }

    fn holds_at(&self, at: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// One rule as people read it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleInfo<'a> {
    /// Its name on verdicts.
    pub id: &'a str,
    /// Its pack and version.
    pub pack: &'a str,
    /// Whose rule it is.
    pub jurisdiction: Jurisdiction,
    /// The same, as it stands in a sentence.
    pub place: &'a str,
    /// Statute or other source.
    pub source: &'a str,
    /// What gives it force.
    pub basis: Basis,
    /// How sure we are.
    pub confidence: Confidence,
    /// What else to know.
    pub note: Option<&'a str>,
    /// From when it holds.
    pub from: Option<NaiveDate>,
    /// From when it no longer holds.
    pub until: Option<NaiveDate>,
}

/// All rule packs, compiled, with the tables that tell where a number is.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    by_jurisdiction: Vec<RuleSet>,
    by_use: [RuleSet; Uses::COUNT],
    /// From each of these instants on, these rules are in force.
    epochs: Vec<(DateTime<Utc>, RuleSet)>,
    /// Rules about hours.
    pub(crate) windows: RuleSet,
    /// Rules that widen every revocation.
    pub(crate) every_topic: RuleSet,
    version: Arc<str>,
    plan: Plan,
}

impl Rules {
    /// The packs that are built in.
    ///
    /// # Errors
    /// When a built-in file is wrong, which the tests of this crate rule out.
    pub fn embedded() -> Result<Self, PackError> {
        Self::parse(packs::PACKS, packs::CALENDARS)
    }

    /// Packs and holiday calendars given as `(file name, TOML text)`, to see what another law would have meant.
    ///
    /// # Errors
    /// Everything that is wrong with them, also where one says less than [`limits`].
    pub fn parse(packs: &[(&str, &str)], calendars: &[(&str, &str)]) -> Result<Self, PackError> {
        let texts: Vec<PackText> = packs::parse(packs)?;
        let calendars =
            Calendar::all(&packs::parse(calendars)?).map_err(|what| PackError::new("holidays", what))?;
        let mut rules = Vec::new();
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for ((file, _), pack) in packs.iter().zip(&texts) {
            if !seen.insert(pack.jurisdiction) {
                faults.push(format!("{file}: {} has a pack already", pack.jurisdiction));
            }
            let stem = pack.jurisdiction.code().to_ascii_lowercase();
            let label: Arc<str> = format!("{stem}@{}", pack.version).into();
            let place: Arc<str> = pack.name.as_str().into();
            let mut ids = BTreeSet::new();
            for text in &pack.rule {
                let id = format!("{stem}/{}", text.id);
                if !ids.insert(&text.id) {
                    faults.push(format!("{file}: {id} stands twice"));
                }
                match compile(text, &calendars) {
                    Ok(kind) => rules.push(Rule {
                        id: id.into(),
                        pack: label.clone(),
                        jurisdiction: pack.jurisdiction,
                        place: place.clone(),
                        uses: Uses::new(text.purposes.as_deref(), text.modes.as_deref()),
                        from: text.from.and_then(|day| midnight(pack.zone, day)),
                        until: text.until.and_then(|day| midnight(pack.zone, day)),
                        kind,
                        text: text.clone(),
                    }),
                    Err(what) => faults.extend(what.into_iter().map(|what| format!("{file}: {id}: {what}"))),
                }
            }
        }
        if rules.len() > RuleSet::MOST {
            faults.push(format!(
                "{} rules; the table takes {}",
                rules.len(),
                RuleSet::MOST
            ));
        }
        faults.extend(loosened(&rules, &seen));
        PackError::of(faults)?;
        let newest = texts
            .iter()
            .map(|pack| pack.version.as_str())
            .max()
            .unwrap_or("none");
        let mut digest = Sha256::new();
        for (file, text) in packs {
            digest.update(file.as_bytes());
            digest.update(text.as_bytes());
        }
        let digest: String = digest
            .finalize()
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self::table(
            rules,
            format!("{newest}-{digest}").into(),
            Plan::embedded()?,
        ))
    }

    fn table(rules: Vec<Rule>, version: Arc<str>, plan: Plan) -> Self {
        let set = |fits: &dyn Fn(&Rule) -> bool| {
            let mut set = RuleSet::default();
            for (index, _) in rules.iter().enumerate().filter(|(_, rule)| fits(rule)) {
                set.insert(index);
            }
            set
        };
        let by_jurisdiction = Jurisdiction::all()
            .map(|one| set(&|rule: &Rule| rule.jurisdiction == one))
            .collect();
        let by_use = std::array::from_fn(|index| set(&|rule: &Rule| rule.uses.has(index)));
        let starts: BTreeSet<DateTime<Utc>> = rules
            .iter()
            .flat_map(|rule| [rule.from, rule.until])
            .flatten()
            .chain([DateTime::<Utc>::MIN_UTC])
            .collect();
        let epochs = starts
            .into_iter()
            .map(|start| (start, set(&|rule: &Rule| rule.holds_at(start))))
            .collect();
        let windows = set(&|rule: &Rule| matches!(rule.kind, Kind::Hours { .. }));
        let every_topic = set(&|rule: &Rule| matches!(rule.kind, Kind::RevokesEveryTopic));
        Self {
            by_jurisdiction,
            by_use,
            epochs,
            windows,
            every_topic,
            version,
            plan,
            rules,
        }
    }

    /// The name of this set of packs: the newest version and a digest of all their text.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Every rule, for people.
    pub fn list(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        self.rules.iter().map(|rule| RuleInfo {
            id: &rule.id,
            pack: &rule.pack,
            jurisdiction: rule.jurisdiction,
            place: &rule.place,
            source: &rule.text.source,
            basis: rule.text.basis,
            confidence: rule.text.confidence,
            note: rule.text.note.as_deref(),
            from: rule.text.from,
            until: rule.text.until,
        })
    }

    /// The registers of people who do not want calls that some rule asks for.
    #[must_use]
    pub fn registers(&self) -> BTreeSet<&str> {
        let asked = self.rules.iter().filter_map(|rule| match &rule.kind {
            Kind::Registry(registry) => Some(registry.list.as_str()),
            _ => None,
        });
        asked.collect()
    }

    /// Where the person is, by everything that is known.
    #[must_use]
    pub fn place(&self, evidence: &Evidence<'_>) -> Place {
        place::resolve(&self.plan, evidence)
    }

    /// What kind of line an E.164 number is: for [`CallerId`](crate::CallerId).
    #[must_use]
    pub fn line(&self, number: &str) -> LineKind {
        self.plan.line(number)
    }

    /// The rules that hold for such a dial at `now`.
    pub(crate) fn active(
        &self,
        jurisdictions: Jurisdictions,
        purpose: Purpose,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = &Rule> {
        self.of(self.active_set(jurisdictions, purpose, mode, now))
    }

    pub(crate) fn of(&self, set: RuleSet) -> impl Iterator<Item = &Rule> {
        set.iter().filter_map(|index| self.rules.get(index))
    }

    pub(crate) fn active_set(
        &self,
        jurisdictions: Jurisdictions,
        purpose: Purpose,
        mode: Mode,
        now: DateTime<Utc>,
    ) -> RuleSet {
        let epoch = self
            .epochs
            .partition_point(|(start, _)| *start <= now)
            .saturating_sub(1);
        let in_force = self
            .epochs
            .get(epoch)
            .map_or_else(RuleSet::default, |(_, set)| *set);
        let here = jurisdictions
            .iter()
            .filter_map(|one| self.by_jurisdiction.get(one.index()))
            .fold(RuleSet::default(), |all, one| all.or(*one));
        here.and(in_force).and(self.by_use[Uses::index(purpose, mode)])
    }

    /// When the law changes next after `now`.
    pub(crate) fn next_change(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.epochs.partition_point(|(start, _)| *start <= now);
        self.epochs.get(next).map(|(start, _)| *start)
    }
}

/// The day's first instant in a zone.
fn midnight(zone: Tz, day: NaiveDate) -> Option<DateTime<Utc>> {
    let midnight = day.and_hms_opt(0, 0, 0)?;
    zone.from_local_datetime(&midnight)
        .earliest()
        .map(|at| at.with_timezone(&Utc))
}

fn compile(
    text: &RuleText,
    calendars: &std::collections::BTreeMap<String, Calendar>,
) -> Result<Kind, Vec<String>> {
    let mut faults = Vec::new();
    let mut kinds = Vec::new();
    let mut ask = |right: bool, otherwise: &str| {
        if !right {
            faults.push(otherwise.to_owned());
        }
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ask(
        !text.id.is_empty() && text.id.bytes().all(plain),
        "an id is made of a-z, 0-9 and -",
    );
    ask(!text.source.trim().is_empty(), "a rule names its source");
    ask(
        !matches!((text.from, text.until), (Some(from), Some(until)) if from >= until),
        "it ends before it begins",
    );
    if let Some(hours) = &text.hours {
        let outer = |(from, to): &(u16, u16)| *from >= limits::OPENS && *to <= limits::CLOSES;
        let inside = hours.week.days().iter().all(|day| day.spans().iter().all(outer));
        ask(inside, "hours reach beyond 08:00-21:00");
        let calendar = hours.holidays.as_ref().map(|name| calendars.get(name));
        ask(
            !matches!(calendar, Some(None)),
            "its holiday calendar does not exist",
        );
        kinds.push(Kind::Hours {
            week: hours.week,
            holidays: calendar.flatten().cloned(),
        });
    }
    if let Some(cap) = text.cap {
        ask(
            cap.calls > 0 && !cap.span().is_zero(),
            "a cap allows at least one call and spans some time",
        );
        kinds.push(Kind::Cap(cap));
    }
    if let Some(cool_off) = text.cool_off {
        ask(!cool_off.span().is_zero(), "a pause lasts some time");
        kinds.push(Kind::CoolOff(cool_off));
    }
    kinds.extend(text.consent.map(Kind::Consent));
    if let Some(registry) = &text.registry {
        ask(registry.max_age_days > 0, "a look-up is good for at least a day");
        kinds.push(Kind::Registry(registry.clone()));
    }
    kinds.extend(text.caller_id.clone().map(Kind::CallerId));
    if let Some(abandonment) = &text.abandonment {
        match abandonment.compile() {
            Some(limit) => {
                ask(
                    limit.ceiling <= limits::ABANDONMENT_CEILING,
                    "its share is above the ceiling of 3 %",
                );
                ask(limit.target <= limit.ceiling, "its target is above its ceiling");
                kinds.push(Kind::Abandonment(limit));
            }
            None => ask(false, "its share is no percentage"),
        }
    }
    if let Some(message) = text.safe_harbour {
        ask(
            message.within_ms <= limits::CONNECT_WITHIN_MS,
            "its message comes later than two seconds",
        );
        let complete = message.company_name && message.phone_number && message.key_press_opt_out;
        ask(
            complete,
            "its message must name company and number and offer a key",
        );
        kinds.push(Kind::SafeHarbour(message));
    }
    if let Some(ring) = text.ring {
        ask(
            ring.seconds >= limits::RING_FLOOR_SECONDS,
            "it rings shorter than fifteen seconds",
        );
        kinds.push(Kind::Ring {
            seconds: ring.seconds,
        });
    }
    if let Some(obligations) = &text.obligations {
        ask(!obligations.is_empty(), "it obliges to nothing");
        kinds.push(Kind::Obligations(obligations.iter().copied().collect()));
    }
    kinds.extend(
        text.registration
            .clone()
            .map(|registered_as| Kind::Registration { registered_as }),
    );
    kinds.extend(
        text.revocation
            .map(|packs::RevocationText::EveryTopic| Kind::RevokesEveryTopic),
    );
    if let Some(records) = text.records {
        ask(records.days > 0, "records are kept for at least a day");
        kinds.push(Kind::Records { days: records.days });
    }
    ask(kinds.len() == 1, "a rule asks exactly one thing");
    match kinds.pop() {
        Some(kind) if faults.is_empty() => Ok(kind),
        _ => Err(faults),
    }
}

/// Caps and pauses a pack no longer holds as tightly as the code says it must.
fn loosened(rules: &[Rule], packs: &BTreeSet<Jurisdiction>) -> Vec<String> {
    let holds = |code: &str, purpose: Purpose, fits: &dyn Fn(&Kind) -> bool| {
        let Some(jurisdiction) = Jurisdiction::parse(code).filter(|one| packs.contains(one)) else {
            // A set without this pack is for looking at another law, and says so by its version.
            return true;
        };
        rules.iter().any(|rule| {
            rule.jurisdiction == jurisdiction
                && rule.uses.covers(Uses::new(Some(&[purpose]), None))
                && rule.from.is_none()
                && rule.until.is_none()
                && fits(&rule.kind)
        })
    };
    let mut faults = Vec::new();
    for (code, purpose, cap) in limits::CAPS {
        if !holds(
            code,
            purpose,
            &|kind| matches!(kind, Kind::Cap(own) if own.at_least_as_tight_as(cap)),
        ) {
            faults.push(format!(
                "{code}: no cap as tight as {} calls in {} hours",
                cap.calls,
                cap.span().num_hours()
            ));
        }
    }
    for (code, purpose, pause) in limits::COOL_OFFS {
        if !holds(
            code,
            purpose,
            &|kind| matches!(kind, Kind::CoolOff(own) if own.at_least_as_tight_as(pause)),
        ) {
            faults.push(format!(
                "{code}: no pause as long as {} hours after {:?}",
                pause.span().num_hours(),
                pause.after
            ));
        }
    }
    faults
}
