//! The judge: every rule that holds for a dial, asked at one instant; and the first instant at which none objects.
//!
//! A rule that objects says until when it will, if time alone changes that. It objects without a break until then, so
//! no instant before the latest of these can be allowed, and stepping from latest to latest finds the first one that
//! is. Where the law itself changes in between, the step stops at the change.

use std::ops::ControlFlow;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::{
    capacity::{CallerIdNeed, Capacity},
    consent::{ConsentNeed, Listed, Met, Registry, unrevoked},
    facts::{Facts, SuppressionScope},
    history::{Cap, CoolOff, Cooling},
    hours::Day,
    jurisdiction::{Jurisdiction, Jurisdictions},
    label::Label,
    limits,
    opening::{HORIZON, Local, next_open},
    place::MOST_ZONES,
    request::{Mode, Purpose, Request},
    rules::{Kind, Rule, RuleSet, Rules},
    tightening::{Clock, Tightening},
    verdict::{Allowed, Code, Obligations, Reason, Refused, Verdict},
};

/// What the limits in code are called where a pack's version is named.
pub(crate) const HARD: &str = concat!("hard@", env!("CARGO_PKG_VERSION"));
const TENANT: &str = "tenant";

/// Steps after which hours that never overlap are given up.
const MOST_STEPS: usize = 2_000;

/// Who objects.
#[derive(Clone, Copy)]
enum By<'r> {
    /// A limit in code.
    Hard(&'static str),
    /// A rule of a pack.
    Pack(&'r Rule),
    /// What the tenant added.
    Tenant(&'static str),
}

/// One objection at one instant.
struct Hold<'r> {
    code: Code,
    by: By<'r>,
    zone: Option<Tz>,
    /// Until then without a break; `None` is until something other than time changes.
    until: Option<DateTime<Utc>>,
}

impl<'r> Hold<'r> {
    fn lasting(code: Code, by: By<'r>) -> Self {
        Self {
            code,
            by,
            zone: None,
            until: None,
        }
    }

    fn until(code: Code, by: By<'r>, until: Option<DateTime<Utc>>) -> Self {
        Self {
            code,
            by,
            zone: None,
            until,
        }
    }
}

impl From<Hold<'_>> for Reason {
    fn from(hold: Hold<'_>) -> Self {
        let (rule, pack) = match hold.by {
            By::Hard(rule) => (Label::Fixed(rule), Label::Fixed(HARD)),
            By::Tenant(rule) => (Label::Fixed(rule), Label::Fixed(TENANT)),
            By::Pack(rule) => (rule.id(), rule.pack()),
        };
        Self {
            code: hold.code,
            rule,
            pack,
            zone: hold.zone,
            until: hold.until,
        }
    }
}

impl Rules {
    /// Whether the dial may be made at `now`, by every rule that holds where the person may be.
    pub fn judge(&self, request: &Request<'_>, facts: &Facts, now: DateTime<Utc>) -> Verdict {
        let mut reasons = Vec::new();
        let bench = Bench {
            rules: self,
            request,
            facts,
            now,
            thorough: true,
        };
        let obligations = bench.holds(&mut |hold| {
            reasons.push(Reason::from(hold));
            ControlFlow::Continue(())
        });
        let (rules, zones) = (self.version().clone(), request.place.zones().clone());
        let jurisdictions = request.place.jurisdictions();
        if reasons.is_empty() {
            return Verdict::Allowed(Allowed {
                judged_at: now,
                rules,
                jurisdictions,
                zones,
                obligations,
            });
        }
        let next_eligible_at = self.next_eligible_at(request, facts, now);
        Verdict::Refused(Refused {
            judged_at: now,
            rules,
            jurisdictions,
            zones,
            reasons,
            next_eligible_at,
        })
    }

