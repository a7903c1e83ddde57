//! Who may open a media stream: whoever was given a token for this call, once, and soon.
//!
//! The token stands in the path of the stream's URL, because Twilio drops a query; it also says who is to talk, which
//! is nobody's business but ours and nothing a carrier could change. Layout: version, then tenant, call, agent,
//! campaign and attempt as 16 bytes each, the shard as 2, a byte of duties, the second it expires in, a 12-byte nonce,
//! then the first half of HMAC-SHA256 over a label and all before it. It is checked before the upgrade; then its nonce
//! is remembered until it expires, so that it opens one stream and no second. Each worker remembers its own: a token
//! replayed at another worker within its minute is refused there by the call being live already, if anywhere.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    fmt,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use uuid::Uuid;
use voice_schemas::{AgentId, AttemptId, CallId, CampaignId, TenantId};

use super::Duties;
use crate::mac::keyed;

const VERSION: u8 = 3;
const TAG: usize = 16;
const BODY: usize = 1 + 5 * 16 + 2 + 1 + 8 + 12;
/// Keeps these tags apart from any others made with the same key.
const LABEL: &[u8] = b"media stream token 1";

/// The platform's key for stream tokens.
#[derive(Debug)]
pub struct StreamKey(SecretBox<[u8; 32]>);

impl StreamKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    fn mac(&self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose_secret());
        mac.update(LABEL);
        mac.update(body);
        mac
    }
}

/// What a call of a campaign belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// The campaign that placed it.
    pub campaign: CampaignId,
    /// The shard of the campaign whose controller owns it.
    pub shard: u16,
    /// The try it carries out.
    pub attempt: AttemptId,
}

/// What a stream is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPurpose {
    /// Whose call it is.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// The AI agent that is to talk.
    pub agent: AgentId,
    /// What the call belongs to; none where it came to us.
    pub dialled: Option<Dialled>,
    /// What the law asks of the call.
    pub duties: Duties,
}

/// What a token allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StreamGrant {
    /// Whose call it is.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// The AI agent that is to talk.
    pub agent: AgentId,
    /// What the call belongs to; none where it came to us.
    pub dialled: Option<Dialled>,
    /// What the law asks of the call.
    pub duties: Duties,
    /// Until when the stream may be opened, in Unix seconds.
    pub expires: u64,
    nonce: [u8; 12],
}

impl fmt::Debug for StreamGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGrant")
            .field("tenant", &self.tenant)
            .field("call", &self.call)
            .field("agent", &self.agent)
            .field("dialled", &self.dialled)
            .field("duties", &self.duties)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why a stream is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token.
    #[error("not a stream token")]
    Malformed,
    /// Not made with a key of ours.
    #[error("the tag is wrong")]
    WrongTag,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// It has opened a stream before.
    #[error("the token was used before")]
    Replayed,
    /// More tokens are alive than are remembered; none is taken without being remembered.
    #[error("too many tokens are alive")]
    Full,
}

impl TokenError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongTag => "wrong_tag",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::Full => "full",
        }
    }
}

/// The key that signs, and the one before it that still opens.
#[derive(Debug)]
pub struct StreamTokens {
    current: StreamKey,
    previous: Option<StreamKey>,
}

impl StreamTokens {
    /// With `previous` while keys are being changed.
    #[must_use]
    pub const fn new(current: StreamKey, previous: Option<StreamKey>) -> Self {
        Self { current, previous }
    }

