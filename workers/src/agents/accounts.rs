//! The operator's accounts at AI providers.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use voice_providers::{
    Account, Engine, Provider, deepgram_agent, deepgram_cascade, gemini_live, openai_live, openai_realtime,
};

/// One account. Without a key it is not used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The provider's host, or a simulator's.
    pub base_url: Url,
    /// The key.
    #[serde(default)]
    pub key: Option<SecretString>,
}

impl AccountConfig {
    fn at(host: &str) -> Option<Self> {
        Some(Self {
            base_url: Url::parse(host).ok()?,
            key: None,
        })
    }

    fn account(&self) -> Option<Account> {
        Some(Account {
            base_url: self.base_url.clone(),
            key: self.key.clone()?,
        })
    }
}

/// All of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// Certificates that providers' are checked by instead of the machine's: a file in PEM.
    pub ca_file: Option<PathBuf>,
    /// OpenAI: Realtime and GPT-Live.
    pub openai: Option<AccountConfig>,
    /// Gemini Live.
    pub google: Option<AccountConfig>,
    /// Deepgram's sockets for hearing and speaking.
    pub deepgram: Option<AccountConfig>,
    /// Deepgram's Voice Agent; the key is that of `deepgram` where it has none.
    pub deepgram_agent: Option<AccountConfig>,
    /// Any chat completions of OpenAI's kind, which think for Deepgram's ears and mouth.
    pub chat: Option<AccountConfig>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            ca_file: None,
            openai: AccountConfig::at("wss://api.openai.com"),
            google: AccountConfig::at("wss://generativelanguage.googleapis.com"),
            deepgram: AccountConfig::at("wss://api.deepgram.com"),
            deepgram_agent: AccountConfig::at("wss://agent.deepgram.com"),
            chat: AccountConfig::at("https://api.openai.com/v1/"),
        }
    }
}

impl Accounts {
    /// Everything that is wrong with them, each as one sentence.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let sockets = [
            ("openai", &self.openai),
            ("google", &self.google),
            ("deepgram", &self.deepgram),
            ("deepgram_agent", &self.deepgram_agent),
        ];
        let mut faults: Vec<String> = sockets
            .into_iter()
            .filter_map(|(name, account)| Some((name, account.as_ref()?)))
            .filter(|(_, account)| !matches!(account.base_url.scheme(), "ws" | "wss"))
            .map(|(name, _)| format!("media.providers.{name}.base_url must begin with wss://"))
            .collect();
        if let Some(path) = &self.ca_file
            && !path.is_file()
        {
            faults.push("media.providers.ca_file is no file".to_owned());
        }
        if let Some(chat) = &self.chat
            && !matches!(chat.base_url.scheme(), "http" | "https")
        {
            faults.push("media.providers.chat.base_url must begin with https://".to_owned());
        }
        faults
    }

    /// What makes sessions of this provider, and the operator's name of the account; none without a key.
    #[must_use]
    pub fn engine(&self, provider: Provider) -> Option<(&'static str, Engine)> {
        let of = |account: &Option<AccountConfig>| account.as_ref()?.account();
        Some(match provider {
            Provider::OpenaiRealtime => (
                "openai",
                Engine::OpenaiRealtime(of(&self.openai)?, openai_realtime::Options::default()),
            ),
            Provider::OpenaiLive => (
                "openai",
                Engine::OpenaiLive(of(&self.openai)?, openai_live::Options::default()),
            ),
            Provider::GeminiLive => (
                "google",
                Engine::GeminiLive(of(&self.google)?, gemini_live::Options::default()),
            ),
            Provider::DeepgramAgent => {
                let mut at = self.deepgram_agent.clone()?;
                at.key = at.key.or_else(|| self.deepgram.as_ref()?.key.clone());
                (
                    "deepgram_agent",
                    Engine::DeepgramAgent(at.account()?, deepgram_agent::Options::default()),
                )
            }
            Provider::DeepgramCascade => {
                let mut chat = self.chat.clone()?;
                chat.key = chat.key.or_else(|| self.openai.as_ref()?.key.clone());
                let chat = deepgram_cascade::ChatAccount {
                    key: chat.key?,
                    base_url: chat.base_url,
                };
                (
                    "deepgram",
                    Engine::DeepgramCascade(of(&self.deepgram)?, chat, deepgram_cascade::Options::default()),
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_without_a_key_is_not_used_and_keys_are_shared_where_the_vendor_is_the_same() {
        let mut accounts = Accounts::default();
        assert!(accounts.faults().is_empty());
        assert!(
            Provider::ALL
                .iter()
                .all(|provider| accounts.engine(*provider).is_none())
        );
        for account in [&mut accounts.openai, &mut accounts.deepgram] {
            account.as_mut().unwrap().key = Some("key".to_owned().into());
        }
        let usable: Vec<Provider> = Provider::ALL
            .into_iter()
            .filter(|provider| {
                accounts
                    .engine(*provider)
                    .is_some_and(|(_, engine)| engine.provider() == *provider)
            })
            .collect();
        let all_but_google: Vec<Provider> = Provider::ALL
            .into_iter()
            .filter(|provider| *provider != Provider::GeminiLive)
            .collect();
        assert_eq!(usable, all_but_google);
    }

    #[test]
    fn every_wrong_address_is_named() {
        let wrong = || AccountConfig::at("ftp://example.com");
        let accounts = Accounts {
            openai: wrong(),
            chat: wrong(),
            ..Accounts::default()
        };
        assert_eq!(accounts.faults().len(), 2, "{:?}", accounts.faults());
    }
}
