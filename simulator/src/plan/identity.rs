//! The carrier's ids of planned calls: they look random and hold the place of the call in the shift, so that
//! the carrier twin needs no table to answer for a million calls.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use rand::RngExt as _;
use uuid::Uuid;
use voice_schemas::events::call::Carrier;

use super::{CarrierIds, chance::Chance};
use crate::text::hex;

/// Hides the places of calls in their ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask(u64);

impl Mask {
    pub(super) fn new(chance: &mut Chance) -> Self {
        Self(chance.random())
    }

    pub(super) fn ids(self, carrier: Carrier, index: u64, chance: &mut Chance) -> CarrierIds {
        let random: [u8; 32] = chance.random();
        let hidden = (index ^ self.0).to_be_bytes();
        let call = match carrier {
            Carrier::Twilio => format!("CA{}{}", hex(&random[..8]), hex(&hidden)),
            Carrier::Telnyx => {
                let mut bytes = [0_u8; 40];
                bytes[..32].copy_from_slice(&random);
                bytes[32..].copy_from_slice(&hidden);
                format!("v3:{}", STANDARD_NO_PAD.encode(bytes))
            }
        };
        CarrierIds {
            call,
            leg: uuid(chance),
            session: uuid(chance),
            conference: format!("CF{}", hex(&chance.random::<[u8; 16]>())),
        }
    }

    /// The place of the call with this id, if it is one of ours. Whoever asks must compare the whole id.
    pub(super) fn index(self, carrier_call_id: &str) -> Option<u64> {
        let hidden = if let Some(text) = carrier_call_id.strip_prefix("CA") {
            let lower =
                text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(text.get(16..).filter(|_| lower)?, 16).ok()?
        } else {
            let bytes = STANDARD_NO_PAD
                .decode(carrier_call_id.strip_prefix("v3:")?)
                .ok()?;
            u64::from_be_bytes(bytes.get(32..)?.try_into().ok()?)
        };
        Some(hidden ^ self.0)
    }
}

/// A random UUID of version 4.
pub(super) fn uuid(chance: &mut Chance) -> Uuid {
    uuid::Builder::from_random_bytes(chance.random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::chance::of_call;

    #[test]
    fn an_id_leads_back_to_its_call_and_a_foreign_one_to_none() {
        let mask = Mask::new(&mut of_call(9, u64::MAX));
        for carrier in [Carrier::Twilio, Carrier::Telnyx] {
            for index in [0, 1, 12_345, u64::MAX] {
                let ids = mask.ids(carrier, index, &mut of_call(9, index));
                assert_eq!(mask.index(&ids.call), Some(index), "{}", ids.call);
            }
        }
        for foreign in [
            "",
            "CA",
            "CA12",
            "v3:",
            "v3:AAAA",
            "v3:?",
            "CAzz",
            "SM00000000000000000000000000000000",
        ] {
            assert_eq!(mask.index(foreign), None, "{foreign}");
        }
    }
}
