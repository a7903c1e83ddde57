//! The rule packs as the gate of every dial.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use voice_compliance::{
    Address, AttemptEnd, CallerId, CampaignFacts, Capacity, Company, ConsentBasis, ConsentClass, Country,
    Evidence, Facts as LegalFacts, Jurisdiction, Jurisdictions, Mode as LegalMode, Obligation, PackError,
    PastAttempt, Purpose, RegistryCheck, Relationship, Request, Revocation, RevocationScope, Rules,
    SafeHarbourMessage, Share, Suppression, SuppressionScope, Verdict as LegalVerdict,
};
use voice_telephony::media::{Duties, RecordingDuty};

use crate::{
    answer::PATIENCE,
    campaigns::{Campaign, Fault, Mode},
    gate::{Caller, Consent, Earlier, Facts, Gate, Verdict},
    retry::Class,
};

/// The rule packs that are built in.
#[derive(Clone, Debug)]
pub struct Law(Arc<Rules>);

impl Law {
    /// The packs that are built in.
    ///
    /// # Errors
    /// When one of them cannot be read, which their own tests rule out.
    pub fn embedded() -> Result<Self, PackError> {
        Ok(Self(Arc::new(Rules::embedded()?)))
    }

    fn caller(&self, caller: &Caller) -> CallerId {
        let kind = self.0.line(caller.number.expose());
        CallerId {
            valid: true,
            // Only numbers that were proven to be ours and to answer are offered.
            owned: true,
            answers: true,
            presence: caller.presence,
            kind,
        }
    }
}

impl Gate for Law {
    fn judge(&self, campaign: &Campaign, facts: &Facts, now: DateTime<Utc>) -> Verdict {
        let evidence = Evidence {
            number: &facts.e164,
            address: facts
                .address_country
                .as_deref()
                .and_then(|country| country.parse::<Country>().ok())
                .map(|country| Address {
                    country,
                    subdivision: facts.address_state.as_deref(),
                    postal_code: None,
                }),
            zone: facts.timezone.as_deref().and_then(|zone| zone.parse().ok()),
        };
        let place = self.0.place(&evidence);
        let company = company(campaign);
        let caller_id = facts.caller.as_ref().map_or(
            CallerId {
                valid: false,
                owned: false,
                answers: false,
                presence: false,
                kind: voice_compliance::LineKind::Unknown,
            },
            |caller| self.caller(caller),
        );
        let request = Request {
            place: &place,
            tightening: &[],
            purpose: purpose(campaign),
            mode: mode(campaign),
            company,
            subject: None,
            debt: None,
            caller_id,
            // Pacing mints a dial only for a live lease or an AI place.
            capacity: if campaign.mode == Mode::Agentless {
                Capacity::Ai
            } else {
                Capacity::Agents
            },
            live_agent_guaranteed: campaign.mode == Mode::Preview,
            registered: registered(campaign),
        };
        let verdict = self.0.judge(&request, &legal_facts(facts, company, now), now);
        let (reasons, next_at, zones) = match &verdict {
            LegalVerdict::Allowed(allowed) => (Vec::new(), None, &allowed.zones),
            LegalVerdict::Refused(refused) => {
                let mut codes: Vec<String> = refused
                    .reasons
                    .iter()
                    .map(|reason| reason.code.as_str().to_owned())
                    .collect();
                codes.dedup();
                (codes, refused.next_eligible_at, &refused.zones)
            }
        };
        Verdict {
            local_time: zones
                .first()
                .map(|zone| now.with_timezone(zone).format("%FT%T%:z").to_string()),
            // Time alone does not heal it; a person or an import may: asked again tomorrow.
            next_at: next_at.or_else(|| (!reasons.is_empty()).then(|| now + chrono::TimeDelta::days(1))),
            reasons,
            policy_version: self.0.version().to_string(),
        }
    }