    /// A token for one stream. `nonce` must be random.
    #[must_use]
    pub fn issue(&self, purpose: &StreamPurpose, expires: DateTime<Utc>, nonce: [u8; 12]) -> String {
        let StreamPurpose {
            tenant,
            call,
            agent,
            dialled,
            duties,
        } = purpose;
        let mut bytes = Vec::with_capacity(BODY + TAG);
        bytes.push(VERSION);
        let (campaign, attempt, shard) = dialled.map_or_else(Default::default, |dialled| {
            (dialled.campaign.0, dialled.attempt.0, dialled.shard)
        });
        for id in [tenant.0, call.0, agent.0, campaign, attempt] {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes.extend_from_slice(&shard.to_be_bytes());
        bytes.push(duties.byte());
        bytes.extend_from_slice(&seconds(expires).to_be_bytes());
        bytes.extend_from_slice(&nonce);
        let tag = self.current.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Checks a token; [`SingleUse::take`] it before the upgrade.
    ///
    /// # Errors
    /// When it is not ours, or too late.
    pub fn open(&self, token: &str, now: DateTime<Utc>) -> Result<StreamGrant, TokenError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .filter(|bytes| bytes.len() == BODY + TAG)
            .ok_or(TokenError::Malformed)?;
        let (body, tag) = bytes.split_at(BODY);
        // `verify_truncated_left` compares in constant time.
        let ours = |key: &StreamKey| key.mac(body).verify_truncated_left(tag).is_ok();
        if !ours(&self.current) && !self.previous.as_ref().is_some_and(ours) {
            return Err(TokenError::WrongTag);
        }
        let grant = decode(body).ok_or(TokenError::Malformed)?;
        if grant.expires < seconds(now) {
            return Err(TokenError::Expired);
        }
        Ok(grant)
    }
}

fn decode(body: &[u8]) -> Option<StreamGrant> {
    let (version, rest) = body.split_first()?;
    let (tenant, rest) = rest.split_first_chunk::<16>()?;
    let (call, rest) = rest.split_first_chunk::<16>()?;
    let (agent, rest) = rest.split_first_chunk::<16>()?;
    let (campaign, rest) = rest.split_first_chunk::<16>()?;
    let (attempt, rest) = rest.split_first_chunk::<16>()?;
    let (shard, rest) = rest.split_first_chunk::<2>()?;
    let (duties, rest) = rest.split_first()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (nonce, rest) = rest.split_first_chunk::<12>()?;
    (*version == VERSION && rest.is_empty()).then(|| StreamGrant {
        tenant: TenantId(Uuid::from_bytes(*tenant)),
        call: CallId(Uuid::from_bytes(*call)),
        agent: AgentId(Uuid::from_bytes(*agent)),
        dialled: Some(Uuid::from_bytes(*attempt))
            .filter(|attempt| !attempt.is_nil())
            .map(|attempt| Dialled {
                campaign: CampaignId(Uuid::from_bytes(*campaign)),
                shard: u16::from_be_bytes(*shard),
                attempt: AttemptId(attempt),
            }),
        duties: Duties::of(*duties),
        expires: u64::from_be_bytes(*expires),
        nonce: *nonce,
    })
}

fn seconds(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp()).unwrap_or(0)
}

/// Remembers which tokens have opened a stream, until they expire.
#[derive(Debug)]
pub struct SingleUse {
    used: HashSet<[u8; 12]>,
    by_expiry: BinaryHeap<Reverse<(u64, [u8; 12])>>,
    most: usize,
}

