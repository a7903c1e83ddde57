//! What a fact is as an event, and on which topic.

use chrono::{DateTime, Utc};
use voice_providers::Speaker;
use voice_recordings::Ready;
use voice_schemas::{
    events::call::{
        AgentKind, Amd, AnsweredBy, Bridge, CallEvent, CallFact, CallRef, Direction, Evidence, record_key,
    },
    events::media::{self, FarEnd, MediaEvent, MediaFact, MediaRef, Stop, TranscriptData, TranscriptEvent},
    topics::{self, Topic},
};

use super::SOURCE;
use crate::facts::{Connected, Fact, Stopped, Subject, Turn, Utterance};

/// The event of a fact, for the topic it may be on.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    Call(Box<CallEvent>),
    Media(Box<MediaEvent>),
    Transcript(Box<TranscriptEvent>),
}

impl Event {
    pub(super) const fn topic(&self) -> &'static Topic {
        match self {
            Self::Call(_) => &topics::CALLS,
            Self::Media(_) => &topics::MEDIA,
            Self::Transcript(_) => &topics::TRANSCRIPTS,
        }
    }

    /// All that is told of a call keeps its order; what is told of its life goes where the rest of that is.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Call(event) => record_key(&event.data.call),
            Self::Media(event) => event.data.call_id.0.to_string(),
            Self::Transcript(event) => event.data.call_id.0.to_string(),
        }
    }

    pub(super) fn payload(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Call(event) => serde_json::to_vec(event),
            Self::Media(event) => serde_json::to_vec(event),
            Self::Transcript(event) => serde_json::to_vec(event),
        }
    }
}

/// The event of a fact, if it has one.
pub(super) fn event(subject: &Subject, at: DateTime<Utc>, fact: Fact) -> Option<Event> {
    let fact = match fact {
        Fact::Connected(connected) => {
            let bridge = Bridge {
                agent_kind: AgentKind::Ai,
            };
            let id = connected.stream_id.clone();
            return Some(of_the_call(subject, at, connected, id, CallFact::Bridged(bridge)));
        }
        Fact::Detected(connected, verdict) => {
            let amd = Amd {
                answered_by: answered_by(verdict.likely)?,
                beep: verdict.beep,
                detection_ms: Some(verdict.after_ms),
            };
            let id = format!("{}:{}", connected.stream_id, verdict.number);
            return Some(of_the_call(subject, at, connected, id, CallFact::Amd(amd)));
        }
        Fact::Started(start) => MediaFact::Started(start),
        Fact::Turn(turn) => MediaFact::Turn(turn_of(&turn)?),
        Fact::ProviderChanged(change) => MediaFact::ProviderChanged(change),
        Fact::ToolUsed(tool) => MediaFact::ToolUsed(tool),
        Fact::Usage(usage) => MediaFact::Usage(usage),
        Fact::Verdict(verdict) => MediaFact::Verdict(verdict),
        Fact::Disclosed => MediaFact::Disclosed,
        Fact::LanguageChanged(language) => MediaFact::LanguageChanged(language),
        Fact::Stopped(stopped) => MediaFact::Stopped(stop_of(stopped)),
        Fact::Utterance(said) => {
            let said = transcript_of(subject, said);
            return Some(Event::Transcript(Box::new(said.into_event(
                subject.tenant,
                SOURCE,
                at,
            ))));
        }
        // The state of an account is not a fact about a call.
        Fact::BreakerChanged(_) => return None,
    };
    let media = MediaRef {
        call_id: subject.call,
        agent_id: subject.agent,
        provider: subject.provider.as_str(),
    };
    Some(Event::Media(Box::new(fact.into_event(
        subject.tenant,
        SOURCE,
        at,
        &media,
    ))))
}

