//! What a call belongs to, sealed into a short text that travels through the carrier and comes back with
//! every webhook.
//!
//! Layout: version, flags (which optional parts follow, in this order), the ids as 16 bytes each, the shard
//! big-endian, the opt-out key as one byte, zero padding to a multiple of three, then a 16-byte tag: the first half of HMAC-SHA256 over all
//! before it. 128 bits of tag cannot be guessed, and the text holds no secret: it is authentic, not encrypted.
//! At Twilio it is a query parameter (URL-safe Base64), at Telnyx `client_state` (standard Base64); the
//! padding makes the texts free of `=`.

use std::fmt;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use uuid::Uuid;
use voice_schemas::{
    AgentId, AttemptId, CallId, CampaignId, ContactId, QueueId, TenantId,
    events::call::{AgentKind, Direction},
};

use crate::mac::{hex, keyed};

const VERSION: u8 = 1;
const TAG: usize = 16;
const LONGEST: usize = 256;

const OUTBOUND: u16 = 1;
const CAMPAIGN: u16 = 1 << 1;
const ATTEMPT: u16 = 1 << 2;
const CONTACT: u16 = 1 << 3;
const QUEUE: u16 = 1 << 4;
const AGENT: u16 = 1 << 5;
const PHONE: u16 = 1 << 6;
const KIND_HUMAN: u16 = 1 << 7;
const KIND_AI: u16 = 1 << 8;
const AGENT_LEG: u16 = 1 << 9;
const OPT_OUT: u16 = 1 << 10;

/// Everything an event needs to know about its call that the carrier does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallContext {
    /// Whose call it is.
    pub tenant: TenantId,
    /// Our id of the call.
    pub call_id: CallId,
    /// Who called whom.
    pub direction: Direction,
    /// The campaign that placed it, and the shard of it that owns the call.
    pub campaign: Option<(CampaignId, u16)>,
    /// The attempt it carries out.
    pub attempt: Option<AttemptId>,
    /// The person called.
    pub contact: Option<ContactId>,
    /// The queue it goes through.
    pub queue: Option<QueueId>,
    /// The agent it was placed for.
    pub agent: Option<AgentId>,
    /// Who will talk, where that is known when the call is placed.
    pub agent_kind: Option<AgentKind>,
    /// The token of the far end's number: 32 lower-case hexadecimal characters, see [`phone_token`](crate::phone_token).
    pub phone_token: Option<String>,
    /// The call is one to `agent`, which puts them into their room, and none to a customer.
    pub agent_leg: bool,
    /// The one key the far end was told to press, to be called no more. Only this key is ever reported: other digits may
    /// be somebody's secrets. One of `0`-`9`, `*`, `#`.
    pub opt_out_key: Option<char>,
}

impl CallContext {
    /// A context that says no more than whose call it is.
    #[must_use]
    pub const fn new(tenant: TenantId, call_id: CallId, direction: Direction) -> Self {
        Self {
            tenant,
            call_id,
            direction,
            campaign: None,
            attempt: None,
            contact: None,
            queue: None,
            agent: None,
            agent_kind: None,
            phone_token: None,
            agent_leg: false,
            opt_out_key: None,
        }
    }
}

/// Why a text is not a context of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ContextError {
    /// Not Base64, too short, or of a version we do not write.
    #[error("not a sealed context")]
    Malformed,
    /// Well-formed, but the tag was not made with a key of ours.
    #[error("the tag is wrong")]
    WrongTag,
    /// Authentic, but of another tenant than the account it came through.
    #[error("it belongs to another tenant")]
    OtherTenant,
}

impl ContextError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongTag => "wrong_tag",
            Self::OtherTenant => "other_tenant",
        }
    }
}

/// The platform's key for sealing contexts.
#[derive(Debug)]
pub struct ContextKey(SecretBox<[u8; 32]>);

impl ContextKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    fn mac(&self, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(self.0.expose_secret());
        mac.update(payload);
        mac
    }
}

/// The key that seals, and the one before it that still opens while calls sealed with it live.
#[derive(Debug)]
pub struct ContextKeys {
    current: ContextKey,
    previous: Option<ContextKey>,
}

/// A sealed context in the two forms carriers take.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedContext(Vec<u8>);

impl SealedContext {
    /// For a URL's query: URL-safe Base64.
    #[must_use]
    pub fn as_query(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// For Telnyx, which insists on standard Base64.
    #[must_use]
    pub fn as_client_state(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl fmt::Debug for SealedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedContext")
    }
}

impl ContextKeys {
    /// One key, no rotation under way.
    #[must_use]
    pub const fn new(current: ContextKey) -> Self {
        Self {
            current,
            previous: None,
        }
    }

    /// `current` seals, both open.
    #[must_use]
    pub const fn rotating(current: ContextKey, previous: ContextKey) -> Self {
        Self {
            current,
            previous: Some(previous),
        }
    }

