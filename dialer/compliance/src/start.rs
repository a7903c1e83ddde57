//! Whether a campaign may begin: everything that is missing, at once, in words for the person who set it up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    abandonment::{SafeHarbour, Share},
    capacity::{CallerId, CallerIdNeed},
    consent::{ConsentClass, ConsentNeed},
    judge::HARD,
    jurisdiction::Jurisdictions,
    label::Label,
    limits,
    request::{Mode, Purpose},
    rules::{Kind, Rule, Rules},
    tightening::Tightening,
    verdict::Obligation,
};

/// A campaign as it is set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignFacts {
    /// Where its contacts are.
    pub jurisdictions: Jurisdictions,
    /// Why it calls.
    pub purpose: Purpose,
    /// How it calls.
    pub mode: Mode,
    /// AI agents take calls nobody else can take.
    pub ai_overflow: bool,
    /// The numbers it may show.
    pub caller_ids: Vec<CallerId>,
    /// What somebody hears whom nobody can talk to.
    pub safe_harbour: Option<SafeHarbourMessage>,
    /// The share of abandoned calls it steers for.
    pub abandonment: Share,
    /// How soon an answered call reaches an agent or the message.
    pub connect_within_ms: u32,
    /// How long an unanswered call rings.
    pub ring_seconds: u32,
    /// The kinds of consent on which its lists were gathered.
    pub consents: Vec<ConsentBasis>,
    /// Its AI agent says that it is one.
    pub ai_discloses: bool,
    /// The call begins with the company's name and number.
    pub identifies_at_start: bool,
    /// Its AI agent offers to opt out.
    pub ai_offers_opt_out: bool,
    /// Calls are recorded.
    pub records_calls: bool,
    /// Everybody is asked before recording.
    pub asks_before_recording: bool,
    /// Where the company is registered to call.
    pub registered: Jurisdictions,
    /// How long call records are kept.
    pub records_kept_days: u32,
}

/// The recording that is played when nobody is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafeHarbourMessage {
    /// The audio exists and can be played.
    pub audio: bool,
    /// It says for whom the call was made.
    pub company_name: bool,
    /// It says a number to call.
    pub phone_number: bool,
    /// Pressing a key opts out.
    pub key_press_opt_out: bool,
    /// It sells something.
    pub sells: bool,
    /// It begins within this time.
    pub within_ms: u32,
}

/// A kind of consent a list was gathered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentBasis {
    /// How it was given.
    pub class: ConsentClass,
    /// It covers advertising.
    pub marketing: bool,
    /// It covers an artificial voice.
    pub automated: bool,
    /// Its records are kept.
    pub proof: bool,
}

impl ConsentBasis {
    fn answers(&self, need: &ConsentNeed) -> bool {
        self.class >= need.class
            && (self.marketing || !need.marketing)
            && (self.automated || !need.automated)
            && (self.proof || !need.proof)
    }
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// The kinds of fault. The names on the wire never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum FaultCode {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl FaultCode {
            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

faults! {
    /// Nobody to call.
    NoJurisdiction = "no_jurisdiction",
    /// No number to show that is ours.
    NoOwnedCallerId = "no_owned_caller_id",
    /// A number in the pool is not ours.
    CallerIdNotOwned = "caller_id_not_owned",
    /// A number in the pool cannot exist.
    CallerIdInvalid = "caller_id_invalid",
    /// A number in the pool is of a kind that may not be shown there.
    CallerIdKindForbidden = "caller_id_kind_forbidden",
    /// Nobody answers a number in the pool.
    CallerIdUnanswered = "caller_id_unanswered",
    /// A number in the pool claims a place where the company is not.
    CallerIdWithoutPresence = "caller_id_without_presence",
    /// No message for people nobody can talk to.
    NoSafeHarbourAudio = "no_safe_harbour_audio",
    /// The message does not name the company.
    SafeHarbourWithoutName = "safe_harbour_without_name",
    /// The message gives no number.
    SafeHarbourWithoutNumber = "safe_harbour_without_number",
    /// The message offers no key to opt out.
    SafeHarbourWithoutKeyPress = "safe_harbour_without_key_press",
    /// The message sells.
    SafeHarbourSells = "safe_harbour_sells",
    /// The message comes too late.
    SafeHarbourTooLate = "safe_harbour_too_late",
    /// Steers for more abandoned calls than are allowed.
    AbandonmentAboveCeiling = "abandonment_above_ceiling",
    /// An answered call waits too long.
    ConnectTooLate = "connect_too_late",
    /// Hangs up while it still must ring.
    RingTooShort = "ring_too_short",
    /// No consent on which an artificial voice may call.
    NoAiConsentBasis = "no_ai_consent_basis",
    /// The tenant forbids artificial voices.
    AiForbidden = "ai_forbidden",
    /// No consent on which anybody may call.
    NoConsentBasis = "no_consent_basis",
    /// The AI agent does not say what it is.
    AiNotDisclosed = "ai_not_disclosed",
    /// The call does not begin by saying who calls.
    NotIdentified = "not_identified",
    /// The AI agent offers no way out.
    AiWithoutOptOut = "ai_without_opt_out",
    /// Records people who were not asked.
    RecordingWithoutConsent = "recording_without_consent",
    /// Calls are recorded where people must be told first, and nobody tells them.
    RecordingNotAnnounced = "recording_not_announced",
    /// Not registered to call there.
    NotRegistered = "not_registered",
    /// Call records are not kept as long as they must be.
    RecordsTooShort = "records_too_short",
}

/// One reason why a campaign may not begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StartFault {
    /// What kind.
    pub code: FaultCode,
    /// What to do about it, for people.
    pub message: String,
    /// The rule.
    pub rule: Label,
    /// Its pack and version.
    pub pack: Label,
}