    /// The first instant from `from` on at which the dial would be allowed if nothing but time changed; `None` when
    /// there is none within 400 days. Capacity is taken as it is in the request.
    #[must_use]
    pub fn next_eligible_at(
        &self,
        request: &Request<'_>,
        facts: &Facts,
        from: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let last = from + HORIZON;
        let mut now = from;
        for _ in 0..MOST_STEPS {
            let (mut until, mut lasting) = (None, false);
            let bench = Bench {
                rules: self,
                request,
                facts,
                now,
                thorough: false,
            };
            bench.holds(&mut |hold: Hold<'_>| {
                match hold.until {
                    Some(at) => until = until.max(Some(at)),
                    None => lasting = true,
                }
                // Hours are asked last, and one closed window is enough to go on from.
                if hold.code.is_window() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let change = self.next_change(now);
            now = match (lasting, until) {
                (true, _) => change?,
                (false, None) => return Some(now),
                (false, Some(at)) => change.map_or(at, |change| change.min(at)),
            };
            if now > last {
                break;
            }
        }
        None
    }

    /// What a call in which an AI agent talks is obliged to in these jurisdictions, whatever it is made for. Nobody's law
    /// is taken for everybody's: where nobody knows the place, the strictest holds.
    #[must_use]
    pub fn obliges_ai(&self, jurisdictions: Jurisdictions, now: DateTime<Utc>) -> Obligations {
        let jurisdictions = if jurisdictions.is_empty() {
            Jurisdictions::NONE.with(Jurisdiction::UNKNOWN)
        } else {
            jurisdictions
        };
        let mut obligations = Obligations::default();
        for purpose in Purpose::ALL {
            for rule in self.of(self.active_set(jurisdictions, purpose, Mode::Ai, now)) {
                if let Kind::Obligations(more) = rule.kind {
                    obligations = obligations.union(more);
                }
            }
        }
        obligations
    }

    /// Whether an AI agent may take a call that is under way, made for a person: everything about the person's will,
    /// and nothing about the hour or the number of attempts, which the call itself has passed.
    ///
    /// # Errors
    /// Why it may not.
    pub fn ai_may_take_over(
        &self,
        request: &Request<'_>,
        facts: &Facts,
        now: DateTime<Utc>,
    ) -> Result<Obligations, Vec<Reason>> {
        let request = Request {
            mode: Mode::Ai,
            ..*request
        };
        let mut reasons = Vec::new();
        let bench = Bench {
            rules: self,
            request: &request,
            facts,
            now,
            thorough: false,
        };
        let obligations = bench.holds(&mut |hold: Hold<'_>| {
            // Hours are asked last.
            if hold.code.is_window() {
                return ControlFlow::Break(());
            }
            if hold.code.is_the_persons_will() {
                reasons.push(Reason::from(hold));
            }
            ControlFlow::Continue(())
        });
        if reasons.is_empty() {
            Ok(obligations)
        } else {
            Err(reasons)
        }
    }
}

/// One dial before the judge at one instant.
struct Bench<'a> {
    rules: &'a Rules,
    request: &'a Request<'a>,
    facts: &'a Facts,
    now: DateTime<Utc>,
    /// Hours are asked in every zone, not only until one is closed.
    thorough: bool,
}

impl<'a> Bench<'a> {
    /// Gives every objection to `sink`, hours last, until it breaks off; answers what the call is obliged to.
    fn holds(&self, sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>) -> Obligations {
        let mut obligations = Obligations::default();
        // Breaking off early is the sink's own wish; nothing is left to do about it.
        let _: ControlFlow<()> = self.all(&mut obligations, sink);
        obligations
    }

    fn all(
        &self,
        obligations: &mut Obligations,
        sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Request {
            place, purpose, mode, ..
        } = *self.request;
        let active = self
            .rules
            .active_set(place.jurisdictions(), purpose, mode, self.now);
        let every_topic = !active.and(self.rules.every_topic).is_empty();
        self.hard(every_topic, sink)?;
        for rule in self.rules.of(active.without(self.rules.windows)) {
            if let Kind::Obligations(more) = rule.kind {
                *obligations = obligations.union(more);
            } else if let Some(hold) = self.asks(rule, every_topic) {
                sink(hold)?;
            }
        }
        self.wishes(every_topic, sink)?;
        self.windows(active.and(self.rules.windows), sink)
    }

    /// The limits in code that are not about hours.
    fn hard(&self, every_topic: bool, sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
        let request = self.request;
        let staffed = match request.mode {
            Mode::Ai => request.capacity == Capacity::Ai,
            _ => request.capacity == Capacity::Agents,
        };
        if !staffed {
            sink(Hold::lasting(Code::NoLiveLease, By::Hard("hard/live-lease")))?;
        }
        if !request.caller_id.valid {
            sink(Hold::lasting(Code::CallerIdInvalid, By::Hard("hard/caller-id")))?;
        }
        if !request.caller_id.owned {
            sink(Hold::lasting(Code::CallerIdNotOwned, By::Hard("hard/caller-id")))?;
        }
        for suppression in &self.facts.suppressions {
            if suppression.expires_at.is_none_or(|at| at > self.now) {
                let by = By::Hard(match suppression.scope {
                    SuppressionScope::Tenant => "hard/suppression-tenant",
                    SuppressionScope::Company => "hard/suppression-company",
                    SuppressionScope::Campaign => "hard/suppression-campaign",
                });
                sink(Hold::until(Code::Suppressed, by, suppression.expires_at))?;
            }
        }
        let revoked = unrevoked(request, self.facts, every_topic, self.now);
        self.unmet(revoked, Code::ConsentRevoked, By::Hard("hard/revocation"), sink)?;
        if request.mode == Mode::Ai {
            let need = limits::ai_consent(request.purpose);
            let met = need.met(request, self.facts, every_topic, self.now);
            self.unmet(met, Code::AiConsentMissing, By::Hard("hard/ai-consent"), sink)?;
        }
        ControlFlow::Continue(())
    }

