//! From Twilio's callbacks to call facts.
//!
//! Order is not guaranteed and events may be missing; `SequenceNumber` orders them. New parameters come
//! without notice: what is not known is ignored.

use chrono::{DateTime, Utc};
use http::Method;
use secrecy::SecretString;
use url::form_urlencoded;
use voice_schemas::events::call::{
    AgentKind, Amd, AnsweredBy, Bridge, CallFact, CallOutcome, Carrier, Direction, Ending, HangupBy,
};

use super::signature::{self, Form, Token};
use crate::{
    HookKind, Instruction, InstructionError, KeyError, ParseError, Parsed, VerifyError, WebhookRequest,
    context::CallContext,
    webhook::{Account, CarrierCall, CarrierEvent, call_ref, of_agent_leg, pressed},
};

/// The parameters read here. A callback has some thirty; decoding the rest again would be for nothing.
const READ: &[&[u8]] = &[
    b"AnsweredBy",
    b"CallDuration",
    b"CallSid",
    b"CallStatus",
    b"ConferenceSid",
    b"Digits",
    b"Direction",
    b"ErrorCode",
    b"From",
    b"MachineDetectionDuration",
    b"ParticipantLabel",
    b"SequenceNumber",
    b"SipResponseCode",
    b"StatusCallbackEvent",
    b"Timestamp",
    b"To",
];

/// The webhook side of a Twilio account.
#[derive(Debug)]
pub struct Webhooks {
    tokens: Vec<Token>,
}

