//! A running server of its own for each test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server on a free port with an empty data folder; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) data: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), environment)
    }

    pub(crate) fn start_in(data: tempfile::TempDir, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_clickhouse-local-server"))
            .arg("--lib")
            .arg(library())
            .arg("--data")
            .arg(data.path())
            .args(["--listen", "127.0.0.1:0"])
            .env_remove("CLICKHOUSE_USER")
            .env_remove("CLICKHOUSE_PASSWORD")
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "the server ended while starting"
            );
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || log.lines().for_each(drop));
        Self {
            child,
            url: format!("http://{address}"),
            data,
        }
    }

    pub(crate) fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default().with_url(&self.url)
    }

    pub(crate) fn signal(&mut self, name: &str) -> std::process::ExitStatus {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        self.child.wait().unwrap()
    }

    pub(crate) fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Kills the server as a power cut would, and starts another on its data.
    pub(crate) fn killed_and_started_again(mut self) -> Self {
        self.signal("KILL");
        let data = std::mem::replace(&mut self.data, tempfile::tempdir().unwrap());
        Self::start_in(data, &[])
    }

    /// `POST /?{parameters}` with `body`: status and text.
    pub(crate) async fn post(&self, parameters: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let response = http()
            .post(format!("{}/?{parameters}", self.url))
            .body(body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_gone = self.child.wait();
    }
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()
        .unwrap()
}

pub(crate) fn cache() -> PathBuf {
    std::env::var_os("VOICE_STACK_HOME")
        .map_or_else(|| repository().join(".local"), PathBuf::from)
        .join("cache")
}

/// The engine: named by VOICE_CHDB_LIB, or in the stack's cache, or fetched now.
fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("VOICE_CHDB_LIB") {
        return path.into();
    }
    cached_library().unwrap_or_else(|| {
        let fetched = Command::new(repository().join("deploy/local/stack"))
            .args(["install", "clickhouse"])
            .status()
            .unwrap();
        assert!(fetched.success(), "deploy/local/stack install clickhouse failed");
        cached_library().unwrap()
    })
}

fn cached_library() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(cache())
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("chdb-"))
        })
        .map(|path| path.join("libchdb.so"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A plain HTTP client. The workspace builds reqwest without a TLS provider, and
/// it wants to see one even for http.
pub(crate) fn http() -> reqwest::Client {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