    fn unmet(
        &self,
        met: Met,
        code: Code,
        by: By<'a>,
        sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match met {
            Met::Yes => ControlFlow::Continue(()),
            Met::From(at) => sink(Hold::until(code, by, Some(at))),
            Met::No => sink(Hold::lasting(code, by)),
        }
    }

    /// What one rule of a pack says, if it is not about hours.
    fn asks(&self, rule: &'a Rule, every_topic: bool) -> Option<Hold<'a>> {
        let by = By::Pack(rule);
        match &rule.kind {
            Kind::Cap(cap) => self.cap(*cap, by),
            Kind::CoolOff(pause) => self.cool_off(*pause, by),
            Kind::Consent(need) => self.consent(need, by, every_topic),
            Kind::Registry(registry) => self.registry(registry, by, every_topic),
            Kind::CallerId(need) => self.caller_id(need, by),
            Kind::Registration { .. } => {
                let registered = self.request.registered.contains(rule.jurisdiction);
                (!registered).then(|| Hold::lasting(Code::RegistrationMissing, by))
            }
            // About a campaign, not about a dial; or asked elsewhere.
            Kind::Hours { .. }
            | Kind::Abandonment(_)
            | Kind::SafeHarbour(_)
            | Kind::Ring { .. }
            | Kind::Obligations(_)
            | Kind::RevokesEveryTopic
            | Kind::Records { .. } => None,
        }
    }

    fn cap(&self, cap: Cap, by: By<'a>) -> Option<Hold<'a>> {
        let until = cap.full(self.request, &self.facts.attempts, self.now)?;
        Some(Hold::until(Code::PersonCap, by, until))
    }

    fn cool_off(&self, pause: CoolOff, by: By<'a>) -> Option<Hold<'a>> {
        let until = pause.until(self.request, &self.facts.attempts, self.now)?;
        let code = match pause.after {
            Cooling::Refusal => Code::CoolOffRefusal,
            Cooling::Abandoned => Code::CoolOffAbandoned,
            Cooling::Machine => Code::CoolOffMachine,
            Cooling::Conversation => Code::CoolOffConversation,
        };
        Some(Hold::until(code, by, Some(until)))
    }

    fn consent(&self, need: &ConsentNeed, by: By<'a>, every_topic: bool) -> Option<Hold<'a>> {
        let code = if need.automated {
            Code::AiConsentMissing
        } else {
            Code::ConsentMissing
        };
        match need.met(self.request, self.facts, every_topic, self.now) {
            Met::Yes => None,
            Met::From(at) => Some(Hold::until(code, by, Some(at))),
            Met::No => Some(Hold::lasting(code, by)),
        }
    }

    fn registry(&self, registry: &Registry, by: By<'a>, every_topic: bool) -> Option<Hold<'a>> {
        let (listed, lifted) = registry.against(self.request, self.facts, every_topic, self.now)?;
        let code = match listed {
            Listed::Unasked => Code::RegisterCheckMissing,
            Listed::Yes => Code::OnRegister,
        };
        Some(Hold::until(code, by, lifted))
    }

    fn caller_id(&self, need: &CallerIdNeed, by: By<'a>) -> Option<Hold<'a>> {
        let id = self.request.caller_id;
        let code = if need.forbids(id) {
            Code::CallerIdKindForbidden
        } else if need.lacks_answer(id) {
            Code::CallerIdUnanswered
        } else if need.lacks_presence(id) {
            Code::CallerIdWithoutPresence
        } else {
            return None;
        };
        Some(Hold::lasting(code, by))
    }

    /// What tenant, company and campaign add, but for hours.
    fn wishes(
        &self,
        every_topic: bool,
        sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for wish in self.request.tightening {
            if wish.no_ai && self.request.mode == Mode::Ai {
                sink(Hold::lasting(Code::AiForbidden, By::Tenant("tenant/no-ai")))?;
            }
            if !self.wanted_place(wish) {
                sink(Hold::lasting(Code::PlaceExcluded, By::Tenant("tenant/only")))?;
            }
            let caps = wish
                .caps
                .iter()
                .filter_map(|cap| self.cap(*cap, By::Tenant("tenant/cap")));
            let pauses = wish.cool_offs.iter();
            let pauses = pauses.filter_map(|pause| self.cool_off(*pause, By::Tenant("tenant/cool-off")));
            let consents = wish.consent.iter();
            let consents =
                consents.filter_map(|need| self.consent(need, By::Tenant("tenant/consent"), every_topic));
            let registries = wish.registries.iter();
            let registries =
                registries.filter_map(|list| self.registry(list, By::Tenant("tenant/register"), every_topic));
            for hold in caps.chain(pauses).chain(consents).chain(registries) {
                sink(hold)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn wanted_place(&self, wish: &Tightening) -> bool {
        wish.only.is_none_or(|only| {
            let national = self
                .request
                .place
                .jurisdictions()
                .iter()
                .filter(|one| !one.code().contains('-'));
            national.into_iter().all(|one| only.contains(one))
        })
    }

    /// Everything about hours.
    fn windows(&self, rules: RuleSet, sink: &mut impl FnMut(Hold<'a>) -> ControlFlow<()>) -> ControlFlow<()> {
        let place = self.request.place;
        let zones = place.zones();
        if zones.is_empty() {
            return sink(Hold::lasting(Code::TimeZoneUnknown, By::Hard("hard/time-zone")));
        }
        let mut walls = [Local::default(); MOST_ZONES];
        for (wall, zone) in walls.iter_mut().zip(zones.iter()) {
            *wall = Local::of(self.now, *zone);
        }
        let every_zone = u32::MAX >> (MOST_ZONES - zones.len().min(MOST_ZONES));
        let walls = Walls {
            zones,
            walls: &walls,
            now: self.now,
            thorough: self.thorough,
        };

        let outer = walls.closed(every_zone, |_| Day::one(limits::OPENS, limits::CLOSES));
        if let Some((zone, until)) = outer {
            let by = By::Hard("hard/outer-hours");
            sink(Hold {
                code: Code::OutsideCallingWindow,
                by,
                zone: Some(zone),
                until,
            })?;
        }
        for rule in self.rules.of(rules) {
            let Kind::Hours { week, holidays } = &rule.kind else {
                continue;
            };
            let holiday = |date| holidays.as_ref().is_some_and(|calendar| calendar.has(date));
            let closed = walls.closed(place.zones_of(rule.jurisdiction), |date| {
                if holiday(date) {
                    Day::CLOSED
                } else {
                    *week.day(date.weekday())
                }
            });
            if let Some((zone, until)) = closed {
                let wall = Local::of(self.now, zone);
                let would_be_open = week.day(wall.date().weekday()).contains(wall.minute());
                let code = if would_be_open {
                    Code::Holiday
                } else {
                    Code::OutsideCallingWindow
                };
                sink(Hold {
                    code,
                    by: By::Pack(rule),
                    zone: Some(zone),
                    until,
                })?;
            }
        }
        for calendar in self
            .request
            .tightening
            .iter()
            .filter_map(|wish| wish.calendar.as_ref())
        {
            let closed = match calendar.clock {
                Clock::Called => walls.closed(every_zone, |date| calendar.day(date)),
                Clock::Zone(zone) => {
                    let wall = [Local::of(self.now, zone)];
                    let office = Walls {
                        zones: &[zone],
                        walls: &wall,
                        ..walls
                    };
                    office.closed(1, |date| calendar.day(date))
                }
            };
            if let Some((zone, until)) = closed {
                let by = By::Tenant("tenant/calendar");
                sink(Hold {
                    code: Code::OutsideTenantCalendar,
                    by,
                    zone: Some(zone),
                    until,
                })?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// The clocks on the walls of all zones.
#[derive(Clone, Copy)]
struct Walls<'w> {
    zones: &'w [Tz],
    walls: &'w [Local],
    now: DateTime<Utc>,
    thorough: bool,
}

impl Walls<'_> {
    /// Of the zones in `which` where `hours` are closed now: the one that opens last, and when. When one of them never
    /// opens, that one.
    fn closed(&self, which: u32, hours: impl Fn(NaiveDate) -> Day) -> Option<(Tz, Option<DateTime<Utc>>)> {
        let mut last: Option<(Tz, Option<DateTime<Utc>>)> = None;
        for (index, (zone, wall)) in self.zones.iter().zip(self.walls).enumerate() {
            if which & 1 << index == 0 || hours(wall.date()).contains(wall.minute()) {
                continue;
            }
            let opens = next_open(*zone, self.now, &hours);
            let later = match (&last, opens) {
                (None, _) | (Some((_, Some(_))), None) => true,
                (Some((_, Some(known))), Some(opens)) => opens > *known,
                (Some((_, None)), _) => false,
            };
            if later {
                last = Some((*zone, opens));
            }
            if !self.thorough {
                break;
            }
        }
        last
    }
}
