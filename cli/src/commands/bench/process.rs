//! A process pinned to one processor, and what it takes of the machine.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The processor of whoever is measured.
pub const SERVER: usize = 0;
/// The processor of whoever asks.
pub const CARRIER: usize = 1;
/// `USER_HZ`: a hundred ticks a second on every Linux we run on.
const TICK: Duration = Duration::from_millis(10);
const START: Duration = Duration::from_secs(30);

/// A process that is up. It ends when its input does.
pub struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it listens, or whatever else its first line says.
    pub address: String,
}

/// A command that runs on one processor only.
pub fn pinned(processor: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(processor.to_string()).arg(program);
    command.kill_on_drop(true);
    command
}

impl Server {
    /// Starts a server and waits until its first line says where it listens.
    pub async fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a bench pins its processes with `taskset` (util-linux)")?;
        let output = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = tokio::time::timeout(START, lines.next_line())
            .await
            .context("the server did not start")??;
        Ok(Self {
            address: address.context("the server ended at once")?,
            lines,
            child,
        })
    }

    /// The kernel's number of the process.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server ended")
    }

    /// User and system time of all its threads so far.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time(self.id()?)
    }

    /// Writes a line of JSON and waits for the line that answers it.
    pub async fn ask<A: DeserializeOwned>(&mut self, order: &impl Serialize) -> anyhow::Result<A> {
        let input = self.child.stdin.as_mut().context("no input")?;
        input
            .write_all((serde_json::to_string(order)? + "\n").as_bytes())
            .await?;
        let line = self.lines.next_line().await?.context("the process ended")?;
        serde_json::from_str(&line).with_context(|| format!("the process said {line:?}"))
    }

    /// Tells it to end and waits; gives the last line it wrote since it was asked something.
    pub async fn stop(mut self) -> anyhow::Result<Option<String>> {
        drop(self.child.stdin.take());
        let Self { child, lines, .. } = &mut self;
        let mut last = None;
        let ended = async {
            while let Some(line) = lines.next_line().await? {
                last = Some(line);
            }
            child.wait().await
        };
        match tokio::time::timeout(START, ended).await {
            Ok(ended) => drop(ended?),
            Err(_late) => self.child.kill().await?,
        }
        Ok(last)
    }
}

/// User and system time of all threads of a process so far, from `proc_pid_stat(5)`.
pub fn processor_time(id: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("reading /proc/<pid>/stat")?;
    ticks(&stat)
        .map(|ticks| TICK * ticks)
        .context("/proc/<pid>/stat is not as documented")
}

/// Bytes a process has in memory, from `proc_pid_status(5)`.
pub fn resident(id: u32) -> anyhow::Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{id}/status")).context("reading /proc/<pid>/status")?;
    kilobytes(&status)
        .map(|kilobytes| kilobytes * 1_024)
        .context("/proc/<pid>/status is not as documented")
}

/// utime and stime: the 14th and 15th field. The second one, the name, may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
}

fn kilobytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_found_behind_any_name() {
        let stat = "4711 (a) b (c)) S 1 4711 4711 0 -1 4194560 900 0 0 0 123 45 0 0 20 0 4 0 7 1 1";
        assert_eq!(ticks(stat), Some(168));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn memory_is_what_is_resident_and_not_the_most_that_ever_was() {
        let status = "Name:\tvoice\nVmPeak:\t  900 kB\nVmHWM:\t  800 kB\nVmRSS:\t   700 kB\nThreads:\t3\n";
        assert_eq!(kilobytes(status), Some(700));
        assert!(resident(std::process::id()).unwrap() > 1 << 20);
    }
}
