//! What no rule pack and no tenant may loosen: ceilings and floors in code, with their sources.
//!
//! A pack is refused at load when it says less than this, and the judge applies these limits on its own as well, so
//! a country without a pack is held to them too.

use crate::{
    abandonment::Share,
    consent::{ConsentClass, ConsentNeed},
    history::{Cap, CoolOff, Cooling, Per},
    request::Purpose,
};

/// No call before this minute of the day at the called party's place: 08:00. 47 CFR 64.1200(c)(1).
pub const OPENS: u16 = 8 * 60;

/// No call from this minute of the day on at the called party's place: 21:00. 47 CFR 64.1200(c)(1).
pub const CLOSES: u16 = 21 * 60;

/// Of the calls a person answered, the most that may be abandoned: 3 %. 16 CFR 310.4(b)(4)(i).
pub const ABANDONMENT_CEILING: Share = Share::per_million(30_000);

/// An answered call reaches an agent or the message within this many milliseconds. 16 CFR 310.4(b)(1)(iv).
pub const CONNECT_WITHIN_MS: u32 = 2_000;

/// An unanswered call rings at least this long. 16 CFR 310.4(b)(4)(ii).
pub const RING_FLOOR_SECONDS: u32 = 15;

/// The consent without which an artificial voice may not call, wherever the person is. FCC 24-17; 47 CFR
/// 64.1200(a); Directive 2002/58/EC Art. 13(1); PECR reg. 19.
#[must_use]
pub const fn ai_consent(purpose: Purpose) -> ConsentNeed {
    let sells = matches!(purpose, Purpose::Telemarketing);
    ConsentNeed {
        class: if sells {
            ConsentClass::ExpressWritten
        } else {
            ConsentClass::Express
        },
        marketing: sells,
        automated: true,
        proof: false,
        customer_months: 0,
        inquiry_months: 0,
        contract: false,
    }
}

/// A cap a pack must hold at least as tightly.
pub(crate) const CAPS: [(&str, Purpose, Cap); 4] = [
    (
        "US-FL",
        Purpose::Telemarketing,
        Cap {
            calls: 3,
            hours: 24,
            days: 0,
            per: Per::Subject,
        },
    ),
    (
        "US-OK",
        Purpose::Telemarketing,
        Cap {
            calls: 3,
            hours: 24,
            days: 0,
            per: Per::Subject,
        },
    ),
    (
        "US",
        Purpose::DebtCollection,
        Cap {
            calls: 7,
            hours: 0,
            days: 7,
            per: Per::Debt,
        },
    ),
    (
        "FR",
        Purpose::Telemarketing,
        Cap {
            calls: 4,
            hours: 0,
            days: 30,
            per: Per::Company,
        },
    ),
];

/// A pause a pack must keep at least as long.
pub(crate) const COOL_OFFS: [(&str, Purpose, CoolOff); 4] = [
    (
        "FR",
        Purpose::Telemarketing,
        pause(Cooling::Refusal, 0, 60, Per::Company, false),
    ),
    (
        "GB",
        Purpose::Telemarketing,
        pause(Cooling::Abandoned, 72, 0, Per::Person, true),
    ),
    (
        "GB",
        Purpose::Telemarketing,
        pause(Cooling::Machine, 24, 0, Per::Person, true),
    ),
    (
        "US",
        Purpose::DebtCollection,
        pause(Cooling::Conversation, 0, 7, Per::Debt, false),
    ),
];

const fn pause(after: Cooling, hours: u32, days: u32, per: Per, unless_live_agent: bool) -> CoolOff {
    CoolOff {
        after,
        hours,
        days,
        per,
        unless_live_agent,
    }
}
