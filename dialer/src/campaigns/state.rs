//! Where a campaign may go from where it stands, and who may send it there.
//!
//! Only a person pauses, and only a person ends a pause: the clock starts what was scheduled and ends what has
//! run out, and has no word for anything else.

use voice_schemas::{EventType, events::campaign::CampaignStatus};

/// Something that is to happen to a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A person sets it up to start at its start time.
    Schedule,
    /// A person starts it, or ends its pause.
    Start,
    /// A person pauses it.
    Pause,
    /// A person ends it for good.
    Cancel,
    /// A person puts it away.
    Archive,
    /// The clock: its start time has come.
    StartTimeCame,
    /// The clock: its end time has come.
    EndTimeCame,
    /// Its controllers: nobody is left to call and no call is under way.
    NobodyLeft,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Schedule,
        Self::Start,
        Self::Pause,
        Self::Cancel,
        Self::Archive,
        Self::StartTimeCame,
        Self::EndTimeCame,
        Self::NobodyLeft,
    ];
}

/// A change of status, and the event that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The status after it.
    pub to: CampaignStatus,
    /// The event.
    pub event: EventType,
}

/// The command does not fit the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a campaign that is {from} cannot do that")]
pub struct NotFrom {
    /// Where the campaign stands.
    pub from: CampaignStatus,
}

/// What the command makes of a campaign that stands at `from`.
///
/// # Errors
/// When it does not fit.
pub const fn step(from: CampaignStatus, command: Command) -> Result<Transition, NotFrom> {
    use CampaignStatus as S;
    let (to, event) = match (from, command) {
        (S::Draft, Command::Schedule) => (S::Scheduled, EventType::CampaignScheduled),
        (S::Draft | S::Scheduled, Command::Start) | (S::Scheduled, Command::StartTimeCame) => {
            (S::Active, EventType::CampaignStarted)
        }
        (S::Paused, Command::Start) => (S::Active, EventType::CampaignResumed),
        (S::Active | S::Scheduled, Command::Pause) => (S::Paused, EventType::CampaignPaused),
        (S::Active, Command::NobodyLeft | Command::EndTimeCame) => {
            (S::Completed, EventType::CampaignCompleted)
        }
        (S::Draft | S::Scheduled | S::Active | S::Paused, Command::Cancel) => {
            (S::Cancelled, EventType::CampaignCancelled)
        }
        // Nothing is told of it: it was over before.
        (S::Completed | S::Cancelled, Command::Archive) => (S::Archived, EventType::CampaignCompleted),
        _ => return Err(NotFrom { from }),
    };
    Ok(Transition { to, event })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLOCKWORK: [Command; 3] = [Command::StartTimeCame, Command::EndTimeCame, Command::NobodyLeft];

    fn any_command() -> impl Strategy<Value = Command> {
        proptest::sample::select(Command::ALL.to_vec())
    }

    /// CAM-05
    #[test]
    fn a_campaign_goes_from_draft_over_active_and_paused_to_completed() {
        let mut status = CampaignStatus::Draft;
        for (command, then) in [
            (Command::Start, CampaignStatus::Active),
            (Command::Pause, CampaignStatus::Paused),
            (Command::Start, CampaignStatus::Active),
            (Command::NobodyLeft, CampaignStatus::Completed),
        ] {
            status = step(status, command).unwrap().to;
            assert_eq!(status, then);
        }
    }

    proptest! {
        /// T4
        #[test]
        fn a_paused_campaign_stays_paused_however_often_anything_ticks(
            ticks in proptest::collection::vec(proptest::sample::select(CLOCKWORK.to_vec()), 1..200),
        ) {
            let mut status = CampaignStatus::Paused;
            for tick in ticks {
                if let Ok(transition) = step(status, tick) {
                    status = transition.to;
                }
                prop_assert_eq!(status, CampaignStatus::Paused);
            }
        }

        #[test]
        fn nothing_dials_again_once_it_was_completed_or_cancelled(
            done in proptest::sample::select(vec![CampaignStatus::Completed, CampaignStatus::Cancelled]),
            commands in proptest::collection::vec(any_command(), 0..50),
        ) {
            let mut status = done;
            for command in commands {
                if let Ok(transition) = step(status, command) {
                    status = transition.to;
                }
                prop_assert!(!matches!(status, CampaignStatus::Active | CampaignStatus::Scheduled));
            }
        }
    }
}