impl Webhooks {
    /// For an account with this auth token (or shared key), and the secondary one during a rotation.
    ///
    /// # Errors
    /// When a token is empty.
    pub fn new(token: &SecretString, other: Option<&SecretString>) -> Result<Self, KeyError> {
        Ok(Self {
            tokens: std::iter::once(token)
                .chain(other)
                .map(Token::new)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl crate::Webhooks for Webhooks {
    fn carrier(&self) -> Carrier {
        Carrier::Twilio
    }

    fn verify(&self, request: &WebhookRequest<'_>, now: DateTime<Utc>) -> Result<(), VerifyError> {
        signature::verify(&self.tokens, request, now)
    }

    fn parse(
        &self,
        kind: HookKind,
        request: &WebhookRequest<'_>,
        account: &Account<'_>,
    ) -> Result<Parsed, ParseError> {
        let pairs = if request.method == Method::GET {
            request.query().as_bytes()
        } else {
            request.body
        };
        let hook = Hook {
            form: read(pairs),
            context: context(request, account)?,
            account,
        };
        match kind {
            HookKind::Status => hook.status(),
            HookKind::Amd => hook.amd(),
            HookKind::Conference => hook.conference(),
            HookKind::Voice => hook.voice(),
            HookKind::Gather => hook.gathered(),
            HookKind::Call => Err(ParseError::malformed("path", "Twilio has no `call` hook")),
        }
    }

    fn response(
        &self,
        instructions: &[Instruction],
    ) -> Result<Option<(&'static str, String)>, InstructionError> {
        super::twiml(instructions).map(|document| Some(("text/xml", document)))
    }
}

fn read(pairs: &[u8]) -> Form<'_> {
    pairs
        .split(|byte| *byte == b'&')
        .filter(|pair| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            READ.contains(&name) || name.contains(&b'%')
        })
        .flat_map(form_urlencoded::parse)
        .collect()
}

fn context(request: &WebhookRequest<'_>, account: &Account<'_>) -> Result<Option<CallContext>, ParseError> {
    let sealed = form_urlencoded::parse(request.query().as_bytes())
        .find_map(|(name, value)| (name == "ctx").then_some(value));
    let Some(sealed) = sealed else { return Ok(None) };
    Ok(Some(account.own(account.context.open_query(&sealed)?)?))
}

/// One callback.
struct Hook<'a> {
    form: Form<'a>,
    context: Option<CallContext>,
    account: &'a Account<'a>,
}

impl Hook<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(READ.contains(&name.as_bytes()), "{name} is missing in READ");
        self.form
            .iter()
            .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(&**value))
    }

    fn need(&self, name: &'static str) -> Result<&str, ParseError> {
        self.get(name)
            .ok_or_else(|| ParseError::malformed(name, "is missing"))
    }

    fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<Option<N>, ParseError> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| ParseError::malformed(name, "is not a number in range"))
        };
        self.get(name).map(parse).transpose()
    }

    fn at(&self) -> Result<Option<DateTime<Utc>>, ParseError> {
        let at = signature::timestamp(&self.form);
        if at.is_none() && self.get("Timestamp").is_some() {
            return Err(ParseError::malformed("Timestamp", "is not an RFC 2822 time"));
        }
        Ok(at)
    }

    fn direction(&self) -> Option<Direction> {
        // `outbound-api` and `outbound-dial` are ours.
        self.get("Direction").map(|direction| match direction {
            "inbound" => Direction::Inbound,
            _ => Direction::Outbound,
        })
    }

    fn event(self, carrier_event: String, dedupe: &str, fact: CallFact) -> Result<Parsed, ParseError> {
        let leg = self.context.as_ref().is_some_and(|context| context.agent_leg);
        let Some(fact) = (if leg { of_agent_leg(fact) } else { Some(fact) }) else {
            return Ok(Parsed::Ignored { carrier_event });
        };
        let sid = self.need("CallSid")?;
        if !is_sid(sid, "CA") {
            return Err(ParseError::malformed(
                "CallSid",
                "is not `CA` and 32 hexadecimal characters",
            ));
        }
        let call = CarrierCall {
            carrier: Carrier::Twilio,
            id: sid,
            key: sid,
            direction: self.direction(),
            from: self.get("From"),
            to: self.get("To"),
        };
        Ok(Parsed::Event(Box::new(CarrierEvent {
            tenant: self.account.tenant,
            at: self.at()?,
            sequence: self.number("SequenceNumber")?,
            dedupe_key: dedupe.to_owned(),
            call: call_ref(self.account, self.context.clone(), &call),
            carrier_event,
            fact,
        })))
    }

    fn status(self) -> Result<Parsed, ParseError> {
        let status = self.need("CallStatus")?.to_owned();
        let fact = match status.as_str() {
            "queued" => {
                return Ok(Parsed::Ignored {
                    carrier_event: status,
                });
            }
            "initiated" => CallFact::Initiated,
            "ringing" => CallFact::Ringing,
            "in-progress" => CallFact::Answered,
            ended => match ended_as(ended, self.number("SipResponseCode")?, self.number("ErrorCode")?) {
                Some(outcome) => CallFact::Ended(self.ending(&status, outcome)?),
                None => return Err(ParseError::unknown(ended)),
            },
        };
        let sid = self.need("CallSid")?;
        let dedupe = match self.get("SequenceNumber") {
            Some(sequence) => format!("{sid}/{sequence}"),
            None => format!("{sid}/{status}"),
        };
        self.event(status, &dedupe, fact)
    }

    fn ending(&self, status: &str, outcome: CallOutcome) -> Result<Ending, ParseError> {
        let outbound = self
            .context
            .as_ref()
            .map(|context| context.direction)
            .or(self.direction())
            == Some(Direction::Outbound);
        Ok(Ending {
            outcome,
            hangup_by: match outcome {
                CallOutcome::Canceled if outbound => HangupBy::System,
                CallOutcome::Canceled => HangupBy::Caller,
                CallOutcome::NoAnswer => HangupBy::System,
                // Twilio does not say who ended a call that was answered.
                _ => HangupBy::Unknown,
            },
            cause: status.to_owned(),
            sip_code: self.number("SipResponseCode")?,
            duration_ms: self
                .number::<u32>("CallDuration")?
                .filter(|_| outcome == CallOutcome::Completed)
                .map(|seconds| seconds.saturating_mul(1000)),
            reconciled: false,
        })
    }

    fn amd(self) -> Result<Parsed, ParseError> {
        let word = shortened(self.need("AnsweredBy")?);
        let amd = Amd {
            detection_ms: self.number("MachineDetectionDuration")?,
            ..verdict(&word)
        };
        let dedupe = format!("{}/amd", self.need("CallSid")?);
        self.event(word, &dedupe, CallFact::Amd(amd))
    }

    /// A call that asks for instructions. An inbound one is hereby known; an outbound one brings the verdict
    /// of synchronous machine detection, if that was asked for.
    fn voice(self) -> Result<Parsed, ParseError> {
        let sid = self.need("CallSid")?;
        let outbound = self
            .context
            .as_ref()
            .map(|context| context.direction)
            .or(self.direction())
            == Some(Direction::Outbound);
        if outbound && self.get("AnsweredBy").is_some() {
            return self.amd();
        }
        if !outbound && matches!(self.get("CallStatus"), Some("ringing" | "queued")) {
            let dedupe = format!("{sid}/voice");
            return self.event("voice".to_owned(), &dedupe, CallFact::Initiated);
        }
        Ok(Parsed::Ignored {
            carrier_event: "voice".to_owned(),
        })
    }

    /// The end of a gather. A call is asked to press a key once, so its id says which answer this is.
    fn gathered(self) -> Result<Parsed, ParseError> {
        let carrier_event = "gather".to_owned();
        let Some(pressed) = pressed(self.context.as_ref(), self.get("Digits").unwrap_or_default()) else {
            return Ok(Parsed::Ignored { carrier_event });
        };
        let dedupe = format!("{}/gather", self.need("CallSid")?);
        self.event(carrier_event, &dedupe, CallFact::Dtmf(pressed))
    }

    fn conference(self) -> Result<Parsed, ParseError> {
        let name = self.need("StatusCallbackEvent")?.to_owned();
        let fact = match name.as_str() {
            "participant-join" => CallFact::Bridged(Bridge {
                agent_kind: self.agent_kind(),
            }),
            "participant-hold" => CallFact::Held,
            "participant-unhold" => CallFact::Resumed,
            "conference-start"
            | "conference-end"
            | "participant-leave"
            | "participant-mute"
            | "participant-unmute"
            | "participant-modify"
            | "participant-speech-start"
            | "participant-speech-stop"
            | "announcement-end"
            | "announcement-fail" => {
                return Ok(Parsed::Ignored { carrier_event: name });
            }
            _ => return Err(ParseError::unknown(&name)),
        };
        let leg = self.context.as_ref().is_some_and(|context| context.agent_leg);
        if !leg && !self.is_customer() {
            return Ok(Parsed::Ignored { carrier_event: name });
        }
        let conference = self.need("ConferenceSid")?;
        let sequence = self.get("SequenceNumber").unwrap_or_default();
        let dedupe = format!("{conference}/{sequence}/{name}");
        self.event(name, &dedupe, fact)
    }

    /// A leg without a label is the customer's: the legs of agents and supervisors are always labelled.
    fn is_customer(&self) -> bool {
        self.get("ParticipantLabel")
            .is_none_or(|label| label == "customer" || label.starts_with("customer:"))
    }

    fn agent_kind(&self) -> AgentKind {
        self.get("ParticipantLabel")
            .and_then(|label| label.strip_prefix("customer:"))
            .and_then(AgentKind::parse)
            .or_else(|| self.context.as_ref().and_then(|context| context.agent_kind))
            .unwrap_or(AgentKind::Human)
    }
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}

