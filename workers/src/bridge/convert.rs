//! From the format of one side to that of the other, where they differ.

use voice_audio::{
    g711::Law,
    resample::{Rate, Resampler},
};
use voice_providers::{AudioFormat, Codec};

/// The way audio takes in one direction.
#[derive(Debug)]
pub(crate) enum Path {
    /// Both sides speak the same: the Base64 text is copied.
    Same,
    /// Decoded, resampled, encoded.
    Convert(Box<Converter>),
}

impl Path {
    /// The way between two formats; `None` where there is none.
    pub(crate) fn between(from: AudioFormat, to: AudioFormat) -> Option<Self> {
        if from == to {
            return Some(Self::Same);
        }
        let rates = (Rate::from_hz(from.rate_hz)?, Rate::from_hz(to.rate_hz)?);
        Some(Self::Convert(Box::new(Converter {
            from: from.codec,
            to: to.codec,
            resampler: Resampler::new(rates.0, rates.1),
            samples: Vec::new(),
            resampled: Vec::new(),
            bytes: Vec::new(),
        })))
    }
}

/// One stream that changes its format. Keeps its memory from frame to frame.
#[derive(Debug)]
pub(crate) struct Converter {
    from: Codec,
    to: Codec,
    resampler: Resampler,
    samples: Vec<i16>,
    resampled: Vec<i16>,
    bytes: Vec<u8>,
}

impl Converter {
    /// The same sound in the other format; what was computed stays valid until the next call.
    pub(crate) fn convert(&mut self, audio: &[u8]) -> &[u8] {
        self.samples.clear();
        self.resampled.clear();
        self.bytes.clear();
        match self.from {
            Codec::Pcmu => Law::Mu.decode(audio, &mut self.samples),
            Codec::Pcma => Law::A.decode(audio, &mut self.samples),
            Codec::Pcm16 => {
                let pairs = audio.as_chunks::<2>().0;
                self.samples.extend(pairs.iter().copied().map(i16::from_le_bytes));
            }
        }
        self.resampler.process(&self.samples, &mut self.resampled);
        match self.to {
            Codec::Pcmu => Law::Mu.encode(&self.resampled, &mut self.bytes),
            Codec::Pcma => Law::A.encode(&self.resampled, &mut self.bytes),
            Codec::Pcm16 => self
                .bytes
                .extend(self.resampled.iter().flat_map(|sample| sample.to_le_bytes())),
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(from: AudioFormat, to: AudioFormat, audio: &[u8]) -> Vec<u8> {
        match Path::between(from, to).unwrap() {
            Path::Same => audio.to_vec(),
            Path::Convert(mut converter) => audio
                .chunks(160)
                .flat_map(|frame| converter.convert(frame).to_vec())
                .collect(),
        }
    }

    #[test]
    fn a_frame_has_the_same_length_in_time_in_every_format() {
        let formats = [
            AudioFormat::PCMU,
            AudioFormat::PCMA,
            AudioFormat::PCM_8K,
            AudioFormat::PCM_16K,
            AudioFormat::PCM_24K,
        ];
        for from in formats {
            for to in formats {
                let second = vec![0xD5; usize::try_from(from.bytes(960)).unwrap()];
                let out = converted(from, to, &second).len() as u64;
                assert!(out.abs_diff(to.bytes(960)) <= 6, "{from} to {to}: {out}");
            }
        }
    }

    #[test]
    fn there_and_back_is_the_same_tone() {
        let tone: Vec<i16> = (0..8_000)
            .map(|n| (9_000.0 * (f64::from(n) * 440.0 * std::f64::consts::TAU / 8_000.0).sin()) as i16)
            .collect();
        let mut codes = Vec::new();
        Law::Mu.encode(&tone, &mut codes);
        let wide = converted(AudioFormat::PCMU, AudioFormat::PCM_24K, &codes);
        let back = converted(AudioFormat::PCM_24K, AudioFormat::PCMU, &wide);
        let level = |codes: &[u8]| f64::from(Law::Mu.power(codes)).log10() * 10.0;
        assert!((level(&back[800..]) - level(&codes[800..])).abs() < 0.2);
    }

    #[test]
    fn a_rate_nobody_knows_has_no_way() {
        let odd = AudioFormat {
            codec: Codec::Pcm16,
            rate_hz: 48_000,
        };
        assert!(Path::between(AudioFormat::PCMU, odd).is_none());
    }
}
