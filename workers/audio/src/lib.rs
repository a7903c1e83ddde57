//! What a media worker does to sound: companding, resampling, detecting voices, tones and keys, and laying
//! two voices side by side in a recording.
//!
//! Everything here is pure: samples in, samples or findings out, no clock and no I/O. Time is counted in
//! samples of the line ([`LINE_RATE`]), so the same input gives the same output however it was cut into
//! frames; the tests hold every detector to that.
//!
//! | module | what it knows |
//! |---|---|
//! | [`g711`] | µ-law and A-law, by table, exact to ITU-T G.711 |
//! | [`resample`] | 8, 16 and 24 kHz, streaming, with a group delay below 1.6 ms and no blocks |
//! | [`vad`] | who speaks, by level |
//! | [`dtmf`] | keys, in and out |
//! | [`tone`] | single tones: the beep of an answering machine, fax, information tones |
//! | [`cadence`] | the rhythm of speech and silence that tells a person from a machine |
//! | [`recording`] | two channels on one clock, gaps filled, as a WAV file |

pub mod cadence;
pub mod dtmf;
pub mod g711;
pub mod recording;
pub mod resample;
pub mod tone;
pub mod vad;

/// Samples per second on a telephone line.
pub const LINE_RATE: u32 = 8_000;

/// Samples of the line in a millisecond.
pub const SAMPLES_PER_MS: u64 = 8;

/// Samples of the line in the 20 ms frame that carriers send.
pub const FRAME: usize = 160;