/// A verdict; a word Twilio adds later is one we cannot act on.
pub(super) fn verdict(word: &str) -> Amd {
    let answered_by = match word {
        "human" => AnsweredBy::Human,
        "fax" => AnsweredBy::Fax,
        machine if machine.starts_with("machine_") => AnsweredBy::Machine,
        _ => AnsweredBy::Unknown,
    };
    Amd {
        answered_by,
        beep: word == "machine_end_beep",
        detection_ms: None,
    }
}

/// The outcome behind a terminal status, with the SIP response and Twilio's error code where they came along.
pub(super) fn ended_as(status: &str, sip: Option<u16>, code: Option<u32>) -> Option<CallOutcome> {
    Some(match (status, sip, code) {
        ("completed", ..) => CallOutcome::Completed,
        ("no-answer", ..) => CallOutcome::NoAnswer,
        ("canceled", ..) => CallOutcome::Canceled,
        ("busy" | "failed", Some(403 | 603), _) => CallOutcome::Rejected,
        ("busy", ..) => CallOutcome::Busy,
        ("failed", Some(404 | 484 | 604), _) | ("failed", _, Some(13224 | 21211 | 21217)) => {
            CallOutcome::InvalidNumber
        }
        ("failed", ..) => CallOutcome::CarrierError,
        _ => return None,
    })
}
