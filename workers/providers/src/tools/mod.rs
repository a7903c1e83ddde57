//! What a model may ask for during a call, how its arguments are checked, and how long it may take.
//!
//! A tool is described to the model as a [`ToolSpec`](crate::ToolSpec) and called with arguments nobody vouches
//! for. [`Toolbox::check`] holds them against the schema; what does not fit is answered to the model as an error
//! it can repair. [`Running`] says when to speak a filler and when to give up. [`egress`] says where a tenant's
//! own tools may call.

mod catalogue;
pub mod egress;
mod patience;
mod toolbox;

pub use self::{
    catalogue::{Action, Disposition, TransferMode, TransferTarget, Webhook, built_in},
    patience::{Due, Patience, Running},
    toolbox::{BadTool, Refused, Toolbox},
};
