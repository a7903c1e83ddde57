//! Typed identifiers: a UUIDv7 inside, a TypeID (`cmp_01h455vb4pex5vsknk084sn02q`) on REST surfaces.
//!
//! Events and tables carry the plain UUID, because ClickHouse and Kafka tools read that as it is; the
//! control plane carries the TypeID, so that a person sees at once what an id names. Both forms parse.
//!
//! TypeID: <https://github.com/jetify-com/typeid>, specification 0.3.0.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_LENGTH: usize = 26;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The prefix names another kind of thing.
    #[error("expected an id that starts with `{expected}_`, got `{got}`")]
    Prefix {
        /// The prefix this kind of id has.
        expected: &'static str,
        /// What was given, shortened.
        got: String,
    },
    /// The part behind the prefix is not 26 base32 characters that fit 128 bits.
    #[error("`{0}` is neither a UUID nor 26 lower-case Crockford base32 characters")]
    Suffix(String),
}

/// A UUIDv7 that anybody who knows `seed` computes again: the milliseconds of `at`, then 74 bits of
/// SHA-256 over `seed`. A redelivered fact thus keeps its id across processes and restarts.
pub fn derived_uuid(at: DateTime<Utc>, seed: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    for part in seed {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut random = [0_u8; 10];
    random.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn encode(uuid: Uuid) -> String {
    let value = uuid.as_u128();
    (0..SUFFIX_LENGTH)
        .map(|position| {
            let shift = 5 * (SUFFIX_LENGTH - 1 - position);
            char::from(ALPHABET[usize::try_from((value >> shift) & 31).unwrap_or(0)])
        })
        .collect()
}

fn decode(suffix: &str) -> Option<Uuid> {
    if suffix.len() != SUFFIX_LENGTH || !suffix.starts_with(|first: char| ('0'..='7').contains(&first)) {
        return None;
    }
    suffix
        .bytes()
        .try_fold(0_u128, |value, byte| {
            let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
            Some((value << 5) | digit as u128)
        })
        .map(Uuid::from_u128)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What the TypeID form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh UUIDv7 from the system clock and random bits.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id that `seed` always gives; see [`derived_uuid`].
            #[must_use]
            pub fn derived(at: DateTime<Utc>, seed: &[&[u8]]) -> Self {
                Self(derived_uuid(at, seed))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Takes the TypeID and the plain UUID.
            fn from_str(text: &str) -> Result<Self, IdError> {
                if let Ok(uuid) = Uuid::try_parse(text) {
                    return Ok(Self(uuid));
                }
                let (prefix, suffix) = text.rsplit_once('_').unwrap_or(("", text));
                if prefix != $prefix {
                    return Err(IdError::Prefix { expected: $prefix, got: text.chars().take(40).collect() });
                }
                decode(suffix).map(Self).ok_or_else(|| IdError::Suffix(suffix.chars().take(40).collect()))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
    };
}

id!(/// A customer of the platform; the boundary of isolation.
    TenantId, "ten");
id!(/// One phone call, from the first carrier event to the last.
    CallId, "call");
id!(/// An outbound campaign.
    CampaignId, "cmp");
id!(/// One try to reach a contact.
    AttemptId, "att");
id!(/// A person who can be called.
    ContactId, "con");
id!(/// A list of contacts.
    ListId, "lst");
id!(/// A queue that holds calls for agents.
    QueueId, "que");
id!(/// A human or AI agent.
    AgentId, "agt");
id!(/// One event; equal ids are the same fact, however often it is delivered.
    EventId, "evt");
id!(/// A caller who is handed over to a person.
    TransferId, "trf");
id!(/// An account of a tenant at a carrier or AI provider.
    ProviderAccountId, "prv");
id!(/// One generated report.
    ReportId, "rpt");
id!(/// A schedule that generates reports.
    ScheduleId, "rps");
id!(/// An article of what a company knows.
    ArticleId, "kb");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_typeid_matches_the_vectors_of_its_specification() {
        let vectors = [
            (
                "00000000-0000-0000-0000-000000000000",
                "00000000000000000000000000",
            ),
            (
                "00000000-0000-0000-0000-000000000020",
                "00000000000000000000000010",
            ),
            (
                "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "7zzzzzzzzzzzzzzzzzzzzzzzzz",
            ),
            (
                "0110c853-1d09-52d8-d73e-1194e95b5f19",
                "0123456789abcdefghjkmnpqrs",
            ),
            (
                "01890a5d-ac96-774b-bcce-b302099a8057",
                "01h455vb4pex5vsknk084sn02q",
            ),
        ];
        for (uuid, suffix) in vectors {
            let id = CampaignId(uuid.parse().unwrap());
            assert_eq!(id.to_string(), format!("cmp_{suffix}"));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn an_id_of_another_kind_or_an_impossible_suffix_is_refused_with_the_reason() {
        let call = CallId::random().to_string();
        assert!(matches!(
            call.parse::<CampaignId>(),
            Err(IdError::Prefix { expected: "cmp", .. })
        ));
        for bad in [
            "cmp_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "cmp_",
            "cmp_01H455VB4PEX5VSKNK084SN02Q",
            "cmp_01h455",
        ] {
            assert!(
                matches!(bad.parse::<CampaignId>(), Err(IdError::Suffix(_))),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_uuid_survives_the_typeid_form(value: u128) {
            let id = AgentId(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn a_derived_id_is_a_function_of_its_seed_and_carries_its_time(
            millis in 0_i64..4_000_000_000_000,
            seed: Vec<u8>,
            other: Vec<u8>,
        ) {
            let at = DateTime::from_timestamp_millis(millis).unwrap();
            let id = EventId::derived(at, &[&seed]);
            prop_assert_eq!(id, EventId::derived(at, &[&seed]));
            prop_assert_eq!(id.0.get_version_num(), 7);
            let (seconds, nanos) = id.0.get_timestamp().unwrap().to_unix();
            prop_assert_eq!(seconds * 1000 + u64::from(nanos) / 1_000_000, millis.unsigned_abs());
            prop_assume!(seed != other);
            prop_assert_ne!(id, EventId::derived(at, &[&other]));
        }
    }
}
