//! The best anybody can do where everything is exponential: an exact optimum to hold a pacing policy against.
//!
//! The state is (busy agents, ringing calls). A ringing call resolves at rate `1/ring`, is a person with
//! probability `answer`, and occupies an agent for `1/service`; a person who finds every agent busy is abandoned
//! at once. The dialer may add calls at any moment and never takes one away. Among all policies with at most
//! a share `limit` of abandoned answers, which serves most?
//!
//! The constraint gets a price: an answer that is served earns `1 + price * limit`, one that is abandoned costs
//! `price * (1 - limit)`. For a given price, relative value iteration on the uniformised chain finds the best
//! table; the price is bisected until the tables on both sides of it abandon a little more and a little less
//! than the limit; playing them in turns attains the limit, and with it the optimum.

mod chain;
mod optimum;

pub use chain::{Chain, Rates, Table};
pub use optimum::{Optimum, solve};