    fn may_start(
        &self,
        campaign: &Campaign,
        regions: &[Option<String>],
        callers: &[Caller],
        now: DateTime<Utc>,
    ) -> Vec<Fault> {
        let said = &campaign.declarations;
        let jurisdictions = regions.iter().fold(Jurisdictions::NONE, |sum, region| {
            sum.union(match region.as_deref() {
                Some("US") => Jurisdictions::any_state(),
                Some(code) => {
                    Jurisdictions::NONE.with(Jurisdiction::parse(code).unwrap_or(Jurisdiction::UNKNOWN))
                }
                None => Jurisdictions::NONE.with(Jurisdiction::UNKNOWN),
            })
        });
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = Share::per_million((campaign.abandon_target.clamp(0.0, 1.0) * 1e6).round() as u32);
        let facts = CampaignFacts {
            jurisdictions,
            purpose: purpose(campaign),
            mode: mode(campaign),
            ai_overflow: campaign.answers.ai_overflow,
            caller_ids: callers.iter().map(|caller| self.caller(caller)).collect(),
            safe_harbour: campaign.safe_harbour_url.as_ref().map(|_| SafeHarbourMessage {
                audio: true,
                company_name: said.message_names_company,
                phone_number: said.message_says_number,
                key_press_opt_out: true,
                sells: said.message_sells,
                within_ms: milliseconds(),
            }),
            abandonment: share,
            connect_within_ms: milliseconds(),
            ring_seconds: u32::try_from(campaign.ring.num_seconds()).unwrap_or(0),
            consents: vec![ConsentBasis {
                class: class(said.consent_written),
                marketing: said.consent_marketing,
                automated: said.consent_automated,
                proof: said.consent_proof,
            }],
            ai_discloses: said.ai_discloses,
            identifies_at_start: said.identifies_at_start,
            ai_offers_opt_out: said.ai_offers_opt_out,
            records_calls: campaign.record,
            asks_before_recording: said.asks_before_recording,
            registered: registered(campaign),
            records_kept_days: said.records_kept_days,
        };
        let found = self.0.may_start(&facts, &[], now).err().unwrap_or_default();
        found
            .into_iter()
            .map(|fault| Fault {
                code: fault.code.as_str().to_owned(),
                text: fault.message,
            })
            .collect()
    }

    fn duties(&self, number: &str, now: DateTime<Utc>) -> Duties {
        let place = self.0.place(&Evidence {
            number,
            ..Evidence::default()
        });
        let owed = self.0.obliges_ai(place.jurisdictions(), now);
        Duties {
            disclose_ai: owed.has(Obligation::DiscloseAi),
            recording: if owed.has(Obligation::AllPartyRecordingConsent) {
                RecordingDuty::Consent
            } else if owed.has(Obligation::AnnounceRecording) {
                RecordingDuty::Announce
            } else {
                RecordingDuty::Nothing
            },
        }
    }

    fn closes(
        &self,
        campaign: &Campaign,
        jurisdictions: &[voice_pacing::Jurisdiction],
        zones: &mut dyn Iterator<Item = Tz>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let known = jurisdictions.iter().filter_map(|one| Jurisdiction::parse(&one.0));
        self.0
            .closes(known.collect(), (purpose(campaign), mode(campaign)), zones, now)
    }

    fn jurisdiction(&self, region: Option<&str>) -> String {
        region
            .and_then(Jurisdiction::parse)
            .unwrap_or(Jurisdiction::UNKNOWN)
            .code()
            .to_owned()
    }
}

fn milliseconds() -> u32 {
    u32::try_from(PATIENCE.num_milliseconds()).unwrap_or(u32::MAX)
}

/// A campaign that calls for no company calls for the tenant.
fn company(campaign: &Campaign) -> Company {
    Company(campaign.company.unwrap_or_default())
}

fn purpose(campaign: &Campaign) -> Purpose {
    match campaign.purpose.as_str() {
        "informational" | "service" | "survey" => Purpose::Informational,
        "debt_collection" => Purpose::DebtCollection,
        _ => Purpose::Telemarketing,
    }
}

const fn mode(campaign: &Campaign) -> LegalMode {
    match campaign.mode {
        Mode::Preview => LegalMode::Preview,
        Mode::Progressive => LegalMode::Progressive,
        Mode::Power => LegalMode::Power,
        Mode::Predictive => LegalMode::Predictive,
        Mode::Agentless => LegalMode::Ai,
    }
}

fn registered(campaign: &Campaign) -> Jurisdictions {
    campaign
        .declarations
        .registered
        .iter()
        .filter_map(|code| Jurisdiction::parse(code))
        .collect()
}

