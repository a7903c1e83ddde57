//! Bars for people who wait at a terminal; plain lines when the output goes elsewhere.

use std::{borrow::Cow, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts to `length`, headed by `what`.
pub fn bar(length: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:40.green/dim} {pos:>7}/{len} {elapsed:>4}")
    {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// A bar over so many bytes of a file, with the time that is left; the message is for what was found in them.
pub fn bytes(length: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let template = "{msg:28} {bar:40.green/dim} {bytes:>10}/{total_bytes} {elapsed:>4}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// A wheel that turns while something without a measure goes on.
pub fn wheel(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let wheel = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {spinner} {elapsed:>4}") {
        wheel.set_style(style);
    }
    wheel.set_message(what);
    wheel.enable_steady_tick(Duration::from_millis(100));
    wheel
}
