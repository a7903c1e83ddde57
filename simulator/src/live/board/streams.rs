//! The switchboard's side of streams: which are to be opened, and what follows when one is over.

use chrono::{DateTime, Utc};

use super::Board;
use crate::live::{
    desk::Desk,
    stream::{Order, StreamTruth},
};

impl Board {
    /// The next stream to open.
    pub(crate) fn stream(&mut self) -> Option<Order> {
        self.desk.streams.pop_front()
    }

    /// The callee hears the agent for the first time.
    pub(crate) fn stream_heard(&mut self, line: u64, turn: u32, now: DateTime<Utc>) {
        if let Some(line) = self.lines.get_mut(&line).filter(|line| line.turn == turn) {
            Desk::hears(line, now);
        }
    }

    /// A stream is over; the call goes on with what is next, unless it does that already.
    pub(crate) fn stream_over(&mut self, line: u64, turn: u32, how: StreamTruth, now: DateTime<Utc>) {
        self.desk.truth.stream(&how);
        self.desk.streaming.remove(&(line, turn));
        let Some(streamed) = self.lines.get_mut(&line) else {
            return;
        };
        streamed.stream = Some(how);
        if streamed.turn == turn && streamed.ended.is_none() {
            self.desk.break_off(streamed, line, now);
            self.desk.go_on(streamed, line, now);
        }
        self.advance(now);
    }
}