const fn class(written: bool) -> ConsentClass {
    if written {
        ConsentClass::ExpressWritten
    } else {
        ConsentClass::Express
    }
}

fn legal_facts(facts: &Facts, company: Company, now: DateTime<Utc>) -> LegalFacts {
    let suppression = |reason: &String| Suppression {
        scope: SuppressionScope::Tenant,
        reason: reason.clone(),
        expires_at: None,
    };
    let revocation = |said: &Consent| Revocation {
        at: said.captured_at,
        scope: RevocationScope::All,
    };
    LegalFacts {
        suppressions: facts.suppressed.iter().map(suppression).collect(),
        revocations: facts
            .consents
            .iter()
            .filter(|said| said.kind == "marketing" && matches!(said.status.as_str(), "withdrawn" | "denied"))
            .map(revocation)
            .collect(),
        consents: consents(facts, company, now),
        relationship: facts.relationship.map(|known| Relationship {
            last_purchase: known.last_purchase,
            last_inquiry: known.last_inquiry,
            contract: known.contract,
        }),
        attempts: facts.history.iter().map(past).collect(),
        registry_checks: facts
            .registers
            .iter()
            .map(|looked| RegistryCheck {
                list: looked.list.clone(),
                at: looked.at,
                listed: looked.listed,
            })
            .collect(),
    }
}

/// Agreeing to advertising and agreeing to an artificial voice are two statements here and one consent to the law:
/// together they cover both, as strictly as the weaker of them was given.
fn consents(facts: &Facts, company: Company, now: DateTime<Utc>) -> Vec<voice_compliance::Consent> {
    let given = |kind: &str| {
        facts
            .consents
            .iter()
            .find(|said| said.kind == kind && said.holds(now))
    };
    let (marketing, automated) = (given("marketing"), given("ai_processing"));
    let one = |said: &Consent, marketing: bool, automated: bool| voice_compliance::Consent {
        class: class(said.written),
        marketing,
        automated,
        proof: said.proof,
        company,
        subject: None,
        given_at: said.captured_at,
        expires_at: said.expires_at,
        withdrawn_at: None,
    };
    let mut consents = Vec::new();
    consents.extend(marketing.map(|said| one(said, true, false)));
    consents.extend(automated.map(|said| one(said, false, true)));
    if let (Some(marketing), Some(automated)) = (marketing, automated) {
        consents.push(voice_compliance::Consent {
            class: class(marketing.written && automated.written),
            proof: marketing.proof && automated.proof,
            given_at: marketing.captured_at.max(automated.captured_at),
            expires_at: match (marketing.expires_at, automated.expires_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            ..one(marketing, true, true)
        });
    }
    consents
}

fn past(earlier: &Earlier) -> PastAttempt {
    PastAttempt {
        at: earlier.at,
        end: match earlier.class {
            Some(Class::Reached) => AttemptEnd::Conversation,
            Some(Class::Abandoned) => AttemptEnd::Abandoned,
            Some(Class::Machine) => AttemptEnd::Machine,
            Some(Class::OptedOut) => AttemptEnd::Refusal,
            None | Some(Class::Unknown) => AttemptEnd::Unknown,
            Some(_) => AttemptEnd::NotReached,
        },
        company: Some(Company(earlier.company)),
        subject: None,
        debt: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ai_agent_is_obliged_to_what_the_law_of_the_called_number_asks_and_to_everything_where_that_is_unknown()
     {
        let law = Law::embedded().unwrap();
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let asks = |disclose_ai, recording| Duties {
            disclose_ai,
            recording,
        };
        for (number, asked) in [
            ("+420602123456", asks(true, RecordingDuty::Announce)),
            ("+4915112345678", asks(true, RecordingDuty::Consent)),
            ("+447911123456", asks(false, RecordingDuty::Announce)),
            ("+12125550123", asks(false, RecordingDuty::Nothing)),
            ("+13055550123", asks(false, RecordingDuty::Consent)),
            ("+8613812345678", Duties::STRICTEST),
        ] {
            assert_eq!(law.duties(number, now), asked, "{number}");
        }
    }
}