/// Collects faults: the same one from two rules is told once, with the first rule that asks.
#[derive(Default)]
struct Faults(Vec<StartFault>);

impl Faults {
    fn hard(&mut self, wrong: bool, code: FaultCode, message: impl Into<String>) {
        self.add(
            wrong,
            code,
            message,
            Label::Fixed("hard/start"),
            Label::Fixed(HARD),
        );
    }

    fn pack(&mut self, wrong: bool, code: FaultCode, message: impl Into<String>, rule: &Rule) {
        self.add(wrong, code, message, rule.id(), rule.pack());
    }

    fn add(&mut self, wrong: bool, code: FaultCode, message: impl Into<String>, rule: Label, pack: Label) {
        if !wrong {
            return;
        }
        let message = message.into();
        if !self
            .0
            .iter()
            .any(|known| known.code == code && known.message == message)
        {
            self.0.push(StartFault {
                code,
                message,
                rule,
                pack,
            });
        }
    }
}

impl Rules {
    /// Whether the campaign may begin at `now`. A dial is judged again on its own: this only says early, and all at
    /// once, what would refuse every dial or break a duty no single dial shows.
    ///
    /// # Errors
    /// Everything that stands against it.
    pub fn may_start(
        &self,
        campaign: &CampaignFacts,
        tightening: &[Tightening],
        now: DateTime<Utc>,
    ) -> Result<(), Vec<StartFault>> {
        let mut faults = Faults::default();
        faults.hard(
            campaign.jurisdictions.is_empty(),
            FaultCode::NoJurisdiction,
            "The campaign has no contacts whose place is known or unknown: add a list first.",
        );
        caller_ids(campaign, &mut faults);
        self.abandonment(campaign, tightening, now, &mut faults);
        let ring = tightening.iter().filter_map(|wish| wish.ring_at_least_seconds);
        let ring = ring.fold(limits::RING_FLOOR_SECONDS, u32::max);
        faults.hard(
            campaign.ring_seconds < ring,
            FaultCode::RingTooShort,
            rings(campaign, ring),
        );

        let uses_ai = campaign.mode == Mode::Ai || campaign.ai_overflow;
        if uses_ai {
            let forbidden = tightening.iter().any(|wish| wish.no_ai);
            let message = "Artificial voices are switched off for this tenant: choose another mode, and no overflow to AI.";
            faults.hard(forbidden, FaultCode::AiForbidden, message);
            let need = limits::ai_consent(campaign.purpose);
            let lacks = !campaign.consents.iter().any(|basis| basis.answers(&need));
            faults.hard(
                lacks,
                FaultCode::NoAiConsentBasis,
                ai_consent_message(campaign.purpose),
            );
        }
        // With overflow, what is asked of an artificial voice is asked as well.
        let modes = [Some(campaign.mode), campaign.ai_overflow.then_some(Mode::Ai)];
        for mode in modes.into_iter().flatten() {
            for rule in self.active(campaign.jurisdictions, campaign.purpose, mode, now) {
                asks(rule, campaign, &mut faults);
            }
        }
        if faults.0.is_empty() {
            Ok(())
        } else {
            Err(faults.0)
        }
    }

