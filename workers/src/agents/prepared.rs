//! An agent made ready: everything a call needs that is the same for all its calls.

use std::{sync::Arc, time::Duration};

use voice_providers::{
    AudioFormat, Connector, Engine, Provider, Session, ToolSpec, Turns, models,
    price::{Budget, Micros, PriceTable},
    tools::{self, Patience, Toolbox},
};
use voice_schemas::TenantId;
use voice_telephony::media::Duties;
use voice_turns::{
    idle, interruption,
    language::{self, primary},
};

use super::{
    Accounts, Agent, OnMachine,
    lawful::{ASK, lawful},
};
use crate::plan::{Idle, LastResort, Machine, Money, Plan, Tools, Voice};

/// What the model is told when nobody has said anything for a while.
const STILL_THERE: &str = "The caller has said nothing for a while. Ask in one short sentence, in the language of the \
                           conversation, whether they are still there.";

/// What callers hear while a tool takes its time, in the agent's first language.
const ONE_MOMENT: [(&str, &str); 3] = [
    ("en", "One moment, please."),
    ("es", "Un momento, por favor."),
    ("cs", "Okamžik, prosím."),
];

/// Why an agent cannot talk.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// None of its providers has an account with a key.
    #[error("no account for any of its providers")]
    NoAccount,
    /// One of its tools has a name twice, or a schema that is none.
    #[error("a tool cannot be offered to a model")]
    BadTool,
    /// It names a tool the platform does not have.
    #[error("an unknown tool")]
    UnknownTool,
}

/// An agent made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    agent: Agent,
    engines: Vec<(&'static str, Engine)>,
    toolbox: Toolbox,
    webhooks: Vec<tools::Webhook>,
    prices: Arc<PriceTable>,
    connector: Connector,
}

impl Prepared {
    pub(super) fn new(
        agent: Agent,
        accounts: &Accounts,
        prices: Arc<PriceTable>,
        connector: Connector,
    ) -> Result<Self, Unusable> {
        let mut order = vec![agent.provider];
        order.extend(
            agent
                .failover
                .iter()
                .filter(|provider| **provider != agent.provider),
        );
        let engines: Vec<_> = order
            .into_iter()
            .filter_map(|provider| accounts.engine(provider))
            .collect();
        if engines.is_empty() {
            return Err(Unusable::NoAccount);
        }
        let known = tools::built_in();
        let mut specs = Vec::new();
        for name in &agent.tools {
            let spec = known.iter().find(|spec| spec.name == *name);
            specs.push(spec.cloned().ok_or(Unusable::UnknownTool)?);
        }
        let webhooks: Vec<tools::Webhook> = agent
            .webhooks
            .iter()
            .map(|webhook| tools::Webhook {
                spec: ToolSpec {
                    name: webhook.name.clone(),
                    description: webhook.description.clone(),
                    parameters: webhook.parameters.clone(),
                },
                url: webhook.url.clone(),
            })
            .collect();
        specs.extend(webhooks.iter().map(|webhook| webhook.spec.clone()));
        Ok(Self {
            toolbox: Toolbox::new(specs).map_err(|_| Unusable::BadTool)?,
            webhooks,
            engines,
            prices,
            connector,
            agent,
        })
    }

    /// Their models that end, with the day they do.
    pub(super) fn ending_models(&self) -> impl Iterator<Item = (Provider, &'static models::Shutdown)> {
        self.engines.iter().filter_map(|(_, engine)| {
            let provider = engine.provider();
            Some((provider, models::shutdown(self.model(provider))?))
        })
    }

    fn model(&self, provider: Provider) -> &str {
        match &self.agent.model {
            Some(model) if provider == self.agent.provider => model,
            _ => models::default_model(provider),
        }
    }

    /// The plan of a call whose leg has this format, of which the law asks this.
    pub(super) fn plan(&self, tenant: TenantId, format: AudioFormat, duties: Duties) -> Plan {
        let agent = &self.agent;
        let lawful = lawful(agent, duties);
        let voices = self
            .engines
            .iter()
            .map(|(account, engine)| self.voice(account, engine, tenant, format, lawful.ask))
            .collect();
        let first = agent.languages.first().map_or("en", |tag| primary(tag));
        let filler = ONE_MOMENT
            .iter()
            .find(|(language, _)| *language == first)
            .map_or(ONE_MOMENT[0].1, |(_, words)| words);
        Plan {
            voices,
            connector: self.connector.clone(),
            disclosure: lawful.disclosure,
            greeting: agent.greeting.clone(),
            interruption: interruption::Policy::default(),
            idle: agent.idle_ms.map(|ms| {
                let silence = Duration::from_millis(ms.into());
                Idle {
                    policy: idle::Policy {
                        first: silence,
                        again: silence,
                        most: agent.idle_prompts,
                    },
                    instructions: STILL_THERE.to_owned(),
                }
            }),
            languages: (agent.languages.len() > 1).then(|| language::Policy {
                languages: agent.languages.clone(),
                after: 2,
            }),
            tools: Tools {
                toolbox: self.toolbox.clone(),
                webhooks: self.webhooks.clone(),
                patience: Patience::with_filler(filler),
            },
            money: Money {
                budget: Budget {
                    downgrade_at: agent.budget_micros.map(|all| Micros(all / 4 * 3)),
                    end_at: agent.budget_micros.map(Micros),
                },
                prices: Arc::clone(&self.prices),
                farewell: agent.farewell.clone(),
            },
            machine: match &agent.on_machine {
                OnMachine::Talk => None,
                OnMachine::HangUp => Some(Machine { message: None }),
                OnMachine::LeaveMessage(message) => Some(Machine {
                    message: Some(message.clone()),
                }),
            },
            last_resort: LastResort::default(),
            recording: lawful.recording,
        }
    }

