//! What the bridge tells providers, and what their models ask it for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use voice_audio::{SAMPLES_PER_MS, dtmf};
use voice_providers::{
    Arguments, Command,
    price::Spending,
    tools::{Action, Patience},
};

use super::{
    Call,
    errands::{Errand, MOST, Outcome, Overdue},
    leaving::Leaving,
    side::Todo,
};
use crate::{
    error::Ending,
    hands::{Deed, HandsError},
};

/// What a model is told that asks for what is none of its tools.
const UNAVAILABLE: &str = r#"{"error":"this tool is not available"}"#;
/// What a model is told that asks for too much at a time.
const BUSY: &str = r#"{"error":"too many tools are under way; wait for their results"}"#;
/// How much longer than they last keys may take to be heard: the agent may be muted for a moment.
const PRESSED_WITHIN: Duration = Duration::from_secs(5);
/// What a model is told of what is done at once.
const DONE: &str = r#"{"ok":true}"#;

impl<S: AsyncRead + AsyncWrite + Unpin> Call<'_, S> {
    /// Does everything that was noted. Commands may say something in turn.
    pub(super) fn do_all(&mut self, now: Instant) {
        if !self.sessions.is_ready() {
            // What is answered is answered by the next session; what was cut is cut already.
            return self.side.put_off();
        }
        while let Some(todo) = self.side.todo.pop_front() {
            match todo {
                Todo::Interrupt { item, heard_ms } => {
                    let name = item
                        .and_then(|item| self.side.mouth.name(item))
                        .map(str::to_owned);
                    let item = name.as_deref();
                    self.command(Command::Interrupt { item, heard_ms }, now);
                    if self.stay() {
                        let news = "[The caller spoke before the call was ended. It goes on.]";
                        self.command(Command::Text(news), now);
                    }
                }
                Todo::Respond(instructions) => {
                    let instructions = instructions.as_deref();
                    self.command(Command::Respond { instructions }, now);
                    self.side.asked(now);
                }
                Todo::Say(text) => self.command(Command::Say(&text), now),
                Todo::Instruct(text) => self.command(Command::Instruct(&text), now),
                Todo::Digits(digits) => self.command(Command::Digits(&digits), now),
                Todo::Tool {
                    call,
                    name,
                    arguments,
                } => self.tool(call, &name, arguments, now),
                Todo::Forget(call) => {
                    if let Some((Errand::Tool { name, .. }, took)) = self.errands.cancel(&call) {
                        self.side.story.tool(&name, "cancelled", took);
                    }
                }
                Todo::Spending(spending) => self.spend(spending, now),
                Todo::Language(language) => {
                    let text = format!("The caller speaks {language} (BCP 47). Go on in that language.");
                    self.command(Command::Instruct(&text), now);
                    self.sessions.speak(&language, now);
                }
                Todo::PickedUp(far_end) => self.picked_up(far_end, now),
                Todo::MachineListens => self.leave_message(now),
            }
        }
    }

    pub(super) fn command(&mut self, command: Command<'_>, now: Instant) {
        let (side, provider) = (&mut self.side, &mut self.sessions.current);
        let told = provider.command(command, &mut |event| side.provider_says(event, None, now));
        if let Err(error) = told {
            tracing::debug!(call = %self.subject.call, kind = error.kind(), "the provider was not told");
        }
    }

    fn spend(&mut self, spending: Spending, now: Instant) {
        match spending {
            Spending::Go => {}
            Spending::Downgrade => {
                self.sessions.downgrade(now);
                self.side.speaker.1 = false;
            }
            Spending::End if self.leaving.is_none() => {
                let farewell = std::mem::take(&mut self.farewell);
                self.command(Command::Say(&farewell), now);
                self.leave(Leaving::after_words(Ending::Budget, now));
            }
            Spending::End => {}
        }
    }

    fn tool(&mut self, call: String, name: &str, arguments: Arguments, now: Instant) {
        let checked = self.toolbox.check(name, arguments);
        let errand = Errand::Tool {
            call,
            // Only names that are ours are told to anybody.
            name: match &checked {
                Err(refused) if refused.kind() == "unknown_tool" => "unknown".to_owned(),
                _ => name.to_owned(),
            },
            session: self.sessions.number(),
            transfer: name == "transfer_call",
        };
        let arguments = match checked {
            Ok(arguments) => arguments,
            Err(refused) => {
                return self.give(
                    &errand,
                    refused.kind(),
                    Duration::ZERO,
                    &refused.answer(),
                    true,
                    now,
                );
            }
        };
        let Some(deed) = self.deed(name, arguments) else {
            return self.give(&errand, "unavailable", Duration::ZERO, UNAVAILABLE, true, now);
        };
        match deed {
            Deed::Act(Action::HangUp { .. }) => {
                self.give(&errand, "done", Duration::ZERO, DONE, false, now);
                if self.leaving.is_none() {
                    self.leave(Leaving::after_this(Ending::HungUp, true, now));
                }
            }
            Deed::Act(Action::SetRecording { on }) => {
                let recording = self.record(on);
                let output = json!({"ok": true, "recording": recording}).to_string();
                self.give(&errand, "done", Duration::ZERO, &output, true, now);
            }
            _ if self.errands.len() == MOST => {
                self.give(&errand, "busy", Duration::ZERO, BUSY, true, now);
            }
            Deed::Act(Action::SendDtmf { digits }) => self.press(errand, &digits, now),
            deed => {
                let acting = self.shared.hands.act(&self.line, deed);
                self.errands.begin(errand, self.patience.clone(), acting, now);
            }
        }
    }

    fn deed(&self, name: &str, arguments: Value) -> Option<Deed> {
        if let Some(webhook) = self.webhooks.iter().find(|webhook| webhook.spec.name == name) {
            return Some(Deed::Webhook {
                name: name.to_owned(),
                url: webhook.url.clone(),
                arguments,
            });
        }
        let action = serde_json::from_value(json!({"tool": name, "arguments": arguments})).ok()?;
        Some(Deed::Act(action))
    }

    /// Presses keys; the model hears of it when the far end has heard them.
    fn press(&mut self, errand: Errand, digits: &str, now: Instant) {
        let Some(sound) = dtmf::sequence(digits, dtmf::Pace::default()) else {
            return self.give(&errand, "unavailable", Duration::ZERO, UNAVAILABLE, true, now);
        };
        let lasts = self.side.mouth.queued(now) + Duration::from_millis(sound.len() as u64 / SAMPLES_PER_MS);
        let heard = self.side.press(&sound, now);
        let pressing = async move {
            let pressed = heard.await.map(|()| json!({"ok": true}));
            pressed.map_err(|_dropped| HandsError::Interrupted)
        };
        let patience = Patience {
            filler_after: lasts + PRESSED_WITHIN,
            filler: String::new(),
            deadline: lasts + PRESSED_WITHIN,
        };
        self.errands.begin(errand, patience, Box::pin(pressing), now);
    }

    /// Whether the call is recorded from now on.
    fn record(&mut self, on: bool) -> bool {
        match &mut self.side.tape {
            Some(tape) if on => tape.resume(),
            Some(tape) => tape.pause(),
            None => return false,
        }
        on
    }

    /// An errand is done.
    pub(super) fn done(&mut self, errand: Errand, took: Duration, outcome: Outcome) {
        let now = super::now();
        let transfer = match &errand {
            Errand::Leave { transfer } => return self.acted(*transfer, &outcome, now),
            Errand::Tool { transfer, .. } => *transfer,
        };
        match outcome {
            Ok(_) if transfer => {
                // The carrier takes the caller away; the agent has nothing more to say.
                self.give(&errand, "done", took, DONE, false, now);
                self.leave(Leaving::gone(Ending::Transferred, now));
            }
            Ok(value) => self.give(&errand, "done", took, &value.to_string(), true, now),
            Err(error) => self.give(
                &errand,
                error.kind(),
                took,
                &error.answer().to_string(),
                true,
                now,
            ),
        }
    }

    /// What is due for the errands under way.
    pub(super) fn overdue(&mut self, now: Instant) {
        loop {
            let quiet = self.side.quiet(now);
            match self.errands.overdue(quiet, now) {
                None => return,
                Some(Overdue::Filler(text)) => self.side.todo.push_back(Todo::Say(text)),
                Some(Overdue::GivenUp(Errand::Leave { transfer }, ..)) => {
                    self.acted(transfer, &Err(HandsError::Unavailable), now);
                }
                Some(Overdue::GivenUp(errand, took, answer)) => {
                    self.give(&errand, "timed_out", took, &answer, true, now);
                }
            }
        }
    }

    /// Gives the model what a tool gave. One that was asked for by a session that is gone is news to the present one.
    fn give(
        &mut self,
        errand: &Errand,
        outcome: &'static str,
        took: Duration,
        output: &str,
        answer: bool,
        now: Instant,
    ) {
        let Errand::Tool {
            call, name, session, ..
        } = errand
        else {
            return;
        };
        self.side.story.tool(name, outcome, took);
        if *session == self.sessions.number() {
            let result = Command::ToolResult {
                call,
                name,
                output,
                answer,
            };
            self.command(result, now);
        } else {
            let news = format!("The tool `{name}` was used before and gave: {output}");
            self.side.todo.push_back(Todo::Instruct(news));
            if answer {
                self.side.todo.push_back(Todo::Respond(None));
            }
        }
        if answer {
            self.side.asked(now);
        }
    }
}
