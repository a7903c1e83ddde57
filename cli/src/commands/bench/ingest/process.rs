//! A process pinned to one processor, and the processor time it takes.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The processor of whoever is measured.
pub const SERVER: usize = 0;
/// The processor of whoever asks.
pub const CARRIER: usize = 1;
/// `USER_HZ`: a hundred ticks a second on every Linux we run on.
const TICK: Duration = Duration::from_millis(10);
const START: Duration = Duration::from_secs(30);

/// A server that is up.
pub struct Server {
    child: Child,
    /// Where it listens.
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
            child,
        })
    }

    /// User and system time of all its threads so far, from `proc_pid_stat(5)`.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let id = self.child.id().context("the server ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("reading /proc/<pid>/stat")?;
        ticks(&stat)
            .map(|ticks| TICK * ticks)
            .context("/proc/<pid>/stat is not as documented")
    }

    /// Tells it to end and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        if tokio::time::timeout(START, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// utime and stime: the 14th and 15th field. The second one, the name, may hold spaces and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    Some(fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?)
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
}
