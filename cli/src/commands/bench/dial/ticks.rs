//! How long the dialer's looks and claims took, from the figures it publishes.

use std::net::SocketAddr;

use anyhow::Context as _;

/// Both histograms of a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ticks {
    pub tick: Series,
    pub claim: Series,
}

/// Sum and number of observations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Series {
    seconds: f64,
    count: f64,
}

impl Ticks {
    /// What the process publishes now.
    pub async fn read(ops: SocketAddr) -> anyhow::Result<Self> {
        let text = reqwest::get(format!("http://{ops}/metrics"))
            .await?
            .text()
            .await?;
        Self::parse(&text).context("the dialer publishes no ticks")
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            tick: Series::parse(text, "dialer_tick_seconds")?,
            claim: Series::parse(text, "dialer_claim_seconds")?,
        })
    }

    /// What came since an earlier moment.
    pub fn since(self, before: &Self) -> Self {
        Self {
            tick: self.tick.since(before.tick),
            claim: self.claim.since(before.claim),
        }
    }
}

impl Series {
    fn parse(text: &str, name: &str) -> Option<Self> {
        // The lines of a process carry constant labels: what counts is the name's end.
        let value = |ending: &str| {
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.rsplit_once(' '))
                .find(|(series, _)| {
                    let series = series.split('{').next().unwrap_or_default();
                    series.ends_with(&format!("{name}_{ending}"))
                })
                .and_then(|(_, value)| value.parse().ok())
        };
        Some(Self {
            seconds: value("sum")?,
            count: value("count")?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            seconds: self.seconds - before.seconds,
            count: self.count - before.count,
        }
    }

    pub fn mean_ms(self) -> f64 {
        if self.count > 0.0 {
            self.seconds * 1e3 / self.count
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_what_came_between_two_moments() {
        let at = |tick: (f64, u32), claim: (f64, u32)| {
            Ticks::parse(&format!(
                "# TYPE voice_dialer_tick_seconds histogram\nvoice_dialer_tick_seconds_bucket{{le=\"1\"}} 1\n\
                 voice_dialer_tick_seconds_sum {}\nvoice_dialer_tick_seconds_count {}\n\
                 voice_dialer_claim_seconds_sum{{role=\"all\"}} {}\nvoice_dialer_claim_seconds_count{{role=\"all\"}} {}\n",
                tick.0, tick.1, claim.0, claim.1
            ))
            .unwrap()
        };
        let ticks = at((0.5, 100), (2.0, 20)).since(&at((0.1, 20), (1.0, 10)));
        assert!((ticks.tick.mean_ms() - 5.0).abs() < 1e-9);
        assert!((ticks.claim.mean_ms() - 100.0).abs() < 1e-9);
        assert_eq!(Ticks::parse("nothing"), None);
    }
}
