//! What is measured, and what it amounts to.

use std::{
    collections::VecDeque,
    fmt, fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// When the frames of a call were sent and have not arrived yet.
#[derive(Debug, Default)]
pub(crate) struct OnTheWay {
    pub(crate) up: VecDeque<(Instant, u32)>,
    pub(crate) down: VecDeque<Instant>,
    pub(crate) barge_in: Option<Instant>,
}

/// What all calls write on.
#[derive(Debug)]
pub(crate) struct Sheet {
    calls: Vec<Mutex<OnTheWay>>,
    measuring: AtomicBool,
    up: Mutex<Vec<Duration>>,
    down: Mutex<Vec<Duration>>,
    barge_in: Mutex<Vec<Duration>>,
    /// Frames that came in another order than they were sent, or changed.
    wrong: AtomicU64,
}

impl Sheet {
    pub(crate) fn new(calls: usize) -> Self {
        Self {
            calls: (0..calls).map(|_| Mutex::default()).collect(),
            measuring: AtomicBool::new(false),
            up: Mutex::default(),
            down: Mutex::default(),
            barge_in: Mutex::default(),
            wrong: AtomicU64::new(0),
        }
    }

    pub(crate) fn begin(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.measuring.store(false, Ordering::Relaxed);
    }

    pub(crate) fn sent_up(&self, call: usize, number: u32) {
        self.calls[call]
            .lock()
            .unwrap()
            .up
            .push_back((Instant::now(), number));
    }

    /// A frame reached the provider; its number is known where it passed through unchanged.
    pub(crate) fn arrived_up(&self, call: usize, number: Option<u32>) {
        let now = Instant::now();
        let sent = self.calls[call].lock().unwrap().up.pop_front();
        match sent {
            Some((at, wanted)) if number.is_none_or(|number| number == wanted) => {
                self.note(&self.up, now - at)
            }
            _ => {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn sent_down(&self, call: usize) {
        self.calls[call].lock().unwrap().down.push_back(Instant::now());
    }

    pub(crate) fn arrived_down(&self, call: usize) {
        let now = Instant::now();
        match self.calls[call].lock().unwrap().down.pop_front() {
            Some(at) => self.note(&self.down, now - at),
            None => {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn spoken_over(&self, call: usize) {
        self.calls[call].lock().unwrap().barge_in = Some(Instant::now());
    }

    pub(crate) fn cleared(&self, call: usize) {
        let now = Instant::now();
        if let Some(at) = self.calls[call].lock().unwrap().barge_in.take() {
            self.note(&self.barge_in, now - at);
        }
    }

    fn note(&self, list: &Mutex<Vec<Duration>>, took: Duration) {
        if self.measuring.load(Ordering::Relaxed) {
            list.lock().unwrap().push(took);
        }
    }
}

/// One row of the table.
pub(crate) struct Figures {
    calls: usize,
    alive: usize,
    worker: f64,
    own: f64,
    resident: u64,
    up: [f64; 3],
    down: [f64; 3],
    barge_in: [f64; 3],
    frames: usize,
    wrong: u64,
}

impl Figures {
    pub(crate) const HEAD: &'static str = "calls alive | core % by cpu/call | up ms p50 p99 max | down ms p50 p99 max | \
        clear ms p50 p99 max | kB/call | frames wrong | rig core %";

    pub(crate) fn of(
        sheet: &Sheet,
        calls: usize,
        alive: usize,
        worker: f64,
        own: f64,
        resident: u64,
    ) -> Self {
        let of = |list: &Mutex<Vec<Duration>>| {
            let mut list = list.lock().unwrap().clone();
            list.sort_unstable();
            let at = |share: f64| {
                let index = ((list.len() as f64 * share) as usize).min(list.len().saturating_sub(1));
                list.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
            };
            [at(0.5), at(0.99), at(1.0)]
        };
        Self {
            calls,
            alive,
            worker,
            own,
            resident,
            up: of(&sheet.up),
            down: of(&sheet.down),
            barge_in: of(&sheet.barge_in),
            frames: sheet.up.lock().unwrap().len(),
            wrong: sheet.wrong.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let three = |[p50, p99, max]: [f64; 3]| format!("{p50:.2} {p99:.2} {max:.2}");
        write!(
            f,
            "{} {} | {:.1} % {:.4} % | {} | {} | {} | {:.0} | {} {} | {:.0} %",
            self.calls,
            self.alive,
            self.worker * 100.0,
            self.worker * 100.0 / self.calls as f64,
            three(self.up),
            three(self.down),
            three(self.barge_in),
            self.resident as f64 / 1e3,
            self.frames,
            self.wrong,
            self.own * 100.0,
        )
    }
}

/// User and system time of a process so far.
pub(crate) fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // A tick is 10 ms on every Linux there is.
    Duration::from_millis(ticks * 10)
}

pub(crate) fn cpu_of_self() -> Duration {
    cpu_of(std::process::id())
}

/// Bytes a process has in memory.
pub(crate) fn resident_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}
