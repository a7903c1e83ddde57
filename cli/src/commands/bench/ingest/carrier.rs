//! The carriers: connections that are kept open, webhooks that were signed before the clock starts.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use voice_schemas::events::call::Carrier;

use super::webhooks;
use crate::args::CarrierArgs;

/// No answer takes this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the server did.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Answers {
    /// Webhooks answered 200 per second.
    pub per_second: f64,
    /// Half of them within this, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 within this, milliseconds.
    pub p99_ms: f64,
}

/// Sends, and prints [`Answers`] as JSON.
pub async fn run(args: CarrierArgs) -> anyhow::Result<()> {
    let carrier = Carrier::parse(&args.carrier).context("the carrier is telnyx or twilio")?;
    let requests = Arc::new(webhooks::requests(carrier, args.first, args.count)?);
    let schedule = Arc::new(args.rate.map(|rate| arrivals(requests.len(), rate)));
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    let began = Instant::now();
    for _ in 0..args.connections {
        let stream = TcpStream::connect(&args.at).await?;
        stream.set_nodelay(true)?;
        let (requests, schedule, next) = (Arc::clone(&requests), Arc::clone(&schedule), Arc::clone(&next));
        connections
            .spawn(async move { connection(stream, &requests, schedule.as_deref(), began, &next).await });
    }
    let mut took = Vec::with_capacity(requests.len());
    while let Some(one) = connections.join_next().await {
        took.extend(one??);
    }
    let whole = began.elapsed();
    took.sort_unstable();
    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    let answers = Answers {
        per_second: took.len() as f64 / whole.as_secs_f64(),
        p50_ms: quantile(&took, 50),
        p99_ms: quantile(&took, 99),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&answers)?)?;
    Ok(())
}

/// Independent arrivals, as those of many calls are: exponential gaps.
fn arrivals(count: usize, rate: f64) -> Vec<Duration> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            at -= (1.0 - rng.random::<f64>()).ln() / rate;
            Duration::from_secs_f64(at)
        })
        .collect()
}

/// Takes the next webhook whenever it is free. A webhook with a time waits for it, and its latency counts
/// from that time: a server that falls behind is charged for the queue.
async fn connection(
    mut stream: TcpStream,
    requests: &[Vec<u8>],
    schedule: Option<&[Duration]>,
    began: Instant,
    next: &AtomicUsize,
) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut answer = Vec::with_capacity(4_096);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(number) else {
            return Ok(took);
        };
        let from = match schedule.and_then(|schedule| schedule.get(number)) {
            Some(offset) => {
                tokio::time::sleep_until(began + *offset).await;
                began + *offset
            }
            None => Instant::now(),
        };
        stream.write_all(request).await?;
        tokio::time::timeout(PATIENCE, read(&mut stream, &mut answer))
            .await
            .context("no answer came")??;
        anyhow::ensure!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        took.push(from.elapsed());
    }
}

/// Reads one whole answer with a `content-length`.
async fn read(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        anyhow::ensure!(stream.read_buf(answer).await? > 0, "the connection was closed");
        let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&answer[..head])?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if answer.len() >= head + 4 + length.context("an answer without a length")? {
            return Ok(());
        }
    }
}

fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_keep_the_rate_and_are_not_even() {
        let arrivals = arrivals(20_000, 1_000.0);
        let last = arrivals.last().unwrap().as_secs_f64();
        assert!((19.0..21.0).contains(&last), "{last}");
        let short = arrivals
            .windows(2)
            .filter(|pair| pair[1] - pair[0] < Duration::from_micros(500))
            .count();
        // 1 - e^-0.5 of exponential gaps are below half the mean.
        assert!((7_000..8_800).contains(&short), "{short}");
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(
            (quantile(&values, 50), quantile(&values, 99), quantile(&[], 99)),
            (51.0, 100.0, 0.0)
        );
    }
}