    fn abandonment(
        &self,
        campaign: &CampaignFacts,
        tightening: &[Tightening],
        now: DateTime<Utc>,
        faults: &mut Faults,
    ) {
        if !campaign.mode.may_abandon() {
            return;
        }
        let needed = self.safe_harbour(campaign.jurisdictions, campaign.purpose, now);
        message(campaign.safe_harbour.as_ref(), needed, faults);
        let of_packs = self.abandonment_limits(campaign.jurisdictions, campaign.purpose, now);
        let of_tenant = tightening.iter().filter_map(|wish| wish.abandonment);
        let ceiling = of_packs
            .iter()
            .map(|limit| limit.ceiling)
            .chain(of_tenant)
            .fold(limits::ABANDONMENT_CEILING, Share::min);
        let text = format!(
            "The campaign would abandon up to {} of answered calls; no more than {ceiling} is allowed: lower the limit.",
            campaign.abandonment
        );
        faults.hard(
            campaign.abandonment > ceiling,
            FaultCode::AbandonmentAboveCeiling,
            text,
        );
        let text = format!(
            "An answered call may wait {} ms for an agent; after {} ms the person must be talking to somebody or hear the message.",
            campaign.connect_within_ms,
            limits::CONNECT_WITHIN_MS
        );
        let late = campaign.connect_within_ms > limits::CONNECT_WITHIN_MS;
        faults.hard(late, FaultCode::ConnectTooLate, text);
    }
}

fn rings(campaign: &CampaignFacts, least: u32) -> String {
    format!(
        "Calls ring for {} s; let them ring for at least {least} s.",
        campaign.ring_seconds
    )
}

fn ai_consent_message(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Telemarketing => {
            "An AI agent may sell only to people who agreed in writing to such calls by an artificial voice: name the consent the lists were gathered on, or let people call."
        }
        Purpose::Informational | Purpose::DebtCollection => {
            "An AI agent may call only people who agreed to be called by an artificial voice: name the consent the lists were gathered on, or let people call."
        }
    }
}

fn caller_ids(campaign: &CampaignFacts, faults: &mut Faults) {
    let usable = campaign.caller_ids.iter().any(|id| id.owned && id.valid);
    let message = "No number to show: add one that is yours and that the carrier has confirmed.";
    faults.hard(!usable, FaultCode::NoOwnedCallerId, message);
    for (index, id) in campaign.caller_ids.iter().enumerate() {
        let position = index + 1;
        let message =
            format!("Number {position} of the pool is not confirmed as yours: confirm or remove it.");
        faults.hard(!id.owned, FaultCode::CallerIdNotOwned, message);
        let message =
            format!("Number {position} of the pool is no number that can exist: correct or remove it.");
        faults.hard(!id.valid, FaultCode::CallerIdInvalid, message);
    }
}

fn message(message: Option<&SafeHarbourMessage>, needed: SafeHarbour, faults: &mut Faults) {
    let Some(message) = message.filter(|message| message.audio) else {
        let text = "No message for people who answer while nobody is free: record one that names the company and a number and lets them opt out by a key.";
        faults.hard(true, FaultCode::NoSafeHarbourAudio, text);
        return;
    };
    faults.hard(
        needed.company_name && !message.company_name,
        FaultCode::SafeHarbourWithoutName,
        "The message for abandoned calls must say for whom the call was made.",
    );
    faults.hard(
        needed.phone_number && !message.phone_number,
        FaultCode::SafeHarbourWithoutNumber,
        "The message for abandoned calls must say a number people can call.",
    );
    faults.hard(
        needed.key_press_opt_out && !message.key_press_opt_out,
        FaultCode::SafeHarbourWithoutKeyPress,
        "The message for abandoned calls must let people opt out by pressing a key.",
    );
    faults.hard(
        needed.no_marketing && message.sells,
        FaultCode::SafeHarbourSells,
        "The message for abandoned calls must not advertise anything.",
    );
    let text = format!(
        "The message for abandoned calls begins after {} ms; it must begin within {} ms.",
        message.within_ms, needed.within_ms
    );
    faults.hard(
        message.within_ms > needed.within_ms,
        FaultCode::SafeHarbourTooLate,
        text,
    );
}

