//! Where a carrier is told to open its stream: the media workers' address, and a token that opens one.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use voice_schemas::events::call::Carrier;

use super::{StreamPurpose, StreamTokens};

/// Makes addresses of streams.
#[derive(Clone, Debug)]
pub struct StreamUrls {
    /// Without the slash at its end.
    base: Arc<str>,
    tokens: Arc<StreamTokens>,
}

impl StreamUrls {
    /// Media workers are reached at `base`: `wss://media.example.com`.
    #[must_use]
    pub fn new(base: &Url, tokens: Arc<StreamTokens>) -> Self {
        Self {
            base: base.as_str().trim_end_matches('/').into(),
            tokens,
        }
    }

    /// The address for one stream, good for so long.
    #[must_use]
    pub fn url(
        &self,
        carrier: Carrier,
        purpose: &StreamPurpose,
        now: DateTime<Utc>,
        good_for: TimeDelta,
    ) -> String {
        let token = self.tokens.issue(purpose, now + good_for, rand::random());
        format!("{}/media/{carrier}/{token}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use voice_schemas::{AgentId, CallId, TenantId};

    use super::*;
    use crate::media::{Duties, StreamKey, TokenError};

    #[test]
    fn every_address_opens_one_stream_of_its_call_and_not_for_ever() {
        let tokens = Arc::new(StreamTokens::new(StreamKey::new([1; 32]), None));
        let urls = StreamUrls::new(
            &Url::parse("wss://media.example.com/").unwrap(),
            Arc::clone(&tokens),
        );
        let purpose = StreamPurpose {
            tenant: TenantId::random(),
            call: CallId::random(),
            agent: AgentId::random(),
            dialled: None,
            duties: Duties::STRICTEST,
        };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let of = |carrier| urls.url(carrier, &purpose, now, TimeDelta::seconds(60));
        let url = of(Carrier::Telnyx);
        let token = url.strip_prefix("wss://media.example.com/media/telnyx/").unwrap();
        assert_eq!(tokens.open(token, now).unwrap().agent, purpose.agent);
        let late = tokens.open(token, now + TimeDelta::seconds(61));
        assert_eq!(late, Err(TokenError::Expired));
        assert_ne!(of(Carrier::Telnyx), url);
        assert!(of(Carrier::Twilio).contains("/media/twilio/"));
    }
}
