//! What one 20 ms frame of one call costs in each stage, in microseconds: the best of several rounds.

use std::{hint::black_box, time::Instant};

use voice_audio::{
    FRAME, dtmf,
    g711::Law,
    recording::{Channel, Timeline},
    resample::{Rate, Resampler},
    tone,
    vad::{LevelConfig, LevelVad},
};

const FRAMES: usize = 20_000;
const ROUNDS: usize = 7;

#[allow(clippy::print_stdout, reason = "a bench prints its figures")]
fn cost(name: &str, mut frame: impl FnMut(usize)) {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for n in 0..FRAMES {
                frame(n);
            }
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!("{name:<34} {:8.3} µs", best.as_secs_f64() * 1e6 / FRAMES as f64);
}

fn main() {
    let mut random = fastrand::Rng::with_seed(1);
    let line: Vec<i16> = (0..FRAME).map(|_| random.i16(-9_000..=9_000)).collect();
    let wide: Vec<i16> = (0..3 * FRAME).map(|_| random.i16(-9_000..=9_000)).collect();
    let mut codes = Vec::new();
    Law::Mu.encode(&line, &mut codes);

    let mut samples = Vec::new();
    cost("decode µ-law", |_| {
        samples.clear();
        Law::Mu.decode(black_box(&codes), &mut samples);
        black_box(&samples);
    });
    let mut bytes = Vec::new();
    cost("encode µ-law", |_| {
        bytes.clear();
        Law::Mu.encode(black_box(&line), &mut bytes);
        black_box(&bytes);
    });
    let pairs = [
        ("resample 8 to 16 kHz", Rate::Khz8, Rate::Khz16, FRAME),
        ("resample 8 to 24 kHz", Rate::Khz8, Rate::Khz24, FRAME),
        ("resample 24 to 8 kHz", Rate::Khz24, Rate::Khz8, 3 * FRAME),
        ("resample 16 to 8 kHz", Rate::Khz16, Rate::Khz8, 2 * FRAME),
        ("resample 24 to 16 kHz", Rate::Khz24, Rate::Khz16, 3 * FRAME),
    ];
    for (name, from, to, length) in pairs {
        let mut stream = Resampler::new(from, to);
        cost(name, |_| {
            samples.clear();
            stream.process(black_box(&wide[..length]), &mut samples);
            black_box(&samples);
        });
    }
    let mut level = LevelVad::new(LevelConfig::default());
    cost("voice by level, from µ-law", |_| {
        level.codes(Law::Mu, black_box(&codes), |change| {
            black_box(change);
        });
    });
    let mut keys = dtmf::Detector::default();
    cost("keys", |_| {
        keys.samples(black_box(&line), |press| {
            black_box(press);
        });
    });
    let mut tones = tone::Detector::default();
    cost("tones", |_| {
        tones.samples(black_box(&line), |tone| {
            black_box(tone);
        });
    });
    let mut timeline = Timeline::new(Law::Mu, 10_000);
    let mut file = Vec::new();
    let mut now = 0;
    cost("recording, both channels", |_| {
        timeline.lay(Channel::Caller, now, black_box(&codes));
        timeline.lay(Channel::Agent, now, black_box(&codes));
        now += FRAME as u64;
        file.clear();
        timeline.advance(now, &mut file);
        black_box(&file);
    });
}
