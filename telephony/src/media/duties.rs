//! What the law where the person is asks of a call with an AI agent, as it travels from whoever knows the law to whoever
//! talks.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duties {
    /// Say at the beginning that an AI talks.
    pub disclose_ai: bool,
    /// Before anything is recorded.
    pub recording: RecordingDuty,
}

/// What must be before anything is recorded; each asks more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordingDuty {
    /// Nothing.
    Nothing,
    /// Say that the call is recorded.
    Announce,
    /// Everybody on the call agrees.
    Consent,
}

impl RecordingDuty {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Announce, Self::Consent];
}

impl Duties {
    /// What holds where nobody knows the place.
    pub const STRICTEST: Self = Self {
        disclose_ai: true,
        recording: RecordingDuty::Consent,
    };

    pub(super) const fn byte(self) -> u8 {
        let recording = match self.recording {
            RecordingDuty::Nothing => 0,
            RecordingDuty::Announce => 2,
            RecordingDuty::Consent => 4,
        };
        recording | self.disclose_ai as u8
    }

    /// What a byte says; one that says nothing known asks everything.
    pub(super) const fn of(byte: u8) -> Self {
        let recording = match byte & !1 {
            0 => RecordingDuty::Nothing,
            2 => RecordingDuty::Announce,
            4 => RecordingDuty::Consent,
            _ => return Self::STRICTEST,
        };
        Self {
            disclose_ai: byte & 1 == 1,
            recording,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_says_nothing_known_asks_everything() {
        for byte in 6..=u8::MAX {
            assert_eq!(Duties::of(byte), Duties::STRICTEST);
        }
        for byte in 0..6 {
            assert_eq!(Duties::of(byte).byte(), byte);
        }
    }
}
