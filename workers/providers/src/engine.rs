//! An account at a provider with everything but the conversation: what makes one session after another.

use crate::{
    Account, Adapter, DeepgramAgent, DeepgramCascade, GeminiLive, OpenaiLive, OpenaiRealtime, Provider,
    Session, deepgram_agent, deepgram_cascade, gemini_live, openai_live, openai_realtime,
};

/// What makes sessions at one account.
#[derive(Clone, Debug)]
pub enum Engine {
    /// OpenAI's Realtime API.
    OpenaiRealtime(Account, openai_realtime::Options),
    /// OpenAI's GPT-Live.
    OpenaiLive(Account, openai_live::Options),
    /// Google's Gemini Live.
    GeminiLive(Account, gemini_live::Options),
    /// Deepgram's Voice Agent.
    DeepgramAgent(Account, deepgram_agent::Options),
    /// Deepgram's ears and mouth around a chat model.
    DeepgramCascade(Account, deepgram_cascade::ChatAccount, deepgram_cascade::Options),
}

impl Engine {
    /// Whose it is.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::OpenaiRealtime(..) => Provider::OpenaiRealtime,
            Self::OpenaiLive(..) => Provider::OpenaiLive,
            Self::GeminiLive(..) => Provider::GeminiLive,
            Self::DeepgramAgent(..) => Provider::DeepgramAgent,
            Self::DeepgramCascade(..) => Provider::DeepgramCascade,
        }
    }

    /// A session that has not begun.
    #[must_use]
    pub fn adapter(&self, session: Session) -> Box<dyn Adapter> {
        match self.clone() {
            Self::OpenaiRealtime(account, options) => {
                Box::new(OpenaiRealtime::new(account, session, options))
            }
            Self::OpenaiLive(account, options) => Box::new(OpenaiLive::new(account, session, options)),
            Self::GeminiLive(account, options) => Box::new(GeminiLive::new(account, session, options)),
            Self::DeepgramAgent(account, options) => Box::new(DeepgramAgent::new(account, session, options)),
            Self::DeepgramCascade(account, chat, options) => {
                Box::new(DeepgramCascade::new(account, chat, session, options))
            }
        }
    }
}
