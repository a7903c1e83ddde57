//! Keys the agent presses: played as tones behind what it says, because carriers take keys no other way on a stream.
//!
//! A menu talks on while its keys are pressed, so speech does not interrupt them; but keys that wait behind an answer
//! are dropped with it.

use std::time::Instant;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};
use voice_turns::Item;

use super::Side;

/// Keys on their way.
#[derive(Debug, Default)]
pub(super) struct Pressing(Vec<(Item, oneshot::Sender<()>)>);

impl Pressing {
    /// They will never be heard.
    pub(super) fn dropped(&mut self) {
        self.0.clear();
    }

    /// Something was heard to its end.
    pub(super) fn heard(&mut self, item: Item) {
        if let Some(index) = self.0.iter().position(|(keys, _)| *keys == item) {
            let (_, heard) = self.0.swap_remove(index);
            // The tool was given up meanwhile.
            let _nobody = heard.send(());
        }
    }

    fn is(&self, item: Item) -> bool {
        self.0.iter().any(|(keys, _)| *keys == item)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    /// Presses keys. What is given ends when they were heard, with an error where they never will be.
    pub(in crate::bridge) fn press(&mut self, sound: &[i16], now: Instant) -> oneshot::Receiver<()> {
        let (heard, waits) = oneshot::channel();
        let muted = self.judge.is_muted();
        let to = (&mut self.leg, self.tape.as_mut(), now);
        let item = self.mouth.press(sound, muted, to);
        self.story.generated(sound.len() as u64);
        self.pressing.0.push((item, heard));
        waits
    }

    /// The caller hears the agent, and would silence it by speaking.
    pub(super) fn interruptible(&self, now: Instant) -> bool {
        self.mouth.audible(now) && !self.mouth.playing(now).is_some_and(|item| self.pressing.is(item))
    }
}
