//! What a simulated provider says, and what goes wrong with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

/// How one connection goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What the caller is understood to have said, turn after turn; the last one again and again.
    pub hears: Vec<Heard>,
    /// What is answered, turn after turn; the last one again and again.
    pub replies: Vec<Reply>,
    /// How many times faster than it plays audio is sent.
    pub speed: u32,
    /// From the end of the caller's speech to the first audio.
    pub thinks: Duration,
    /// In how many items one answer comes.
    pub items: usize,
    /// What the caller said is told only after the answer to it.
    pub late_transcripts: bool,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// What the caller is understood to have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The words.
    pub text: String,
    /// The language.
    pub language: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Words, spoken for so long.
    Say {
        /// The words.
        text: String,
        /// How long they take.
        lasts: Duration,
    },
    /// A tool is asked for; what it gave is answered with the next reply.
    Call {
        /// The name of the tool.
        tool: String,
        /// An object.
        arguments: Value,
    },
}

/// What goes wrong. Times count from the configured session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The upgrade or request is refused.
    Refuse {
        /// The HTTP status.
        status: u16,
    },
    /// The connection stands and nothing is ever said on it.
    NeverReady,
    /// Audio is taken and never answered.
    NeverAnswers,
    /// Another format is confirmed and spoken than was asked for.
    WrongFormat,
    /// The WebSocket is closed.
    Close {
        /// When.
        after: Duration,
        /// With what code.
        code: u16,
        /// And words.
        reason: String,
    },
    /// The connection is gone, without a goodbye.
    Vanish {
        /// When.
        after: Duration,
    },
    /// The connection's end is announced, and comes.
    GoAway {
        /// When it is announced.
        after: Duration,
        /// How much later it comes.
        left: Duration,
    },
    /// The session has lived long enough.
    Expire {
        /// When.
        after: Duration,
    },
    /// Nothing is read, so no ping is answered and the sender's buffers fill; what is to be said is said.
    Deaf {
        /// When.
        after: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// The arguments of tools are cut in the middle.
    BrokenTools,
    /// The audio of an answer comes all at once.
    Burst,
}

impl Default for Script {
    fn default() -> Self {
        let heard = |text: &str, language: &str| Heard {
            text: text.to_owned(),
            language: language.to_owned(),
        };
        let say = |text: &str, lasts| Reply::Say {
            text: text.to_owned(),
            lasts: Duration::from_millis(lasts),
        };
        Self {
            hears: vec![
                heard("Yes, speaking.", "en"),
                heard("What is it about?", "en"),
                heard("I see. Thank you.", "en"),
            ],
            replies: vec![
                say("Hello, this is a virtual assistant. Do you have a moment?", 2_800),
                say("I am calling about your appointment next week.", 2_400),
                say("Thank you. Have a good day.", 1_600),
            ],
            speed: 5,
            thinks: Duration::from_millis(50),
            items: 1,
            late_transcripts: false,
            faults: Vec::new(),
        }
    }
}

impl Script {
    /// The same with a fault more.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The same with these answers.
    #[must_use]
    pub fn replying(mut self, replies: Vec<Reply>) -> Self {
        self.replies = replies;
        self
    }

    /// Whether this is among what goes wrong.
    #[must_use]
    pub fn has(&self, fault: &Fault) -> bool {
        self.faults.contains(fault)
    }

    pub(crate) fn refused(&self) -> Option<u16> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Refuse { status } => Some(*status),
            _ => None,
        })
    }

    pub(crate) fn heard(&self, turn: usize) -> Heard {
        let nothing = || Heard {
            text: String::new(),
            language: "en".to_owned(),
        };
        nth_or_last(&self.hears, turn).cloned().unwrap_or_else(nothing)
    }

    pub(crate) fn reply(&self, turn: usize) -> Reply {
        let nothing = || Reply::Say {
            text: String::new(),
            lasts: Duration::ZERO,
        };
        nth_or_last(&self.replies, turn).cloned().unwrap_or_else(nothing)
    }
}

fn nth_or_last<T>(all: &[T], index: usize) -> Option<&T> {
    all.get(index).or_else(|| all.last())
}

/// Which connection goes by which script: the first by the first, and all after the last by the last. Clones
/// count together.
#[derive(Clone, Debug)]
pub struct Scripts {
    scripts: Arc<[Script]>,
    next: Arc<AtomicUsize>,
}

impl Scripts {
    /// All connections by one script.
    #[must_use]
    pub fn all(script: Script) -> Self {
        Self::in_turn(vec![script])
    }

    /// One connection by each, in this order.
    #[must_use]
    pub fn in_turn(scripts: Vec<Script>) -> Self {
        Self {
            scripts: scripts.into(),
            next: Arc::default(),
        }
    }

    /// How many connections there have been.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// What is not a connection of its own goes by the first.
    pub(crate) fn first(&self) -> Script {
        self.scripts.first().cloned().unwrap_or_default()
    }

    pub(crate) fn take(&self) -> Script {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        nth_or_last(&self.scripts, turn).cloned().unwrap_or_default()
    }
}

impl Default for Scripts {
    fn default() -> Self {
        Self::all(Script::default())
    }
}
