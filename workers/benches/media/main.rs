//! How many calls one core carries, and what they wait for.
//!
//! One process is the worker, pinned to the first core with one lane. This process is everything else, on the
//! second core: callers that stream 20 ms frames in real time, and a provider that speaks for three seconds in every
//! eight, at three times real time, over TLS. Both ends share a clock, so the way through the worker is timed for every
//! frame in each direction; what this process itself takes is part of the figure.
//!
//! ```text
//! cargo bench -p voice-workers --bench media -- --calls 100,400,800 --seconds 20 [--transcode] [--plain]
//! ```

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures and fails by panicking"
)]

mod callers;
mod measure;
mod provider;
mod worker;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::measure::{Figures, Sheet, cpu_of, cpu_of_self, resident_of};

/// How the bench was called.
struct Wanted {
    calls: Vec<usize>,
    seconds: u64,
    transcode: bool,
    tls: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|text| text == name)?;
        arguments.get(at + 1).cloned()
    };
    let has = |name: &str| arguments.iter().any(|text| text == name);
    if has("--test") {
        // `cargo test --benches` only wants to know that it starts.
        return;
    }
    if let Some(provider) = after("--worker") {
        worker::run(&provider, has("--transcode"));
        return;
    }
    let wanted = Wanted {
        calls: after("--calls")
            .unwrap_or_else(|| "100,400,800".to_owned())
            .split(',')
            .map(|count| count.parse().unwrap())
            .collect(),
        seconds: after("--seconds").map_or(20, |seconds| seconds.parse().unwrap()),
        transcode: has("--transcode"),
        tls: !has("--plain"),
    };
    println!(
        "{} over {}, {} s for each row, one core for the worker",
        if wanted.transcode {
            "transcoding with recording"
        } else {
            "pass-through"
        },
        if wanted.tls { "TLS" } else { "plain sockets" },
        wanted.seconds
    );
    println!("{}", Figures::HEAD);
    for calls in &wanted.calls {
        println!("{}", row(*calls, &wanted));
    }
}

fn row(calls: usize, wanted: &Wanted) -> Figures {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let sheet = Arc::new(Sheet::new(calls));
            let provider = provider::start(wanted.tls, wanted.transcode, Arc::clone(&sheet)).await;
            let mut worker = Worker::start(&provider, wanted);
            let empty = resident_of(worker.child.id());
            let mut streams = Vec::new();
            for call in 0..calls {
                streams.push(tokio::spawn(callers::stream(
                    worker.address.clone(),
                    worker.token(),
                    call,
                    Arc::clone(&sheet),
                )));
                // Calls begin spread out, as they do; frames of all calls fall on all moments of a period.
                tokio::time::sleep(Duration::from_micros(2_700)).await;
            }
            // One whole cycle for everything to settle.
            tokio::time::sleep(Duration::from_secs(9)).await;
            sheet.begin();
            let (began, worker_before, own_before) =
                (Instant::now(), cpu_of(worker.child.id()), cpu_of_self());
            tokio::time::sleep(Duration::from_secs(wanted.seconds)).await;
            let took = began.elapsed();
            let (worker_after, own_after) = (cpu_of(worker.child.id()), cpu_of_self());
            let resident = resident_of(worker.child.id());
            sheet.end();
            let alive = streams.iter().filter(|stream| !stream.is_finished()).count();
            for stream in streams {
                stream.abort();
            }
            Figures::of(
                &sheet,
                calls,
                alive,
                (worker_after - worker_before).as_secs_f64() / took.as_secs_f64(),
                (own_after - own_before).as_secs_f64() / took.as_secs_f64(),
                resident.saturating_sub(empty) / calls as u64,
            )
        })
}

/// The worker's process.
struct Worker {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
    address: String,
}

impl Worker {
    fn start(provider: &str, wanted: &Wanted) -> Self {
        let this = std::env::current_exe().unwrap();
        // Without the tool both processes share the cores, and the figures say less.
        let pinned = Command::new("taskset")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok();
        let mut command = if pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(this);
            let own = std::process::id().to_string();
            let _unpinned = Command::new("taskset")
                .args(["-a", "-p", "-c", "1", &own])
                .stdout(Stdio::null())
                .status();
            command
        } else {
            Command::new(this)
        };
        command.args(["--worker", provider]);
        if wanted.transcode {
            command.arg("--transcode");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut worker = Self {
            ask: child.stdin.take().unwrap(),
            answer: BufReader::new(child.stdout.take().unwrap()),
            address: String::new(),
            child,
        };
        worker.address = worker.line();
        worker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answer.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// A token for the next call.
    fn token(&mut self) -> String {
        self.ask.write_all(b"\n").unwrap();
        self.line()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