/// What one rule asks of the campaign as a whole.
fn asks(rule: &Rule, campaign: &CampaignFacts, faults: &mut Faults) {
    let place = &rule.place;
    match &rule.kind {
        Kind::Ring { seconds } => {
            let short = campaign.ring_seconds < *seconds;
            faults.pack(short, FaultCode::RingTooShort, rings(campaign, *seconds), rule);
        }
        Kind::CallerId(need) => shown(need, rule, campaign, faults),
        Kind::Consent(need) => {
            // Customers and contracts are facts about a person; a dial will say.
            let excused = need.customer_months > 0 || need.inquiry_months > 0 || need.contract;
            let lacks = !excused && !campaign.consents.iter().any(|basis| basis.answers(need));
            let (code, who) = if need.automated {
                (FaultCode::NoAiConsentBasis, "An AI agent")
            } else {
                (FaultCode::NoConsentBasis, "Anybody")
            };
            let proof = if need.proof { ", with a record of it" } else { "" };
            let text = format!(
                "{who} may call into {place} only on consent{proof}: name the consent the lists were gathered on."
            );
            faults.pack(lacks, code, text, rule);
        }
        Kind::Obligations(needed) => {
            for one in needed.iter() {
                let (wrong, code, text) = match one {
                    Obligation::DiscloseAi => (
                        !campaign.ai_discloses,
                        FaultCode::AiNotDisclosed,
                        "The AI agent must say at the beginning that it is one.",
                    ),
                    Obligation::IdentifyAtStart => (
                        !campaign.identifies_at_start,
                        FaultCode::NotIdentified,
                        "The call must begin by saying for whom it is made, and a number.",
                    ),
                    Obligation::KeyPressOptOut => (
                        !campaign.ai_offers_opt_out,
                        FaultCode::AiWithoutOptOut,
                        "The AI agent must offer to opt out, within two seconds of saying who calls.",
                    ),
                    Obligation::AllPartyRecordingConsent => (
                        campaign.records_calls && !campaign.asks_before_recording,
                        FaultCode::RecordingWithoutConsent,
                        "Calls are recorded: ask everybody on the call first, or do not record.",
                    ),
                    Obligation::AnnounceRecording => (
                        campaign.records_calls && !campaign.asks_before_recording,
                        FaultCode::RecordingNotAnnounced,
                        "Calls are recorded: tell everybody on the call first, or do not record.",
                    ),
                };
                faults.pack(wrong, code, text, rule);
            }
        }
        Kind::Registration { registered_as } => {
            let text = format!(
                "Calls into {place} need a registration as {registered_as}: register, or leave {place} out."
            );
            faults.pack(
                !campaign.registered.contains(rule.jurisdiction),
                FaultCode::NotRegistered,
                text,
                rule,
            );
        }
        Kind::Records { days } => {
            let text = format!(
                "Call records are kept for {} days; {place} asks for {days}.",
                campaign.records_kept_days
            );
            faults.pack(
                campaign.records_kept_days < *days,
                FaultCode::RecordsTooShort,
                text,
                rule,
            );
        }
        Kind::Hours { .. }
        | Kind::Cap(_)
        | Kind::CoolOff(_)
        | Kind::Registry(_)
        | Kind::Abandonment(_)
        | Kind::SafeHarbour(_)
        | Kind::RevokesEveryTopic => {}
    }
}

fn shown(need: &CallerIdNeed, rule: &Rule, campaign: &CampaignFacts, faults: &mut Faults) {
    let place = &rule.place;
    for (index, id) in campaign.caller_ids.iter().enumerate() {
        let position = index + 1;
        let text = format!(
            "Number {position} of the pool is of a kind that may not be shown in {place}: remove it, or leave {place} out."
        );
        faults.pack(need.forbids(*id), FaultCode::CallerIdKindForbidden, text, rule);
        let text =
            format!("Number {position} of the pool is shown but not answered: connect it to somebody.");
        faults.pack(need.lacks_answer(*id), FaultCode::CallerIdUnanswered, text, rule);
        let text = format!(
            "Number {position} of the pool belongs to a place where the company is not: remove it for {place}."
        );
        faults.pack(
            need.lacks_presence(*id),
            FaultCode::CallerIdWithoutPresence,
            text,
            rule,
        );
    }
}