impl SingleUse {
    /// Remembers at most `most` at a time; while so many are alive, no further one is taken.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            used: HashSet::new(),
            by_expiry: BinaryHeap::new(),
            most,
        }
    }

    /// Uses up a grant.
    ///
    /// # Errors
    /// When it was used before, or cannot be remembered.
    pub fn take(&mut self, grant: &StreamGrant, now: DateTime<Utc>) -> Result<(), TokenError> {
        let now = seconds(now);
        while let Some(Reverse((_, nonce))) = self.by_expiry.peek().filter(|Reverse((at, _))| *at < now) {
            self.used.remove(nonce);
            self.by_expiry.pop();
        }
        if self.used.contains(&grant.nonce) {
            return Err(TokenError::Replayed);
        }
        if self.used.len() >= self.most {
            return Err(TokenError::Full);
        }
        self.used.insert(grant.nonce);
        self.by_expiry.push(Reverse((grant.expires, grant.nonce)));
        Ok(())
    }

    /// How many it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used.len()
    }

    /// It remembers none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::media::RecordingDuty;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn tokens(byte: u8) -> StreamTokens {
        StreamTokens::new(StreamKey::new([byte; 32]), None)
    }

    fn purpose() -> StreamPurpose {
        StreamPurpose {
            tenant: TenantId(Uuid::from_u128(7)),
            call: CallId(Uuid::from_u128(8)),
            agent: AgentId(Uuid::from_u128(9)),
            dialled: None,
            duties: Duties::STRICTEST,
        }
    }

    fn open(nonce: u8, life: i64) -> StreamGrant {
        let token = tokens(1).issue(&purpose(), at(life), [nonce; 12]);
        tokens(1).open(&token, at(0)).unwrap()
    }

    proptest! {
        #[test]
        fn a_token_says_what_it_was_issued_for_and_needs_no_escaping_in_a_path(
            ids in any::<[u128; 3]>(), dialled in proptest::option::of((any::<u128>(), any::<u16>(), 1..u128::MAX)), nonce in any::<[u8; 12]>(),
            life in 0..300_i64, duties in 0..6_usize,
        ) {
            let [tenant, call, agent] = ids.map(Uuid::from_u128);
            let purpose = StreamPurpose {
                tenant: TenantId(tenant),
                call: CallId(call),
                agent: AgentId(agent),
                dialled: dialled.map(|(campaign, shard, attempt)| Dialled {
                    campaign: CampaignId(Uuid::from_u128(campaign)),
                    shard,
                    attempt: AttemptId(Uuid::from_u128(attempt)),
                }),
                duties: Duties {
                    disclose_ai: duties % 2 == 1,
                    recording: RecordingDuty::ALL[duties / 2],
                },
            };
            let token = tokens(1).issue(&purpose, at(life), nonce);
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            let grant = tokens(1).open(&token, at(0)).unwrap();
            let StreamGrant { tenant, call, agent, dialled, duties, .. } = grant;
            prop_assert_eq!(StreamPurpose { tenant, call, agent, dialled, duties }, purpose);
            prop_assert_eq!(grant.nonce, nonce);
            prop_assert_eq!(tokens(1).open(&token, at(life + 1)), Err(TokenError::Expired));
        }

        #[test]
        fn a_changed_bit_anywhere_is_refused(at_byte in 0..BODY + TAG, bit in 0..8_u8) {
            let mut bytes = URL_SAFE_NO_PAD.decode(tokens(1).issue(&purpose(), at(60), [3; 12])).unwrap();
            bytes[at_byte] ^= 1 << bit;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(tokens(1).open(&forged, at(0)), Err(TokenError::WrongTag));
        }

        #[test]
        fn no_text_opens_or_panics(text in ".{0,120}") {
            prop_assert!(tokens(1).open(&text, at(0)).is_err());
        }

        #[test]
        fn a_token_opens_one_stream_while_it_lives_and_memory_is_bounded(
            uses in vec((0..12_u8, 0..5_i64), 1..100), most in 1..8_usize,
        ) {
            let mut once = SingleUse::new(most);
            let mut taken = HashSet::new();
            let like = open(0, 60);
            let mut now = 0;
            for (nonce, later) in uses {
                now += later;
                let grant = StreamGrant {
                    expires: seconds(at(i64::from(nonce) * 10)),
                    nonce: [nonce; 12],
                    ..like
                };
                // `open` refuses the expired ones before they come here.
                if grant.expires < seconds(at(now)) {
                    continue;
                }
                if once.take(&grant, at(now)).is_ok() {
                    prop_assert!(taken.insert(nonce), "{nonce} was taken twice");
                }
                prop_assert!(once.len() <= most);
            }
        }
    }

    #[test]
    fn a_replay_is_refused_and_a_full_memory_refuses_rather_than_forgets() {
        let mut once = SingleUse::new(2);
        assert_eq!(once.take(&open(1, 10), at(0)), Ok(()));
        assert_eq!(once.take(&open(1, 10), at(1)), Err(TokenError::Replayed));
        assert_eq!(once.take(&open(2, 60), at(1)), Ok(()));
        assert_eq!(once.take(&open(3, 60), at(10)), Err(TokenError::Full));
        assert_eq!(once.take(&open(3, 60), at(11)), Ok(()));
        assert_eq!(once.len(), 2);
    }

    #[test]
    fn the_previous_key_opens_and_a_foreign_one_does_not() {
        let rotating = StreamTokens::new(StreamKey::new([2; 32]), Some(StreamKey::new([1; 32])));
        let old = tokens(1).issue(&purpose(), at(0) + TimeDelta::seconds(30), [9; 12]);
        assert!(rotating.open(&old, at(0)).is_ok());
        assert_eq!(tokens(3).open(&old, at(0)), Err(TokenError::WrongTag));
    }
}
