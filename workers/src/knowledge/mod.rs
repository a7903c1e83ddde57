//! What a company knows, as AI agents look it up: a question in, the few passages that answer it out.
//!
//! Articles come in through [`shelf`], cut into [`passages`] that can be read aloud. A question is brought into the same
//! [`words`] as they are, taken apart by the database's dictionaries, and ranked by how rare its words are
//! ([`question`]); a word that stands nowhere is taken for the one it is a slip of. Every tenant has its own words.

mod folding;
pub mod passages;
mod question;
pub mod search;
pub mod shelf;
pub mod words;

pub use self::{
    search::{Found, search},
    shelf::{Article, Fault, Shelf, Written},
};
