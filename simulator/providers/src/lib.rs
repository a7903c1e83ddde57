//! AI voice providers on loopback: strict twins of their sockets, with simulated talk and faults on demand.
//!
//! One port serves them all under their real paths, so a client needs no more than another host. What a caller
//! is understood to have said and what is answered comes from a [`Script`]; when somebody speaks is heard in the
//! audio. The official clients are the judges of the twins: the tests of this crate run them.
//!
//! | path | provider |
//! |---|---|
//! | `/v1/realtime` | OpenAI Realtime |
//! | `/v1/live/sessions` | OpenAI GPT-Live |
//! | `/ws/google.ai.generativelanguage.….BidiGenerateContent` | Gemini Live |
//! | `/v1/listen`, `/v2/listen`, `/v1/speak` | Deepgram's Nova-3, Flux and Aura |
//! | `/v1/agent/converse` | Deepgram's Voice Agent |
//! | `/v1/chat/completions` | OpenAI's chat completions |

mod chat;
mod deepgram;
mod gemini_live;
mod openai_live;
mod openai_realtime;
mod script;
mod server;
mod socket;
pub mod sound;
mod strict;

pub use script::{Fault, Heard, Reply, Script, Scripts};
pub use server::{Twins, serve};
