//! `voice` processes: started, watched, and ended by their process id.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `voice`; killed when it is dropped.
pub(crate) struct Voice {
    child: Child,
    log: PathBuf,
}

impl Voice {
    pub(super) fn start(role: &str, settings: &BTreeMap<String, String>, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(binary())
            .arg(role)
            .envs(settings)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Everything it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said this.
    pub(crate) async fn has_said(&mut self, words: &str) {
        super::eventually(
            &format!("`{words}` in {}", self.log.display()),
            PATIENCE,
            async || {
                self.must_run();
                self.said().contains(words)
            },
        )
        .await;
    }

    /// Fails when it has ended.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("voice ended by itself: {status}\n{}", tail(&self.log));
        }
    }

    /// SIGKILL. What it said is given back.
    pub(crate) async fn kill(mut self) -> String {
        self.must_run();
        self.child.kill().await.unwrap();
        self.said()
    }

    /// SIGTERM; it has to end with success.
    pub(crate) async fn terminate(mut self) -> String {
        self.must_run();
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        let ended: Result<std::io::Result<ExitStatus>, _> =
            tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("voice ends within a minute of SIGTERM").unwrap();
        assert!(status.success(), "voice ended with {status}\n{}", tail(&self.log));
        self.said()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the last words of {}:\n{}", self.log.display(), tail(&self.log));
        } else {
            let _leftovers_are_harmless = std::fs::remove_file(&self.log);
        }
    }
}

/// Runs a command of `voice` to its end.
pub(super) async fn command(words: &[&str], settings: &BTreeMap<String, String>) -> Output {
    Command::new(binary())
        .args(words)
        .envs(settings)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

/// `target/<profile>/voice`, beside the folder this test was built into.
fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("voice");
    assert!(
        path.is_file(),
        "{} is missing: `cargo build -p voice` makes it",
        path.display()
    );
    path
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