/// An event of the call itself. Which AI agent it is stands in `media.events`: the agent of a call is the person it
/// came to.
fn of_the_call(
    subject: &Subject,
    at: DateTime<Utc>,
    connected: Connected,
    id: String,
    fact: CallFact,
) -> Event {
    let dialled = connected.dialled;
    let call = CallRef {
        call_id: subject.call,
        direction: if dialled.is_some() {
            Direction::Outbound
        } else {
            Direction::Inbound
        },
        carrier: subject.carrier,
        carrier_call_id: connected.carrier_call_id,
        campaign_id: dialled.map(|dialled| dialled.campaign),
        shard: dialled.map(|dialled| dialled.shard),
        attempt_id: dialled.map(|dialled| dialled.attempt),
        contact_id: None,
        queue_id: None,
        agent_id: None,
        phone_token: None,
    };
    let evidence = Evidence {
        carrier_event: "stream".to_owned(),
        dedupe_key: id,
        sequence: None,
        received_at: at,
    };
    Event::Call(Box::new(fact.into_event(
        subject.tenant,
        SOURCE,
        at,
        call,
        evidence,
    )))
}

/// What picked up, where that says whether the call reached anybody.
const fn answered_by(far_end: FarEnd) -> Option<AnsweredBy> {
    match far_end {
        FarEnd::Human => Some(AnsweredBy::Human),
        FarEnd::Machine => Some(AnsweredBy::Machine),
        FarEnd::Fax => Some(AnsweredBy::Fax),
        FarEnd::Screening | FarEnd::Ivr | FarEnd::Silence => None,
    }
}

/// The event of a recording. No provider speaks any more.
pub(super) fn recording_ready(ready: Ready) -> Event {
    let media = MediaRef {
        call_id: ready.call,
        agent_id: None,
        provider: "",
    };
    let fact = MediaFact::RecordingReady(ready.recording);
    Event::Media(Box::new(fact.into_event(ready.tenant, SOURCE, ready.at, &media)))
}

/// A turn whose begin nobody knows has no latency, so it is no turn of the statistics.
fn turn_of(turn: &Turn) -> Option<media::Turn> {
    let times = &turn.times;
    let latency = times.first_byte_out_us.or(times.first_byte_in_us)?;
    let ms = |us: Option<u64>| us.map(|us| fit(us / 1_000));
    Some(media::Turn {
        number: times.number,
        latency_ms: fit(latency / 1_000),
        interrupted: times.interrupted,
        unprompted: times.unprompted,
        speech_end_ms: turn.speech_end_ms,
        decision_ms: ms(times.decision_us),
        first_token_ms: ms(times.first_token_us),
        first_byte_in_ms: ms(times.first_byte_in_us),
        first_byte_out_ms: ms(times.first_byte_out_us),
        first_mark_ms: ms(times.first_mark_us),
        bridge_us: times.bridge_us.map(fit),
        generated_ms: Some(fit(turn.generated_ms)),
        heard_ms: Some(fit(turn.heard_ms)),
    })
}