    fn voice(
        &self,
        account: &str,
        engine: &Engine,
        tenant: TenantId,
        format: AudioFormat,
        ask: bool,
    ) -> Voice {
        let provider = engine.provider();
        let (input, output) = provider.capabilities().formats_for(format);
        let own = self
            .agent
            .voice
            .clone()
            .filter(|_| provider == self.agent.provider);
        Voice {
            account: account.to_owned(),
            engine: engine.clone(),
            session: Session {
                model: self.model(provider).to_owned(),
                instructions: if ask {
                    format!("{}\n\n{ASK}", self.agent.instructions)
                } else {
                    self.agent.instructions.clone()
                },
                voice: own.or_else(|| Some(models::default_voice(provider).to_owned())),
                input,
                output,
                languages: self.agent.languages.clone(),
                turns: Turns::default(),
                tools: self.toolbox.specs(),
                history: Vec::new(),
                safety_id: Some(tenant.to_string()),
                resume: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use voice_providers::Tls;
    use voice_schemas::AgentId;
    use voice_telephony::media::RecordingDuty;

    use super::*;
    use crate::plan::Recording;

    const FREE: Duties = Duties {
        disclose_ai: false,
        recording: RecordingDuty::Nothing,
    };

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        for account in [&mut accounts.openai, &mut accounts.google] {
            account.as_mut().unwrap().key = Some("key".to_owned().into());
        }
        accounts
    }

    fn agent() -> Agent {
        Agent {
            model: Some("gpt-realtime-mini".to_owned()),
            voice: Some("cedar".to_owned()),
            failover: vec![
                Provider::DeepgramAgent,
                Provider::GeminiLive,
                Provider::OpenaiRealtime,
            ],
            budget_micros: Some(1_000_000),
            record: Recording::On,
            ..Agent::new(AgentId::random(), "Ada", Provider::OpenaiRealtime, "Be brief.")
        }
    }

    fn prepared(agent: Agent) -> Result<Prepared, Unusable> {
        let _first = rustls::crypto::ring::default_provider().install_default();
        let tls = Tls::with_roots(rustls::RootCertStore::empty()).unwrap();
        let connector = Connector::new(tls, reqwest::Client::new(), Duration::from_secs(5));
        Prepared::new(agent, &accounts(), Arc::new(PriceTable::list()), connector)
    }

    #[test]
    fn the_first_voice_is_the_agents_own_and_the_others_have_the_defaults_of_their_provider() {
        let prepared = prepared(agent()).unwrap();
        let plan = prepared.plan(TenantId::random(), AudioFormat::PCMU, FREE);
        let voices: Vec<(Provider, &str, Option<&str>)> = plan
            .voices
            .iter()
            .map(|voice| {
                let session = &voice.session;
                (voice.engine.provider(), &*session.model, session.voice.as_deref())
            })
            .collect();
        // There is no account for Deepgram's agent.
        let expected = [
            (Provider::OpenaiRealtime, "gpt-realtime-mini", Some("cedar")),
            (
                Provider::GeminiLive,
                models::default_model(Provider::GeminiLive),
                Some("Kore"),
            ),
        ];
        assert_eq!(voices, expected);
        assert_eq!(plan.voices[0].session.input, AudioFormat::PCMU);
        assert_eq!(plan.voices[1].session.output, AudioFormat::PCM_24K);
        assert_eq!(plan.money.budget.downgrade_at, Some(Micros(750_000)));
        assert_eq!(plan.recording, Recording::On);
        let ending: Vec<&str> = prepared.ending_models().map(|(_, ends)| ends.model).collect();
        assert_eq!(ending, ["gpt-realtime-mini"]);
    }

    #[test]
    fn an_agent_that_could_not_talk_or_use_its_tools_is_found_out_before_a_call() {
        let with = |change: fn(&mut Agent)| {
            let mut agent = agent();
            change(&mut agent);
            prepared(agent).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| {}), Ok(()));
        let nobody = with(|agent| {
            agent.provider = Provider::DeepgramAgent;
            agent.failover.clear();
        });
        assert_eq!(nobody, Err(Unusable::NoAccount.to_string()));
        let unknown = with(|agent| agent.tools.push("fly".to_owned()));
        assert_eq!(unknown, Err(Unusable::UnknownTool.to_string()));
        let bad = with(|agent| agent.tools.push("hang_up".to_owned()));
        assert_eq!(bad, Err(Unusable::BadTool.to_string()));
    }
}
