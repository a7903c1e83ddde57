//! Server-sent events out of an HTTP response, as chat models stream their answers.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};

/// More than this without the end of a line is no event stream.
const LONGEST_LINE: usize = 1 << 20;

/// The events of one response. Only their data is kept: that is all chat models use.
pub(super) struct EventStream {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    parser: Parser,
}

/// The response broke off, or is no event stream.
#[derive(Debug)]
pub(super) struct Broken;

impl EventStream {
    pub(super) fn of(response: reqwest::Response) -> Self {
        Self {
            body: response.bytes_stream().boxed(),
            parser: Parser::default(),
        }
    }

    /// The data of the next event, or `None` at the end.
    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<String>, Broken>> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Poll::Ready(Ok(Some(event)));
            }
            match self.body.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Broken)),
                Poll::Ready(Some(Ok(bytes))) => {
                    if self.parser.take(&bytes).is_err() {
                        return Poll::Ready(Err(Broken));
                    }
                }
            }
        }
    }
}

/// Lines to events (WHATWG HTML, "Interpreting an event stream"). A last event without an empty line after it
/// is not one.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    returned: bool,
    events: VecDeque<String>,
}

impl Parser {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.returned, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line()?,
                _ if self.line.len() >= LONGEST_LINE => return Err(Broken),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Broken> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Broken)?;
        if line.is_empty() {
            self.events.extend(self.data.take());
        } else if let Some(value) = line.strip_prefix("data") {
            let value = match value.strip_prefix(':') {
                Some(value) => value.strip_prefix(' ').unwrap_or(value),
                None if value.is_empty() => "",
                None => return Ok(()),
            };
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.take(piece).unwrap();
        }
        parser.events.into()
    }

    #[test]
    fn comments_names_and_ids_are_passed_over_and_lines_of_data_are_joined() {
        let text = b": hello\nevent: x\nid: 1\ndata: a\ndata:b\n\ndatum: no\n\ndata\n\n\ndata: cut off";
        assert_eq!(events(&[text]), ["a\nb", ""]);
    }

    proptest! {
        #[test]
        fn where_the_network_cuts_and_how_lines_end_makes_no_difference(
            data in vec("[a-zč]{0,9}", 1..6), cuts in vec(0_usize..80, 0..6), end in 0..3_usize,
        ) {
            let end = ["\n", "\r", "\r\n"][end];
            let text: String = data.iter().map(|data| format!("data: {data}{end}{end}")).collect();
            let text = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(events(&pieces), data);
        }
    }
}
