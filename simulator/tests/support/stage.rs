//! A platform in miniature with a twin it can place calls at.

use std::{sync::Arc, time::Duration};

use url::Url;
use voice_schemas::{
    AttemptId, CallId,
    events::call::{CallEvent, Carrier, Direction},
};
use voice_simulator::{
    Account, Credentials,
    live::{Fate, Live, LiveOptions, Population},
    twin::{Twin, serve_twin},
};
use voice_telephony::{
    AmdMode, CallContext, CarrierClient, Conference, HookUrls, Instruction, OriginateRequest, Originated,
    PhoneNumber, Prompt, telnyx, twilio,
};

use super::{Platform, accounts, clock, context, patient};

/// A platform that only listens, and a twin with live calls.
pub(crate) struct Stage {
    pub(crate) platform: Platform,
    pub(crate) live: Live,
    pub(crate) clients: Vec<Box<dyn CarrierClient>>,
    pub(crate) accounts: Arc<[Account]>,
}

impl Stage {
    pub(crate) async fn new(options: LiveOptions) -> Self {
        Self::with(Platform::start(patient).await, options).await
    }

    pub(crate) async fn with(platform: Platform, options: LiveOptions) -> Self {
        let accounts: Arc<[Account]> = accounts().into();
        let live = Live::new(options, Arc::clone(&accounts), clock()).unwrap();
        tokio::spawn(live.clone().run(super::http(), std::future::pending()));
        let twin = Twin::of_live(Arc::clone(&accounts), clock(), live.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base: Url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(serve_twin(listener, twin, std::future::pending()));
        let clients = accounts
            .iter()
            .map(|account| client(account, base.clone()))
            .collect();
        Self {
            platform,
            live,
            clients,
            accounts,
        }
    }

    /// Only people, who answer at once and talk for a moment.
    pub(crate) async fn of(fate: Fate) -> Self {
        Self::new(LiveOptions {
            population: Population::instant(fate),
            ..LiveOptions::default()
        })
        .await
    }

    pub(crate) fn request(&self, account: usize, to: &str) -> OriginateRequest {
        let tenant = self.accounts[account].tenant;
        let attempt = AttemptId::random();
        let mut sealed = CallContext::new(tenant, CallId::random(), Direction::Outbound);
        sealed.attempt = Some(attempt);
        OriginateRequest {
            attempt,
            context: context().seal(&sealed),
            to: PhoneNumber::parse(to).unwrap().into(),
            from: PhoneNumber::parse("+15559999999").unwrap(),
            hooks: self.hooks(account),
            ring_timeout: Duration::from_secs(20),
            time_limit: Some(Duration::from_secs(600)),
            amd: AmdMode::Detect,
            record: false,
            on_answer: match self.clients[account].carrier() {
                Carrier::Twilio => vec![Instruction::Prompt(Prompt::Pause { seconds: 10 })],
                Carrier::Telnyx => Vec::new(),
            },
        }
    }

    pub(crate) fn hooks(&self, account: usize) -> HookUrls {
        let path = format!(
            "/hooks/{}/{}",
            self.clients[account].carrier(),
            self.accounts[account].ingress
        );
        HookUrls::new(&self.platform.url().join(&path).unwrap())
    }

    pub(crate) async fn dial(&self, account: usize, to: &str) -> Originated {
        let request = self.request(account, to);
        self.clients[account].originate(&request).await.unwrap()
    }

    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !is(self) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain: {what}; {:?}",
                self.live.truth()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn answered(&self, id: &str) {
        self.until("an answer", |stage| {
            stage
                .live
                .calls()
                .iter()
                .any(|call| call.carrier_call_id == id && call.answered_at.is_some())
        })
        .await;
    }

    pub(crate) async fn quiet(&self) {
        self.until("the end of everything", |stage| stage.live.is_quiet())
            .await;
    }

    /// Everything the platform was told, and no request it did not understand.
    pub(crate) fn told(&self) -> Vec<CallEvent> {
        let told = self.platform.clone().told();
        assert_eq!(told.refused, Vec::<String>::new());
        told.events
    }
}

pub(crate) fn client(account: &Account, base_url: Url) -> Box<dyn CarrierClient> {
    let timeout = Duration::from_millis(1_500);
    match &account.credentials {
        Credentials::Twilio {
            account_sid,
            auth_token,
        } => Box::new(twilio::Client::new(
            super::http(),
            twilio::Config {
                account_sid: account_sid.clone(),
                user: account_sid.clone(),
                password: auth_token.clone(),
                base_url,
                timeout,
            },
        )),
        Credentials::Telnyx {
            connection_id,
            api_key,
            ..
        } => Box::new(telnyx::Client::new(
            super::http(),
            telnyx::Config {
                api_key: api_key.clone(),
                connection_id: connection_id.clone(),
                base_url,
                timeout,
            },
        )),
    }
}

pub(crate) fn room(
    stage: &Stage,
    account: usize,
    name: &str,
    request: &OriginateRequest,
) -> Vec<Instruction> {
    let mut conference = Conference::new(name);
    conference.label = Some("customer:human".to_owned());
    vec![Instruction::Conference(
        conference.reporting_to(&stage.hooks(account), &request.context),
    )]
}