    /// Seals a context. A `phone_token` that is not 32 lower-case hexadecimal characters is left out.
    #[must_use]
    pub fn seal(&self, context: &CallContext) -> SealedContext {
        let mut bytes = encode(context);
        let tag: [u8; 32] = self.current.mac(&bytes).finalize().into_bytes().into();
        bytes.extend_from_slice(&tag[..TAG]);
        SealedContext(bytes)
    }

    /// Opens what came back in a URL's query.
    ///
    /// # Errors
    /// When it is not a context, or not one sealed with a key of ours.
    pub fn open_query(&self, text: &str) -> Result<CallContext, ContextError> {
        self.open(URL_SAFE_NO_PAD.decode(text))
    }

    /// Opens what came back as `client_state`.
    ///
    /// # Errors
    /// When it is not a context, or not one sealed with a key of ours.
    pub fn open_client_state(&self, text: &str) -> Result<CallContext, ContextError> {
        self.open(STANDARD.decode(text))
    }

    fn open(&self, decoded: Result<Vec<u8>, base64::DecodeError>) -> Result<CallContext, ContextError> {
        let bytes = decoded.map_err(|_| ContextError::Malformed)?;
        if bytes.len() <= TAG || bytes.len() > LONGEST {
            return Err(ContextError::Malformed);
        }
        let (payload, tag) = bytes.split_at(bytes.len() - TAG);
        // `verify_truncated_left` compares in constant time.
        let ours = |key: &ContextKey| key.mac(payload).verify_truncated_left(tag).is_ok();
        if !ours(&self.current) && !self.previous.as_ref().is_some_and(ours) {
            return Err(ContextError::WrongTag);
        }
        decode(payload).ok_or(ContextError::Malformed)
    }
}

fn encode(context: &CallContext) -> Vec<u8> {
    let phone = context.phone_token.as_deref().and_then(token_bytes);
    let key = context.opt_out_key.and_then(key_byte);
    let mut flags = 0_u16;
    let mut set = |bit: u16, on: bool| flags |= if on { bit } else { 0 };
    set(OUTBOUND, context.direction == Direction::Outbound);
    set(CAMPAIGN, context.campaign.is_some());
    set(ATTEMPT, context.attempt.is_some());
    set(CONTACT, context.contact.is_some());
    set(QUEUE, context.queue.is_some());
    set(AGENT, context.agent.is_some());
    set(PHONE, phone.is_some());
    set(KIND_HUMAN, context.agent_kind == Some(AgentKind::Human));
    set(KIND_AI, context.agent_kind == Some(AgentKind::Ai));
    set(AGENT_LEG, context.agent_leg);
    set(OPT_OUT, key.is_some());

    let mut bytes = Vec::with_capacity(LONGEST);
    bytes.push(VERSION);
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(context.tenant.0.as_bytes());
    bytes.extend_from_slice(context.call_id.0.as_bytes());
    if let Some((campaign, shard)) = context.campaign {
        bytes.extend_from_slice(campaign.0.as_bytes());
        bytes.extend_from_slice(&shard.to_be_bytes());
    }
    let optional = [
        context.attempt.map(|id| id.0),
        context.contact.map(|id| id.0),
        context.queue.map(|id| id.0),
        context.agent.map(|id| id.0),
        phone.map(Uuid::from_bytes),
    ];
    for id in optional.into_iter().flatten() {
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes.extend(key);
    while !(bytes.len() + TAG).is_multiple_of(3) {
        bytes.push(0);
    }
    bytes
}

fn decode(payload: &[u8]) -> Option<CallContext> {
    let mut rest = payload;
    let [version, high, low] = take::<3>(&mut rest)?;
    let flags = u16::from_be_bytes([high, low]);
    if version != VERSION || flags >= OPT_OUT << 1 {
        return None;
    }
    let has = |bit: u16| flags & bit != 0;
    let tenant = TenantId(id(&mut rest)?);
    let call_id = CallId(id(&mut rest)?);
    let campaign = if has(CAMPAIGN) {
        Some((CampaignId(id(&mut rest)?), u16::from_be_bytes(take(&mut rest)?)))
    } else {
        None
    };
    let mut optional = |bit: u16| {
        if has(bit) {
            id(&mut rest).map(Some)
        } else {
            Some(None)
        }
    };
    let attempt = optional(ATTEMPT)?.map(AttemptId);
    let contact = optional(CONTACT)?.map(ContactId);
    let queue = optional(QUEUE)?.map(QueueId);
    let agent = optional(AGENT)?.map(AgentId);
    let phone_token = optional(PHONE)?.map(|bytes| hex(bytes.as_bytes()));
    let opt_out_key = if has(OPT_OUT) {
        let [key] = take::<1>(&mut rest)?;
        Some(char::from(key)).filter(|key| key_byte(*key).is_some())
    } else {
        None
    };
    if rest.len() > 2 || rest.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(CallContext {
        tenant,
        call_id,
        direction: if has(OUTBOUND) {
            Direction::Outbound
        } else {
            Direction::Inbound
        },
        campaign,
        attempt,
        contact,
        queue,
        agent,
        agent_kind: match (has(KIND_HUMAN), has(KIND_AI)) {
            (true, false) => Some(AgentKind::Human),
            (false, true) => Some(AgentKind::Ai),
            (false, false) => None,
            (true, true) => return None,
        },
        phone_token,
        agent_leg: has(AGENT_LEG),
        opt_out_key,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn id(rest: &mut &[u8]) -> Option<Uuid> {
    take(rest).map(Uuid::from_bytes)
}

fn key_byte(key: char) -> Option<u8> {
    u8::try_from(key)
        .ok()
        .filter(|key| matches!(key, b'0'..=b'9' | b'*' | b'#'))
}

fn token_bytes(token: &str) -> Option<[u8; 16]> {
    let canonical = token.len() == 32
        && token
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical
        .then(|| u128::from_str_radix(token, 16).ok())
        .flatten()
        .map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::*;

    fn contexts() -> impl Strategy<Value = CallContext> {
        let id = || any::<u128>().prop_map(Uuid::from_u128);
        (
            (id(), id(), any::<bool>(), option::of((id(), any::<u16>()))),
            (
                option::of(id()),
                option::of(id()),
                option::of(id()),
                option::of(id()),
            ),
            (
                option::of(any::<bool>()),
                option::of("[0-9a-f]{32}"),
                any::<bool>(),
                option::of(proptest::sample::select(
                    "0123456789*#".chars().collect::<Vec<_>>(),
                )),
            ),
        )
            .prop_map(
                |(
                    (tenant, call, outbound, campaign),
                    (attempt, contact, queue, agent),
                    (ai, phone_token, agent_leg, opt_out_key),
                )| {
                    CallContext {
                        tenant: TenantId(tenant),
                        call_id: CallId(call),
                        direction: if outbound {
                            Direction::Outbound
                        } else {
                            Direction::Inbound
                        },
                        campaign: campaign.map(|(id, shard)| (CampaignId(id), shard)),
                        attempt: attempt.map(AttemptId),
                        contact: contact.map(ContactId),
                        queue: queue.map(QueueId),
                        agent: agent.map(AgentId),
                        agent_kind: ai.map(|ai| if ai { AgentKind::Ai } else { AgentKind::Human }),
                        phone_token,
                        agent_leg,
                        opt_out_key,
                    }
                },
            )
    }

    fn keys(byte: u8) -> ContextKeys {
        ContextKeys::new(ContextKey::new([byte; 32]))
    }

    proptest! {
        #[test]
        fn every_context_survives_both_forms_and_needs_no_escaping(context in contexts()) {
            let sealed = keys(1).seal(&context);
            let query = sealed.as_query();
            prop_assert_eq!(keys(1).open_query(&query), Ok(context.clone()));
            prop_assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            let state = sealed.as_client_state();
            prop_assert_eq!(keys(1).open_client_state(&state), Ok(context));
            prop_assert!(!state.contains('=') && state.len() < 256);
        }

        #[test]
        fn a_changed_bit_anywhere_is_refused(context in contexts(), at: prop::sample::Index, bit in 0..8_u8) {
            let mut sealed = keys(1).seal(&context);
            let at = at.index(sealed.0.len());
            sealed.0[at] ^= 1_u8 << bit;
            prop_assert_eq!(keys(1).open_query(&sealed.as_query()), Err(ContextError::WrongTag));
        }

        #[test]
        fn no_text_makes_it_panic_or_opens(text in ".{0,400}") {
            prop_assert!(keys(1).open_query(&text).is_err());
            prop_assert!(keys(1).open_client_state(&text).is_err());
        }
    }

    fn sample() -> CallContext {
        CallContext::new(
            TenantId(Uuid::from_u128(1)),
            CallId(Uuid::from_u128(2)),
            Direction::Outbound,
        )
    }

    #[test]
    fn a_cut_context_is_refused_at_every_length() {
        let sealed = keys(1).seal(&sample());
        for length in 0..sealed.0.len() {
            let cut = SealedContext(sealed.0[..length].to_vec());
            assert!(keys(1).open_query(&cut.as_query()).is_err(), "{length}");
        }
    }

    #[test]
    fn during_a_rotation_both_keys_open_and_a_third_does_not() {
        let rotating = ContextKeys::rotating(ContextKey::new([2; 32]), ContextKey::new([1; 32]));
        let old = keys(1).seal(&sample());
        assert_eq!(rotating.open_query(&old.as_query()), Ok(sample()));
        assert_eq!(
            keys(2).open_query(&rotating.seal(&sample()).as_query()),
            Ok(sample())
        );
        assert_eq!(keys(3).open_query(&old.as_query()), Err(ContextError::WrongTag));
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        assert!(!format!("{:?}", keys(7)).contains('7'));
    }
}
