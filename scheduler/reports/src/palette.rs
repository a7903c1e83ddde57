//! From a tenant's accent colour to every colour of a document.

use crate::model::{Branding, Ink, Rgb};

/// The product's own accent.
const DEFAULT_ACCENT: Rgb = Rgb(0x23, 0x45, 0xC4);
const WHITE: Rgb = Rgb(255, 255, 255);
const INK: Rgb = Rgb(0x17, 0x1F, 0x2E);

impl Rgb {
    /// The colour as `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// The colour as the number `0xRRGGBB`.
    pub(crate) fn number(self) -> u32 {
        u32::from_be_bytes([0, self.0, self.1, self.2])
    }

    fn mix(self, other: Rgb, share: f64) -> Rgb {
        let blend = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share).round() as u8;
        Rgb(
            blend(self.0, other.0),
            blend(self.1, other.1),
            blend(self.2, other.2),
        )
    }

    /// Relative luminance of WCAG 2.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn contrast(self, other: Rgb) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }
}

/// The colours of one document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Palette {
    /// Fills: cover band, first series, bars.
    pub(crate) accent: Rgb,
    /// Text on the accent; light or dark, whichever is easier to read.
    pub(crate) on_accent: Rgb,
    /// The accent darkened until it is legible as text on white.
    pub(crate) accent_text: Rgb,
    /// A shade for rows and cards.
    pub(crate) tint: Rgb,
}

impl Palette {
    pub(crate) fn of(branding: &Branding) -> Self {
        let accent = branding.accent.unwrap_or(DEFAULT_ACCENT);
        let on_accent = if accent.contrast(WHITE) >= accent.contrast(INK) {
            WHITE
        } else {
            INK
        };
        let accent_text = (0..=10)
            .map(|step| accent.mix(INK, f64::from(step) / 10.0))
            .find(|shade| shade.contrast(WHITE) >= 4.5)
            .unwrap_or(INK);
        Self {
            accent,
            on_accent,
            accent_text,
            tint: accent.mix(WHITE, 0.95),
        }
    }

    /// The colour of a role.
    pub(crate) fn ink(self, ink: Ink) -> Rgb {
        match ink {
            Ink::Accent => self.accent,
            Ink::AccentSoft => self.accent.mix(WHITE, 0.55),
            Ink::Alert => Rgb(0xE0, 0x7A, 0x1F),
            Ink::Quiet => Rgb(0xDB, 0xE1, 0xEA),
            Ink::Neutral => Rgb(0xB3, 0xBD, 0xCC),
            Ink::Strong => Rgb(0x7C, 0x89, 0x9D),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_legible_on_and_in_any_accent() {
        for accent in [
            Rgb(0, 0, 0),
            WHITE,
            Rgb(255, 221, 0),
            Rgb(0, 150, 136),
            Rgb(128, 128, 128),
        ] {
            let palette = Palette::of(&Branding {
                accent: Some(accent),
                logo_svg: None,
            });
            assert!(palette.on_accent.contrast(accent) >= 4.0, "{accent:?}");
            assert!(palette.accent_text.contrast(WHITE) >= 4.5, "{accent:?}");
        }
    }
}
