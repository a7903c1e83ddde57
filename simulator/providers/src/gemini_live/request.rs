//! Every message a client may send to Gemini Live: one top-level key each, camel case, no unknown field.

use serde::Deserialize;
use serde_json::Value;

use crate::strict::Refusal;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum ClientMessage {
    Setup(Box<Setup>),
    ClientContent(ClientContent),
    RealtimeInput(RealtimeInput),
    ToolResponse(ToolResponse),
    ContextUpdate(ContextUpdate),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Setup {
    model: String,
    #[serde(default)]
    generation_config: Option<GenerationConfig>,
    #[serde(default, rename = "systemInstruction")]
    _system_instruction: Option<Content>,
    #[serde(default, rename = "tools")]
    _tools: Option<Vec<Tool>>,
    #[serde(default)]
    realtime_input_config: Option<RealtimeInputConfig>,
    #[serde(default, rename = "inputAudioTranscription")]
    _input_audio_transcription: Option<TranscriptionConfig>,
    #[serde(default, rename = "outputAudioTranscription")]
    _output_audio_transcription: Option<TranscriptionConfig>,
    #[serde(default)]
    session_resumption: Option<SessionResumption>,
    #[serde(default, rename = "contextWindowCompression")]
    _context_window_compression: Option<Compression>,
    #[serde(default)]
    history_config: Option<HistoryConfig>,
    #[serde(default, rename = "proactivity")]
    _proactivity: Option<Value>,
    #[serde(default, rename = "explicitVadSignal")]
    _explicit_vad_signal: Option<bool>,
}

impl Setup {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if !self.model.starts_with("models/") && !self.model.starts_with("projects/") {
            return Err(Refusal::value("setup.model", "model must begin with models/"));
        }
        let modalities = self
            .generation_config
            .as_ref()
            .and_then(|config| config.response_modalities.as_ref());
        if modalities.is_some_and(|modalities| modalities.len() != 1) {
            return Err(Refusal::value(
                "generationConfig.responseModalities",
                "Exactly one modality.",
            ));
        }
        Ok(())
    }

    pub(super) fn resumes(&self) -> Option<&str> {
        self.session_resumption.as_ref()?.handle.as_deref()
    }

    pub(super) fn is_resumable(&self) -> bool {
        self.session_resumption.is_some()
    }

    pub(super) fn announces_history(&self) -> bool {
        let config = self.history_config.as_ref();
        config
            .and_then(|config| config.initial_history_in_client_content)
            .unwrap_or(false)
    }

    fn detection(&self) -> Option<&Detection> {
        self.realtime_input_config
            .as_ref()?
            .automatic_activity_detection
            .as_ref()
    }

    pub(super) fn is_automatic(&self) -> bool {
        !self
            .detection()
            .and_then(|detection| detection.disabled)
            .unwrap_or(false)
    }

    pub(super) fn silence_ms(&self) -> u64 {
        self.detection()
            .and_then(|detection| detection.silence_duration_ms)
            .unwrap_or(400)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerationConfig {
    #[serde(default)]
    response_modalities: Option<Vec<Modality>>,
    #[serde(default, rename = "speechConfig")]
    _speech_config: Option<SpeechConfig>,
    #[serde(default, rename = "thinkingConfig")]
    _thinking_config: Option<ThinkingConfig>,
    #[serde(default, rename = "temperature")]
    _temperature: Option<f64>,
    #[serde(default, rename = "topP")]
    _top_p: Option<f64>,
    #[serde(default, rename = "topK")]
    _top_k: Option<f64>,
    #[serde(default, rename = "maxOutputTokens")]
    _max_output_tokens: Option<u32>,
    #[serde(default, rename = "seed")]
    _seed: Option<i64>,
    #[serde(default, rename = "mediaResolution")]
    _media_resolution: Option<String>,
    #[serde(default, rename = "enableAffectiveDialog")]
    _enable_affective_dialog: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Modality {
    Audio,
    Text,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpeechConfig {
    #[serde(default, rename = "voiceConfig")]
    _voice_config: Option<VoiceConfig>,
    #[serde(default, rename = "languageCode")]
    _language_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VoiceConfig {
    #[serde(default, rename = "prebuiltVoiceConfig")]
    _prebuilt_voice_config: Option<PrebuiltVoice>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrebuiltVoice {
    #[serde(rename = "voiceName")]
    _voice_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ThinkingConfig {
    #[serde(default, rename = "thinkingLevel")]
    _thinking_level: Option<ThinkingLevel>,
    #[serde(default, rename = "thinkingBudget")]
    _thinking_budget: Option<i64>,
    #[serde(default, rename = "includeThoughts")]
    _include_thoughts: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ThinkingLevel {
    Minimal,
    Low,
    Medium,
    High,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Content {
    #[serde(default, rename = "role")]
    _role: Option<Role>,
    #[serde(default)]
    parts: Vec<Part>,
}

impl Content {
    fn words(&self) -> u64 {
        let texts = self.parts.iter().filter_map(|part| part.text.as_ref());
        texts.map(|text| text.split_whitespace().count() as u64).sum()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Model,
    /// The SDK's name for the author of instructions.
    System,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Part {
    #[serde(default)]
    text: Option<String>,
    #[serde(default, rename = "inlineData")]
    _inline_data: Option<Blob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tool {
    #[serde(default, rename = "functionDeclarations")]
    _function_declarations: Option<Vec<FunctionDeclaration>>,
    #[serde(default, rename = "googleSearch")]
    _google_search: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FunctionDeclaration {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<Value>,
    #[serde(default, rename = "parametersJsonSchema")]
    _parameters_json_schema: Option<Value>,
    #[serde(default, rename = "behavior")]
    _behavior: Option<Behavior>,
    #[serde(default, rename = "response")]
    _response: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Behavior {
    Unspecified,
    Blocking,
    NonBlocking,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RealtimeInputConfig {
    #[serde(default)]
    automatic_activity_detection: Option<Detection>,
    #[serde(default, rename = "activityHandling")]
    _activity_handling: Option<ActivityHandling>,
    #[serde(default, rename = "turnCoverage")]
    _turn_coverage: Option<TurnCoverage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ActivityHandling {
    StartOfActivityInterrupts,
    NoInterruption,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TurnCoverage {
    TurnIncludesOnlyActivity,
    TurnIncludesAllInput,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Detection {
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default, rename = "startOfSpeechSensitivity")]
    _start_of_speech_sensitivity: Option<StartSensitivity>,
    #[serde(default, rename = "endOfSpeechSensitivity")]
    _end_of_speech_sensitivity: Option<EndSensitivity>,
    #[serde(default, rename = "prefixPaddingMs")]
    _prefix_padding_ms: Option<u64>,
    #[serde(default)]
    silence_duration_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StartSensitivity {
    StartSensitivityHigh,
    StartSensitivityLow,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EndSensitivity {
    EndSensitivityHigh,
    EndSensitivityLow,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TranscriptionConfig {
    #[serde(default, rename = "languageCodes")]
    _language_codes: Option<Vec<String>>,
    #[serde(default, rename = "customVocabulary")]
    _custom_vocabulary: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionResumption {
    #[serde(default)]
    handle: Option<String>,
    #[serde(default, rename = "transparent")]
    _transparent: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Compression {
    /// A 64-bit number: a string in this JSON.
    #[serde(default, rename = "triggerTokens")]
    _trigger_tokens: Option<Value>,
    #[serde(default, rename = "slidingWindow")]
    _sliding_window: Option<SlidingWindow>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SlidingWindow {
    #[serde(default, rename = "targetTokens")]
    _target_tokens: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryConfig {
    #[serde(default)]
    initial_history_in_client_content: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClientContent {
    #[serde(default)]
    turns: Vec<Content>,
    #[serde(default)]
    pub(super) turn_complete: bool,
}

impl ClientContent {
    pub(super) fn words(&self) -> u64 {
        self.turns.iter().map(Content::words).sum()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum RealtimeInput {
    Audio(Blob),
    Text(String),
    #[serde(deserialize_with = "flag")]
    AudioStreamEnd,
    #[serde(deserialize_with = "empty")]
    ActivityStart,
    #[serde(deserialize_with = "empty")]
    ActivityEnd,
}

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    bool::deserialize(deserializer).map(drop)
}

fn empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Empty {}
    Empty::deserialize(deserializer).map(drop)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Blob {
    pub(super) data: String,
    pub(super) mime_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolResponse {
    pub(super) function_responses: Vec<FunctionResponse>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FunctionResponse {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, rename = "name")]
    _name: Option<String>,
    #[serde(rename = "response")]
    _response: serde_json::Map<String, Value>,
    #[serde(default)]
    scheduling: Option<Scheduling>,
    #[serde(default, rename = "willContinue")]
    _will_continue: Option<bool>,
}

impl FunctionResponse {
    pub(super) fn is_to_be_answered(&self) -> bool {
        self.scheduling != Some(Scheduling::Silent)
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Scheduling {
    Silent,
    WhenIdle,
    Interrupt,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContextUpdate {
    #[serde(default)]
    system_instruction: Option<Content>,
    #[serde(default, rename = "tools")]
    _tools: Option<Value>,
}

impl ContextUpdate {
    pub(super) fn words(&self) -> u64 {
        self.system_instruction.as_ref().map_or(0, Content::words)
    }
}