fn fit(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn stop_of(stopped: Stopped) -> Stop {
    Stop {
        cause: stopped.ending.kind().to_owned(),
        fault: stopped.ending.fault().map(|fault| fault.as_str().to_owned()),
        duration_ms: stopped.duration_ms,
        frames: stopped.frames,
        lost: stopped.lost.missing,
        malformed: stopped.malformed,
        micros: stopped.micros,
        currency: stopped.currency,
        recording: stopped.recording,
    }
}

fn transcript_of(subject: &Subject, said: Utterance) -> TranscriptData {
    TranscriptData {
        call_id: subject.call,
        agent_id: subject.agent,
        number: said.number,
        speaker: match said.speaker {
            Speaker::Caller => media::Speaker::Caller,
            Speaker::Agent => media::Speaker::Agent,
        },
        heard: (said.speaker == Speaker::Agent && said.heard != said.text).then_some(said.heard),
        text: said.text,
        language: said.language,
        interrupted: said.interrupted,
        starts_ms: said.starts_ms,
        ends_ms: Some(said.ends_ms),
        generated_ms: said.generated_ms,
        heard_ms: said.heard_ms,
    }
}
#[cfg(test)]
mod tests {
    use voice_providers::{Provider, Speaker};
    use voice_schemas::{
        AgentId, AttemptId, CallId, CampaignId, EventType, TenantId, events::call::Carrier,
        events::media::Recording,
    };
    use voice_telephony::media::Dialled;
    use voice_turns::timeline;

    use super::*;

    fn subject() -> Subject {
        Subject {
            tenant: TenantId::random(),
            call: CallId::random(),
            agent: Some(AgentId::random()),
            carrier: Carrier::Telnyx,
            provider: Provider::OpenaiRealtime,
        }
    }

    fn media_event(subject: &Subject, fact: Fact) -> MediaEvent {
        match event(subject, DateTime::UNIX_EPOCH, fact) {
            Some(Event::Media(event)) => *event,
            other => panic!("not on media.events: {other:?}"),
        }
    }

    fn turn() -> Turn {
        Turn {
            times: timeline::Turn {
                number: 3,
                decision_us: Some(210_400),
                first_byte_in_us: Some(641_200),
                first_byte_out_us: Some(641_900),
                bridge_us: Some(700),
                interrupted: true,
                ..timeline::Turn::default()
            },
            speech_end_ms: Some(12_000),
            generated_ms: 3_200,
            heard_ms: 1_660,
        }
    }

    fn said(speaker: Speaker, text: &str, heard: &str) -> Fact {
        Fact::Utterance(Utterance {
            number: 4,
            speaker,
            text: text.to_owned(),
            heard: heard.to_owned(),
            language: Some("es".to_owned()),
            starts_ms: Some(100),
            ends_ms: 900,
            heard_ms: Some(400),
            generated_ms: Some(800),
            interrupted: true,
        })
    }

    #[test]
    fn a_call_an_ai_agent_took_is_told_where_its_other_events_are_and_once_per_stream() {
        let subject = subject();
        let dialled = Dialled {
            campaign: CampaignId::random(),
            shard: 3,
            attempt: AttemptId::random(),
        };
        let of = |stream: &str, dialled| {
            let connected = Connected {
                carrier_call_id: "v3:1".to_owned(),
                stream_id: stream.to_owned(),
                dialled,
            };
            event(&subject, DateTime::UNIX_EPOCH, Fact::Connected(connected)).unwrap()
        };
        let told = of("S1", Some(dialled));
        assert_eq!(told.topic().name, "calls.events");
        assert_eq!(told.key(), format!("{}#3", dialled.campaign.0));
        assert_eq!(told, of("S1", Some(dialled)));
        let Event::Call(event) = &told else {
            panic!("not on calls.events: {told:?}");
        };
        assert_eq!(event.kind, EventType::CallBridged);
        assert_eq!(event.data.bridge.as_ref().unwrap().agent_kind, AgentKind::Ai);
        assert_eq!(event.data.call.attempt_id, Some(dialled.attempt));
        let Event::Call(again) = of("S2", Some(dialled)) else {
            panic!("not on calls.events");
        };
        assert_ne!(again.id, event.id);
        assert_eq!(of("S1", None).key(), subject.call.0.to_string());
    }

    #[test]
    fn what_picked_up_is_told_with_the_call_unless_that_says_nothing_about_whom_it_reached() {
        let connected = Connected {
            carrier_call_id: "v3:1".to_owned(),
            stream_id: "S1".to_owned(),
            dialled: None,
        };
        let of = |likely, number| {
            let verdict = media::Verdict {
                number,
                likely,
                probabilities: media::Probabilities::default(),
                beep: true,
                after_ms: 2_400,
            };
            event(
                &subject(),
                DateTime::UNIX_EPOCH,
                Fact::Detected(connected.clone(), verdict),
            )
        };
        assert_eq!(of(FarEnd::Ivr, 1), None);
        let Some(Event::Call(machine)) = of(FarEnd::Machine, 1) else {
            panic!("not on calls.events");
        };
        let wanted = Amd {
            answered_by: AnsweredBy::Machine,
            beep: true,
            detection_ms: Some(2_400),
        };
        assert_eq!(
            (machine.kind, &machine.data.amd),
            (EventType::CallAmd, &Some(wanted))
        );
        let Some(Event::Call(later)) = of(FarEnd::Human, 2) else {
            panic!("not on calls.events");
        };
        assert_ne!(later.id, machine.id);
    }

    #[test]
    fn a_turn_becomes_an_event_with_its_whole_timeline_and_the_same_id_however_often_it_is_told() {
        let subject = subject();
        let told = media_event(&subject, Fact::Turn(turn()));
        assert_eq!(told.id, media_event(&subject, Fact::Turn(turn())).id);
        let mut later = turn();
        later.times.number = 4;
        assert_ne!(told.id, media_event(&subject, Fact::Turn(later)).id);
        assert_eq!((told.kind, told.tenantid), (EventType::MediaTurn, subject.tenant));
        assert_eq!(told.data.provider, "openai_realtime");
        let wanted = media::Turn {
            number: 3,
            latency_ms: 641,
            interrupted: true,
            unprompted: false,
            speech_end_ms: Some(12_000),
            decision_ms: Some(210),
            first_token_ms: None,
            first_byte_in_ms: Some(641),
            first_byte_out_ms: Some(641),
            first_mark_ms: None,
            bridge_us: Some(700),
            generated_ms: Some(3_200),
            heard_ms: Some(1_660),
        };
        assert_eq!(told.data.turn, Some(wanted));
    }

    #[test]
    fn a_turn_without_a_begin_is_not_counted_as_a_fast_one() {
        let mut turn = turn();
        turn.times.first_byte_in_us = None;
        turn.times.first_byte_out_us = None;
        assert_eq!(event(&subject(), DateTime::UNIX_EPOCH, Fact::Turn(turn)), None);
    }

    #[test]
    fn what_was_said_goes_to_the_restricted_topic_with_the_part_that_was_heard() {
        let subject = subject();
        let of = |fact| match event(&subject, DateTime::UNIX_EPOCH, fact) {
            Some(Event::Transcript(event)) => *event,
            other => panic!("not on media.transcripts: {other:?}"),
        };
        let agent = of(said(Speaker::Agent, "One. Two.", "One."));
        assert_eq!(agent.data.speaker, media::Speaker::Agent);
        assert_eq!(
            (agent.data.text.as_str(), agent.data.heard.as_deref()),
            ("One. Two.", Some("One."))
        );
        assert_eq!(agent.id, of(said(Speaker::Agent, "One. Two.", "One.")).id);
        assert_eq!(
            Event::Transcript(Box::new(agent)).topic().name,
            "media.transcripts"
        );
        let whole = of(said(Speaker::Agent, "One.", "One."));
        assert_eq!(whole.data.heard, None);
        let caller = of(said(Speaker::Caller, "Sí", "Sí"));
        assert_eq!(
            (caller.data.speaker, caller.data.heard),
            (media::Speaker::Caller, None)
        );
    }

    #[test]
    fn words_are_in_no_debug_output_on_their_way() {
        let said = said(Speaker::Caller, "secret", "secret");
        assert!(!format!("{said:?}").contains("secret"));
        let event = event(&subject(), DateTime::UNIX_EPOCH, said);
        assert!(!format!("{event:?}").contains("secret"));
    }

    #[test]
    fn a_recording_told_again_after_a_crash_is_the_same_event() {
        let (tenant, call) = (TenantId::random(), CallId::random());
        let ready = |at| Ready {
            tenant,
            call,
            at,
            recording: Recording {
                key: "k".to_owned(),
                sha256: "00".repeat(32),
                bytes: 1,
                duration_ms: 1,
                retention: "standard".to_owned(),
                key_id: "1".to_owned(),
                salvaged: true,
            },
        };
        let id = |at| match recording_ready(ready(at)) {
            Event::Media(event) => event.id,
            other => panic!("not on media.events: {other:?}"),
        };
        let later = DateTime::from_timestamp(60, 0).unwrap();
        assert_eq!(id(DateTime::UNIX_EPOCH), id(later));
    }
}
