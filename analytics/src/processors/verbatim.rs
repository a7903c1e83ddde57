//! Call events read by their known layout: no look-up of field names, one pass, a fifth of the time.
//!
//! The platform writes every call event with the same fields in the same order, so their names need not be
//! understood, only recognised. This reads exactly that layout; at the first byte that differs it gives up
//! and the caller asks `serde`, which understands everything. Whatever is read here, `serde` would have
//! read the same: the tests hold both against each other, also with damaged bytes.

use std::{borrow::Cow, str::FromStr};

use super::wire::{Amd, Bridge, Call, Data, Ending, Event, Evidence, Id, Micros};

/// The length of a hyphenated UUID.
const UUID: usize = 36;
/// The length of a time as the platform writes it.
const TIME: usize = 27;

/// The event, if it is a call event laid out as the platform writes it.
pub(super) fn event(payload: &[u8]) -> Option<Event<'_>> {
    let mut text = Cursor(std::str::from_utf8(payload).ok()?);
    text.expect(r#"{"specversion":"1.0","id":"#)?;
    let id = text.id()?;
    text.expect(r#","source":"#)?;
    let source = text.string()?;
    text.expect(r#","type":"#)?;
    let kind = text.string()?;
    text.expect(r#","subject":"#)?;
    text.string()?;
    text.expect(r#","time":"#)?;
    let time = text.time()?;
    text.expect(r#","dataschema":"#)?;
    text.string()?;
    text.expect(r#","tenantid":"#)?;
    let tenantid = text.id()?;
    text.expect(r#","correlationid":"#)?;
    text.string()?;
    for unused in [r#","causationid":"#, r#","traceparent":"#] {
        if text.has(unused) {
            text.string()?;
        }
    }
    text.expect(r#","data":{"call":"#)?;
    let call = call(&mut text)?;
    text.expect(r#","evidence":"#)?;
    let evidence = evidence(&mut text)?;
    let amd = text.optional(r#","amd":"#, amd)?;
    let bridge = text.optional(r#","bridge":"#, bridge)?;
    let ending = text.optional(r#","ending":"#, ending)?;
    if text.0 != "}}" {
        return None;
    }
    let data = Data {
        call: Some(call),
        evidence: Some(evidence),
        amd,
        bridge,
        ending,
        ..Data::default()
    };
    Some(Event {
        id,
        source: Cow::Borrowed(source),
        kind: Cow::Borrowed(kind),
        time,
        tenantid,
        data,
    })
}

fn call<'a>(text: &mut Cursor<'a>) -> Option<Call<'a>> {
    text.expect(r#"{"call_id":"#)?;
    let call_id = text.id()?;
    text.expect(r#","direction":"#)?;
    let direction = text.string()?;
    text.expect(r#","carrier":"#)?;
    let carrier = text.string()?;
    text.expect(r#","carrier_call_id":"#)?;
    let carrier_call_id = text.string()?;
    let call = Call {
        call_id,
        direction: Cow::Borrowed(direction),
        carrier: Cow::Borrowed(carrier),
        carrier_call_id: Cow::Borrowed(carrier_call_id),
        campaign_id: text.optional(r#","campaign_id":"#, Cursor::id)?,
        shard: text.optional(r#","shard":"#, Cursor::number)?,
        attempt_id: text.optional(r#","attempt_id":"#, Cursor::id)?,
        contact_id: text.optional(r#","contact_id":"#, Cursor::id)?,
        queue_id: text.optional(r#","queue_id":"#, Cursor::id)?,
        agent_id: text.optional(r#","agent_id":"#, Cursor::id)?,
    };
    text.optional(r#","phone_token":"#, Cursor::string)?;
    text.expect("}")?;
    Some(call)
}

fn evidence<'a>(text: &mut Cursor<'a>) -> Option<Evidence<'a>> {
    text.expect(r#"{"carrier_event":"#)?;
    let carrier_event = text.string()?;
    text.expect(r#","dedupe_key":"#)?;
    text.string()?;
    let sequence = text.optional(r#","sequence":"#, Cursor::number)?;
    text.expect(r#","received_at":"#)?;
    let received_at = text.time()?;
    text.expect("}")?;
    Some(Evidence {
        carrier_event: Cow::Borrowed(carrier_event),
        sequence,
        received_at,
    })
}

fn amd<'a>(text: &mut Cursor<'a>) -> Option<Amd<'a>> {
    text.expect(r#"{"answered_by":"#)?;
    let answered_by = text.string()?;
    text.expect(r#","beep":"#)?;
    let beep = text.boolean()?;
    text.optional(r#","detection_ms":"#, Cursor::number::<u32>)?;
    text.expect("}")?;
    Some(Amd {
        answered_by: Cow::Borrowed(answered_by),
        beep,
    })
}

fn bridge<'a>(text: &mut Cursor<'a>) -> Option<Bridge<'a>> {
    text.expect(r#"{"agent_kind":"#)?;
    let agent_kind = text.string()?;
    text.expect("}")?;
    Some(Bridge {
        agent_kind: Cow::Borrowed(agent_kind),
    })
}

fn ending<'a>(text: &mut Cursor<'a>) -> Option<Ending<'a>> {
    text.expect(r#"{"outcome":"#)?;
    let outcome = text.string()?;
    text.expect(r#","hangup_by":"#)?;
    let hangup_by = text.string()?;
    text.expect(r#","cause":"#)?;
    let cause = text.string()?;
    let sip_code = text.optional(r#","sip_code":"#, Cursor::number)?;
    let duration_ms = text.optional(r#","duration_ms":"#, Cursor::number)?;
    text.expect(r#","reconciled":"#)?;
    let reconciled = text.boolean()?;
    text.expect("}")?;
    Some(Ending {
        outcome: Cow::Borrowed(outcome),
        hangup_by: Cow::Borrowed(hangup_by),
        cause: Cow::Borrowed(cause),
        sip_code,
        duration_ms,
        reconciled,
    })
}

/// What is still to be read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn has(&mut self, literal: &str) -> bool {
        match self.0.strip_prefix(literal) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, literal: &str) -> Option<()> {
        self.has(literal).then_some(())
    }

    /// A field that may be missing: `Some(None)` then.
    #[allow(clippy::option_option)] // The outer one gives up, the inner one is the field.
    fn optional<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.has(name) {
            read(self).map(Some)
        } else {
            Some(None)
        }
    }

    /// A string in quotes without anything escaped, control characters included.
    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.strip_prefix('"')?;
        let end = text
            .bytes()
            .position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (value, rest) = text.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(value)
    }

    /// A string of so many bytes, which is shorter to find than its end.
    fn fixed(&mut self, length: usize) -> Option<&'a str> {
        let (value, rest) = self.0.strip_prefix('"')?.split_at_checked(length)?;
        self.0 = rest.strip_prefix('"')?;
        Some(value)
    }

    fn id(&mut self) -> Option<Id> {
        Id::parse(self.fixed(UUID)?)
    }

    fn time(&mut self) -> Option<Micros> {
        Micros::canonical(self.fixed(TIME)?)
    }

    fn number<T: FromStr>(&mut self) -> Option<T> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at_checked(end)?;
        // JSON knows no leading zeros, and what is no integer goes on with one of these.
        if (digits.starts_with('0') && end > 1) || rest.starts_with(['.', 'e', 'E']) {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }

    fn boolean(&mut self) -> Option<bool> {
        if self.has("true") {
            Some(true)
        } else {
            self.has("false").then_some(false)
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)] // The tests damage bytes they have counted.
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use voice_schemas::{
        AgentId, AttemptId, CallId, CampaignId, ContactId, QueueId, TenantId,
        events::call::{
            AgentKind, Amd, AnsweredBy, Bridge, CallFact, CallOutcome, CallRef, Carrier, Direction, Ending,
            Evidence, HangupBy,
        },
    };

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00.123456Z".parse().unwrap()
    }

    fn fact() -> impl Strategy<Value = CallFact> {
        let ending = (
            any::<Option<u16>>(),
            any::<Option<u32>>(),
            any::<bool>(),
            ".{0,12}",
        )
            .prop_map(|(sip_code, duration_ms, reconciled, cause)| {
                CallFact::Ended(Ending {
                    outcome: CallOutcome::Busy,
                    hangup_by: HangupBy::Callee,
                    cause,
                    sip_code,
                    duration_ms,
                    reconciled,
                })
            });
        let amd = (any::<bool>(), any::<Option<u32>>()).prop_map(|(beep, detection_ms)| {
            CallFact::Amd(Amd {
                answered_by: AnsweredBy::Machine,
                beep,
                detection_ms,
            })
        });
        prop_oneof![
            Just(CallFact::Initiated),
            Just(CallFact::Answered),
            Just(CallFact::Bridged(Bridge {
                agent_kind: AgentKind::Ai
            })),
            amd,
            ending,
        ]
    }

    prop_compose! {
        /// An event as the platform writes it, with any of its optional fields.
        fn written()(
            fact in fact(), has in any::<[bool; 10]>(), shard in any::<u16>(), sequence in any::<Option<u32>>(),
            carrier_call_id in "[A-Za-z0-9:_\"\\\\é\n-]{0,40}",
        ) -> Vec<u8> {
            let call = CallRef {
                call_id: CallId::derived(now(), &[b"call"]),
                direction: if has[0] { Direction::Outbound } else { Direction::Inbound },
                carrier: if has[1] { Carrier::Telnyx } else { Carrier::Twilio },
                carrier_call_id,
                campaign_id: has[2].then(|| CampaignId::derived(now(), &[b"campaign"])),
                shard: has[2].then_some(shard),
                attempt_id: has[3].then(|| AttemptId::derived(now(), &[b"attempt"])),
                contact_id: has[4].then(|| ContactId::derived(now(), &[b"contact"])),
                queue_id: has[5].then(|| QueueId::derived(now(), &[b"queue"])),
                agent_id: has[6].then(|| AgentId::derived(now(), &[b"agent"])),
                phone_token: has[7].then(|| "0123456789abcdef0123456789abcdef".to_owned()),
            };
            let evidence = Evidence {
                carrier_event: "call.hangup".to_owned(),
                dedupe_key: "key".to_owned(),
                sequence,
                received_at: now(),
            };
            let mut event = fact.into_event(TenantId::derived(now(), &[b"t"]), "/ingest/telnyx", now(), call, evidence);
            event.causationid = has[8].then(|| "cause".to_owned());
            event.traceparent = has[9].then(|| "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
            serde_json::to_vec(&event).unwrap()
        }
    }

    fn by_serde(payload: &[u8]) -> Option<Event<'_>> {
        serde_json::from_slice(payload).ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn an_event_as_it_is_written_is_read_as_serde_reads_it(payload in written()) {
            let slow = by_serde(&payload);
            prop_assert!(slow.is_some());
            if payload.contains(&b'\\') {
                prop_assert_eq!(event(&payload), None);
            } else {
                prop_assert_eq!(event(&payload), slow);
            }
        }

        #[test]
        fn what_is_read_from_damaged_bytes_serde_reads_as_well(
            mut payload in written(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let at = at.index(payload.len());
            match payload.get_mut(at) {
                Some(place) if !cut => *place = byte,
                _ => payload.truncate(at),
            }
            if let Some(fast) = event(&payload) {
                prop_assert_eq!(Some(fast), by_serde(&payload));
            }
        }
    }

    #[test]
    fn every_other_layout_is_left_to_serde() {
        for other in [
            r#"{"id":"01a1fd1e-8893-7880-9089-eaa59341185a"}"#,
            r#"{ "specversion":"1.0" }"#,
            r#"{"specversion":"1.0","id":"not a uuid"}"#,
            "",
        ] {
            assert_eq!(event(other.as_bytes()), None);
        }
    }

    #[test]
    fn a_number_is_read_only_where_json_has_one() {
        let read = |text| Cursor(text).number::<u16>();
        assert_eq!(read("486,"), Some(486));
        assert_eq!(read("0,"), Some(0));
        for wrong in ["04,", "1.5,", "1e3,", "65536,", ",", "-1,", "7"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
