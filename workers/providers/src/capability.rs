//! What a provider can do and what it leaves to us.

use serde::{Deserialize, Serialize};

use crate::AudioFormat;

/// A provider, as the wire and the price list know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// OpenAI's Realtime API, turn by turn.
    OpenaiRealtime,
    /// OpenAI's GPT-Live, full duplex.
    OpenaiLive,
    /// Google's Gemini Live.
    GeminiLive,
    /// Deepgram's Voice Agent.
    DeepgramAgent,
    /// Deepgram's ears and mouth around a chat model.
    DeepgramCascade,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 5] = [
        Self::OpenaiRealtime,
        Self::OpenaiLive,
        Self::GeminiLive,
        Self::DeepgramAgent,
        Self::DeepgramCascade,
    ];

    /// Stable name for configuration, events and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiRealtime => "openai_realtime",
            Self::OpenaiLive => "openai_live",
            Self::GeminiLive => "gemini_live",
            Self::DeepgramAgent => "deepgram_agent",
            Self::DeepgramCascade => "deepgram_cascade",
        }
    }

    /// What it can do.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        const G711: &[AudioFormat] = &[AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::PCM_24K];
        const G711_ANY_PCM: &[AudioFormat] = &[
            AudioFormat::PCMU,
            AudioFormat::PCMA,
            AudioFormat::PCM_8K,
            AudioFormat::PCM_16K,
            AudioFormat::PCM_24K,
        ];
        match self {
            Self::OpenaiRealtime => Capabilities {
                input: G711,
                output: G711,
                same_format_both_ways: false,
                owns_turns: true,
                full_duplex: false,
                needs_truncate: true,
                resumable: false,
                tools: Tools::Direct,
                streams_while_silent: false,
                waits_for_free: true,
                transcribes: true,
            },
            Self::OpenaiLive => Capabilities {
                input: &[
                    AudioFormat::PCMU,
                    AudioFormat::PCMA,
                    AudioFormat::PCM_16K,
                    AudioFormat::PCM_24K,
                ],
                output: &[
                    AudioFormat::PCMU,
                    AudioFormat::PCMA,
                    AudioFormat::PCM_16K,
                    AudioFormat::PCM_24K,
                ],
                same_format_both_ways: true,
                owns_turns: true,
                full_duplex: true,
                needs_truncate: false,
                resumable: false,
                tools: Tools::Delegated,
                streams_while_silent: true,
                waits_for_free: false,
                transcribes: true,
            },
            Self::GeminiLive => Capabilities {
                input: &[AudioFormat::PCM_16K],
                output: &[AudioFormat::PCM_24K],
                same_format_both_ways: false,
                owns_turns: true,
                full_duplex: false,
                needs_truncate: false,
                resumable: true,
                tools: Tools::Direct,
                streams_while_silent: false,
                waits_for_free: true,
                transcribes: true,
            },
            Self::DeepgramAgent => Capabilities {
                input: G711_ANY_PCM,
                output: G711_ANY_PCM,
                same_format_both_ways: false,
                owns_turns: true,
                full_duplex: false,
                needs_truncate: false,
                resumable: false,
                tools: Tools::Direct,
                streams_while_silent: false,
                waits_for_free: false,
                transcribes: true,
            },
            Self::DeepgramCascade => Capabilities {
                input: G711_ANY_PCM,
                output: G711_ANY_PCM,
                same_format_both_ways: false,
                owns_turns: true,
                full_duplex: false,
                needs_truncate: true,
                resumable: false,
                tools: Tools::Direct,
                streams_while_silent: false,
                waits_for_free: false,
                transcribes: true,
            },
        }
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who calls the tools the model asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tools {
    /// The voice model names the tool itself.
    Direct,
    /// The voice model hands the matter to another model, which names the tool: it takes longer.
    Delegated,
}

/// What a bridge must know about a provider to treat it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Formats it takes. Where the caller's is among them, audio passes through as it is.
    pub input: &'static [AudioFormat],
    /// Formats it speaks.
    pub output: &'static [AudioFormat],
    /// Input and output cannot differ.
    pub same_format_both_ways: bool,
    /// Decides when the caller has finished and when to answer.
    pub owns_turns: bool,
    /// Listens while it speaks and stops by itself: nothing to cancel, and the playback queue must stay short.
    pub full_duplex: bool,
    /// Must be told how much of an answer was heard, or believes that all of it was.
    pub needs_truncate: bool,
    /// A session survives its connection by a handle.
    pub resumable: bool,
    /// Who calls tools.
    pub tools: Tools,
    /// Sends audio all the time, zeros when nobody speaks.
    pub streams_while_silent: bool,
    /// Says what the caller said.
    pub transcribes: bool,
    /// A session in which nothing is said costs nothing: what is paid for is audio or words, not time.
    pub waits_for_free: bool,
}

impl Capabilities {
    /// The formats to agree on for a leg that speaks `leg`: the leg's own where the provider speaks it, so
    /// that nothing is transcoded, and what the provider likes best otherwise. Input first, then output.
    #[must_use]
    pub fn formats_for(&self, leg: AudioFormat) -> (AudioFormat, AudioFormat) {
        (preferred(self.input, leg), preferred(self.output, leg))
    }
}

fn preferred(known: &[AudioFormat], leg: AudioFormat) -> AudioFormat {
    if known.contains(&leg) {
        leg
    } else {
        // Every list ends with the best the provider has.
        known.last().copied().unwrap_or(leg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_leg_passes_through_wherever_the_provider_speaks_g711() {
        for provider in Provider::ALL {
            let (input, output) = provider.capabilities().formats_for(AudioFormat::PCMU);
            if provider == Provider::GeminiLive {
                assert_eq!((input, output), (AudioFormat::PCM_16K, AudioFormat::PCM_24K));
            } else {
                assert_eq!(
                    (input, output),
                    (AudioFormat::PCMU, AudioFormat::PCMU),
                    "{provider}"
                );
            }
        }
    }

    #[test]
    fn a_leg_that_nobody_speaks_meets_the_best_the_provider_has() {
        let leg = AudioFormat {
            codec: crate::Codec::Pcm16,
            rate_hz: 48_000,
        };
        for provider in Provider::ALL {
            let capabilities = provider.capabilities();
            let (input, output) = capabilities.formats_for(leg);
            assert!(capabilities.input.contains(&input) && capabilities.output.contains(&output));
            assert!(
                !capabilities.same_format_both_ways || input == output,
                "{provider}"
            );
        }
    }
}
