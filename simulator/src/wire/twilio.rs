//! Twilio's callbacks: forms with more parameters than anybody reads, signed over the URL and all of them.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::SecretString;
use url::form_urlencoded;
use uuid::Uuid;
use voice_schemas::events::call::{CallOutcome, Direction};
use voice_telephony::{KeyError, twilio::signature};

use crate::plan::{Chatter, End, Fact, PlannedCall, PlannedFact, Verdict};

/// One callback.
pub(super) struct Callback<'a> {
    pub(super) account_sid: &'a str,
    pub(super) call: &'a PlannedCall,
    pub(super) fact: &'a PlannedFact,
    pub(super) stamp_all: bool,
}

/// Names and values, before they are encoded.
struct Form(Vec<(&'static str, String)>);

impl Form {
    fn put(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.0.push((name, value.into()));
        self
    }
}

/// A form as Twilio posts it. `id` is the same on every delivery of it.
pub(crate) fn signed(
    token: &SecretString,
    url: &str,
    pairs: &[(&str, &str)],
    id: Uuid,
) -> Result<(HeaderMap, Vec<u8>), KeyError> {
    let signature = signature::sign(token, url, pairs)?;
    let body = form_urlencoded::Serializer::new(String::with_capacity(1024))
        .extend_pairs(pairs)
        .finish();
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8"),
    );
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("TwilioProxy/1.1"));
    // Base64 and a UUID are always valid header values.
    if let Ok(value) = HeaderValue::try_from(signature) {
        headers.insert(HeaderName::from_static(signature::HEADER), value);
    }
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(HeaderName::from_static("i-twilio-idempotency-token"), value);
    }
    Ok((headers, body.into_bytes()))
}

impl Callback<'_> {
    pub(super) fn signed(&self, token: &SecretString, url: &str) -> Result<(HeaderMap, Vec<u8>), KeyError> {
        let form = self.form();
        let pairs: Vec<(&str, &str)> = form
            .0
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        signed(token, url, &pairs, self.fact.id)
    }

    fn form(&self) -> Form {
        let mut form = Form(Vec::with_capacity(36));
        form.put("AccountSid", self.account_sid);
        match self.fact.fact {
            Fact::Initiated if self.call.direction == Direction::Inbound => {
                self.call_parameters(&mut form);
                form.put("CallStatus", "ringing")
                    .put("CallToken", "%7B%22parentCallInfoToken%22%3A%22%22%7D");
                self.stamp_where_twilio_does_not(&mut form);
            }
            Fact::Initiated => self.status(&mut form, "initiated"),
            Fact::Ringing => self.status(&mut form, "ringing"),
            Fact::Answered => self.status(&mut form, "in-progress"),
            Fact::Ended(end) => {
                self.status(&mut form, status_of(end.outcome));
                self.ending(&mut form, end);
            }
            Fact::Amd {
                verdict,
                detection_ms,
            } => {
                form.put("CallSid", &*self.call.ids.call)
                    .put("AnsweredBy", word(verdict))
                    .put("MachineDetectionDuration", detection_ms.to_string());
                self.stamp_where_twilio_does_not(&mut form);
            }
            Fact::Bridged(kind) => {
                self.conference(&mut form, "participant-join");
                self.participant(&mut form);
                form.put("ParticipantLabel", format!("customer:{kind}"));
            }
            Fact::Chatter(Chatter::ParticipantLeft) => {
                self.conference(&mut form, "participant-leave");
                self.participant(&mut form);
            }
            // The others are Telnyx's.
            Fact::Chatter(_) => {
                self.conference(&mut form, "conference-end");
                form.put("ReasonConferenceEnded", "last-participant-left")
                    .put("CallSidEndingConference", &*self.call.ids.call);
            }
        }
        form
    }

    fn call_parameters(&self, form: &mut Form) {
        let (from, to) = (self.call.from.expose(), self.call.to.expose());
        let direction = match self.call.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound-api",
        };
        form.put("ApiVersion", "2010-04-01")
            .put("CallSid", &*self.call.ids.call)
            .put("Direction", direction)
            .put("From", from)
            .put("To", to)
            .put("Caller", from)
            .put("Called", to);
        for name in [
            "FromCity",
            "ToCity",
            "CallerCity",
            "CalledCity",
            "FromZip",
            "ToZip",
            "CallerZip",
            "CalledZip",
        ] {
            form.put(name, "");
        }
        for name in ["FromState", "ToState", "CallerState", "CalledState"] {
            form.put(name, "");
        }
        for name in ["FromCountry", "ToCountry", "CallerCountry", "CalledCountry"] {
            form.put(name, "US");
        }
    }

    fn status(&self, form: &mut Form, status: &str) {
        self.call_parameters(form);
        form.put("CallStatus", status)
            .put("CallbackSource", "call-progress-events")
            .put("SequenceNumber", self.fact.sequence.to_string());
        self.stamp(form);
    }

    fn ending(&self, form: &mut Form, end: End) {
        let seconds = self.call.told_duration().num_seconds();
        form.put("CallDuration", seconds.to_string());
        // Minutes begun are minutes billed.
        form.put("Duration", seconds.unsigned_abs().div_ceil(60).to_string());
        if let Some(code) = end
            .sip_code
            .filter(|_| self.call.direction == Direction::Outbound)
        {
            form.put("SipResponseCode", code.to_string());
        }
    }

    fn conference(&self, form: &mut Form, event: &str) {
        let conference = &*self.call.ids.conference;
        form.put("ConferenceSid", conference)
            .put("FriendlyName", &conference[2..])
            .put("StatusCallbackEvent", event)
            .put("SequenceNumber", (self.fact.sequence + 1).to_string());
        self.stamp(form);
    }

    fn participant(&self, form: &mut Form) {
        form.put("CallSid", &*self.call.ids.call)
            .put("Muted", "false")
            .put("Hold", "false")
            .put("Coaching", "false")
            .put("StartConferenceOnEnter", "true")
            .put("EndConferenceOnExit", "true");
    }

    fn stamp(&self, form: &mut Form) {
        form.put("Timestamp", rfc2822(self.fact.at));
    }

    fn stamp_where_twilio_does_not(&self, form: &mut Form) {
        if self.stamp_all {
            self.stamp(form);
        }
    }
}

/// `Sun, 25 Mar 2018 09:53:19 +0000`
pub(crate) fn rfc2822(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Twilio's word for an outcome.
pub(crate) const fn status_of(outcome: CallOutcome) -> &'static str {
    match outcome {
        CallOutcome::Completed => "completed",
        CallOutcome::Busy => "busy",
        CallOutcome::NoAnswer => "no-answer",
        CallOutcome::Canceled => "canceled",
        CallOutcome::InvalidNumber
        | CallOutcome::Rejected
        | CallOutcome::CarrierError
        | CallOutcome::Unknown => "failed",
    }
}

/// Twilio's word for a verdict.
pub(crate) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Human => "human",
        Verdict::Machine => "machine_start",
        Verdict::Beep => "machine_end_beep",
        Verdict::Fax => "fax",
        Verdict::Silence | Verdict::Unsure => "unknown",
    }
}
