//! Campaigns: what they are set to, where they stand, and the commands that move them.

mod commands;
mod figures;
mod funnel;
mod live;
mod settings;
pub mod state;

pub(crate) use commands::SOURCE;
pub use commands::{
    CommandError, EVERYBODY, Fault, Fill, allow_dialling, change, complete_when_done, fill, keep_pacer,
    run_timers, stop_dialling, take_over,
};
pub use figures::{Figures, figures};
pub use funnel::{Funnel, funnel};
pub use live::{Live, Stops, live};
pub use settings::{CallerNumber, Campaign, Declarations, Mode, caller_numbers, load};
