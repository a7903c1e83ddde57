//! The figures in words.

use crate::commands::bench::docs::{Entry, Promise};

const fn entry(id: &'static str, what: &'static str, limit: &'static str, promise: Promise) -> Entry {
    Entry {
        bench: "media",
        id,
        what,
        limit,
        promise,
    }
}

const fn soak(id: &'static str, what: &'static str, promise: Promise) -> Entry {
    Entry {
        bench: "media-soak",
        id,
        what,
        limit: "",
        promise,
    }
}

/// All of them; those that stand for one figure come before those that stand for several.
pub const ENTRIES: &[Entry] = &[
    entry(
        "copied.calls",
        "the most calls of one core with 99 of 100 moments within 5 ms in each direction, every frame and piece there and in order. Both sides speak G.711, the provider over TLS; nothing is recorded.",
        "More than half of the worker's time is the kernel's, most of that the write to the provider's socket, which on loopback does the receiver's work, too. Callers and provider need as much of the other core.",
        Promise::ValueAtLeast(800.0),
    ),
    entry(
        "copied.beside_equal",
        "the same beside the most calls of the peer within the same 5 ms. 0: not even two calls.",
        "The same callers and provider. What favours the peer: its provider leg is not encrypted, it checks no token, asks for no marks, and keeps neither turns nor what was heard; of it only marks in the audio and the beginnings of answers are held to the limit, of the worker every piece.",
        Promise::RatioAtLeast(20.0),
    ),
    entry(
        "copied.beside_50ms",
        "the worker held to 5 ms, the peer to 50 ms.",
        "The peer converts to PCM at 24 kHz and back, for it cannot pass G.711 on.",
        Promise::RatioAtLeast(20.0),
    ),
    entry(
        "copied.beside_as_it_comes",
        "the worker held to 5 ms, the peer as it comes to 200 ms.",
        "Its resampler gives audio out in blocks of up to 140 ms.",
        Promise::RatioAtLeast(20.0),
    ),
    entry(
        "copied.core_of_a_call",
        "processor time of a call, each at the most calls it carries within 5 and 50 ms.",
        "",
        Promise::None,
    ),
    entry(
        "copied.kb_of_a_call",
        "memory of a call, likewise.",
        "",
        Promise::None,
    ),
    entry(
        "converted.calls",
        "the most calls of one core likewise, audio converted to PCM at 24 kHz and back, recorded in two channels, sealed and written to the disk.",
        "",
        Promise::ValueAtLeast(400.0),
    ),
    entry(
        "*.up_p50_ms",
        "from the caller to the provider, the median at 800 calls, at 400 where audio is converted; what callers and provider take themselves is in it.",
        "",
        Promise::ValueAtMost(0.5),
    ),
    entry(
        "*.up_p99_ms",
        "its 99th percentile.",
        "",
        Promise::ValueAtMost(5.0),
    ),
    entry(
        "*.down_p50_ms",
        "from the provider to the caller, every piece of every answer, at the same calls.",
        "",
        Promise::ValueAtMost(0.5),
    ),
    entry(
        "*.down_p99_ms",
        "its 99th percentile.",
        "",
        Promise::ValueAtMost(5.0),
    ),
    entry(
        "*.barge_in_p99_ms",
        "from the provider's word that the caller speaks to the carrier's order to fall silent, 99th percentile at the same calls.",
        "",
        Promise::ValueAtMost(5.0),
    ),
    entry(
        "*.lost",
        "frames and pieces lost, changed or out of order at the same calls.",
        "",
        Promise::ValueAtMost(0.0),
    ),
    entry(
        "*.rig_core",
        "what callers and provider took of the other core.",
        "",
        Promise::None,
    ),
    entry("*.core", "what the worker took of its core.", "", Promise::None),
    entry(
        "*.memory_kb",
        "memory of a call: what the process has resident beyond what it had before the first one.",
        "",
        Promise::ValueAtMost(150.0),
    ),
    soak(
        "calls",
        "calls at a time, each of 20 to 120 s, half of them copied and half converted, all of them recorded.",
        Promise::None,
    ),
    soak("minutes", "how long.", Promise::None),
    soak(
        "carried",
        "calls that were carried to the end their caller wanted.",
        Promise::None,
    ),
    soak("failed", "calls that were not.", Promise::ValueAtMost(0.0)),
    soak(
        "after_warm_up_mb",
        "memory of the worker after a fifth of the time, the median of a tenth of it.",
        Promise::None,
    ),
    soak("at_the_end_mb", "the same in the last tenth.", Promise::None),
    soak("growth", "from the one to the other.", Promise::ValueAtMost(5.0)),
    soak(
        "slope",
        "the line with the least squares through memory every ten seconds since then.",
        Promise::None,
    ),
    soak(
        "up_p99_ms",
        "from the caller to the provider, 99th percentile of the whole time.",
        Promise::None,
    ),
    soak(
        "down_p99_ms",
        "from the provider to the caller, likewise.",
        Promise::None,
    ),
    soak("core", "what the worker took of its core.", Promise::None),
];
