//! Examples of what happens to the audio of a call.

use super::{Examples, at, put, tenant};
use crate::{
    AgentId, CallId,
    events::{
        call::Carrier,
        media::{
            ChangeKind, FarEnd, MediaFact, MediaRef, Probabilities, ProviderChange, Quantities, Recording,
            Speaker, Start, Stop, ToolUse, TranscriptData, Turn, Usage, Verdict,
        },
    },
    topics,
};

pub(super) fn put_all(examples: &mut Examples) {
    let call_id = CallId::derived(at(0), &[b"outbound"]);
    let agent_id = Some(AgentId::derived(at(0), &[b"ai agent"]));
    let media = MediaRef {
        call_id,
        agent_id,
        provider: "openai_realtime",
    };
    let key = format!("recordings/{}/{}.rec", tenant().0, call_id.0);
    let facts = [
        (10, MediaFact::Started(start())),
        (12, MediaFact::Verdict(verdict())),
        (12, MediaFact::Disclosed),
        (20, MediaFact::LanguageChanged("es".to_owned())),
        (22, MediaFact::Turn(turn())),
        (22, MediaFact::Usage(usage())),
        (30, MediaFact::ToolUsed(tool())),
        (41, MediaFact::ProviderChanged(change())),
        (70, MediaFact::Stopped(stop(&key))),
        (72, MediaFact::RecordingReady(recording(key))),
    ];
    for (seconds, fact) in facts {
        put(
            examples,
            &topics::MEDIA,
            fact.event_type().as_str(),
            &fact.into_event(tenant(), "/workers/media", at(seconds), &media),
        );
    }
    let heard = TranscriptData {
        call_id,
        agent_id,
        number: 4,
        speaker: Speaker::Agent,
        text: "We are open until six. Shall I book you in?".to_owned(),
        heard: Some("We are open until six.".to_owned()),
        language: Some("en".to_owned()),
        interrupted: true,
        starts_ms: Some(12_640),
        ends_ms: Some(14_300),
        generated_ms: Some(3_200),
        heard_ms: Some(1_660),
    };
    let said = TranscriptData {
        number: 3,
        speaker: Speaker::Caller,
        text: "Call me back at [number], please.".to_owned(),
        heard: None,
        interrupted: false,
        starts_ms: Some(9_800),
        ends_ms: Some(12_000),
        generated_ms: None,
        heard_ms: None,
        ..heard.clone()
    };
    for (name, data) in [
        ("transcript.utterance", said),
        ("transcript.utterance.agent", heard),
    ] {
        put(
            examples,
            &topics::TRANSCRIPTS,
            name,
            &data.into_event(tenant(), "/workers/media", at(22)),
        );
    }
}

fn start() -> Start {
    Start {
        carrier: Carrier::Telnyx,
        model: "gpt-realtime-2.1".to_owned(),
        codec: "pcmu".to_owned(),
        pass_through: true,
        recorded: true,
    }
}

fn verdict() -> Verdict {
    Verdict {
        number: 1,
        likely: FarEnd::Human,
        probabilities: Probabilities {
            human: 0.93,
            machine: 0.05,
            screening: 0.02,
            ..Probabilities::default()
        },
        beep: false,
        after_ms: 1_900,
    }
}

fn turn() -> Turn {
    Turn {
        number: 3,
        latency_ms: 641,
        interrupted: true,
        unprompted: false,
        speech_end_ms: Some(12_000),
        decision_ms: Some(210),
        first_token_ms: Some(520),
        first_byte_in_ms: Some(640),
        first_byte_out_ms: Some(641),
        first_mark_ms: Some(780),
        bridge_us: Some(410),
        generated_ms: Some(3_200),
        heard_ms: Some(1_660),
    }
}

fn usage() -> Usage {
    Usage {
        number: 2,
        model: "gpt-realtime-2.1".to_owned(),
        quantities: Quantities {
            text_in: 119,
            audio_in: 13,
            audio_in_cached: 64,
            text_out: 30,
            audio_out: 91,
            ..Quantities::default()
        },
        price_table: "2026-11-21".to_owned(),
        currency: "USD".to_owned(),
        micros: 7_465,
        unpriced: false,
    }
}

fn tool() -> ToolUse {
    ToolUse {
        number: 1,
        name: "schedule_callback".to_owned(),
        outcome: "done".to_owned(),
        duration_ms: 84,
    }
}

fn change() -> ProviderChange {
    ProviderChange {
        number: 1,
        kind: ChangeKind::Failover,
        from: "gemini_live".to_owned(),
        to: "openai_realtime".to_owned(),
        cause: "stalled".to_owned(),
        gap_ms: 1_840,
        lost_ms: 0,
    }
}

fn recording(key: String) -> Recording {
    Recording {
        key,
        sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        bytes: 976_812,
        duration_ms: 60_000,
        retention: "standard".to_owned(),
        key_id: "2026-11".to_owned(),
        salvaged: false,
    }
}

fn stop(key: &str) -> Stop {
    Stop {
        cause: "carrier".to_owned(),
        fault: None,
        duration_ms: 60_000,
        frames: 2_998,
        lost: 2,
        malformed: 0,
        micros: 41_300,
        currency: "USD".to_owned(),
        recording: Some(key.to_owned()),
    }
}
