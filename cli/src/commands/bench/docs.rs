//! How figures are shown: what each means, what was promised, what limits it. Draws `docs/benchmarks.md`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, process::ExitCode};

use comfy_table::Table;

use super::{
    figures::{Figure, Report},
    media, pacing, wide,
};
use crate::commands;

const FOLDER: &str = "docs/benchmarks";
const PAGE: &str = "docs/benchmarks.md";

/// What a figure has to keep.
pub enum Promise {
    /// Nothing.
    None,
    RatioAtLeast(f64),
    RatioAtMost(f64),
    ValueAtMost(f64),
    ValueAtLeast(f64),
}

impl Promise {
    pub fn text(&self) -> String {
        match self {
            Self::None => "–".to_owned(),
            Self::RatioAtLeast(least) => format!("≥ {least} ×"),
            Self::RatioAtMost(most) => format!("≤ {most} ×"),
            Self::ValueAtMost(most) => format!("≤ {most}"),
            Self::ValueAtLeast(least) => format!("≥ {least}"),
        }
    }

    pub fn kept(&self, figure: &Figure) -> Option<bool> {
        match self {
            Self::None => None,
            Self::RatioAtLeast(least) => figure.ratio.map(|ratio| ratio >= *least),
            Self::RatioAtMost(most) => figure.ratio.map(|ratio| ratio <= *most),
            Self::ValueAtMost(most) => Some(figure.value <= *most),
            Self::ValueAtLeast(least) => Some(figure.value >= *least),
        }
    }
}

/// A figure in words.
pub struct Entry {
    pub bench: &'static str,
    /// Dotted; `*.utilisation` explains every figure that ends like this and has no entry of its own.
    pub id: &'static str,
    pub what: &'static str,
    pub limit: &'static str,
    pub promise: Promise,
}

impl Entry {
    fn explains(&self, bench: &str, id: &str) -> bool {
        self.bench == bench
            && match self.id.strip_prefix('*') {
                Some(ending) => id.ends_with(ending),
                None => self.id == id,
            }
    }
}

const ENTRIES: &[Entry] = &[
    Entry {
        bench: "sink",
        id: "events_per_second",
        what: "rows from Kafka into `call_events`, and from there into `calls`, exactly once, from joining the group to the last commit.",
        limit: "Inserting and merging take nearly all of both processors; reading and decoding hardly matter beside them.",
        promise: Promise::RatioAtLeast(5.0),
    },
    Entry {
        bench: "sink",
        id: "facts_only.events_per_second",
        what: "the same without the view that makes `calls`, for both.",
        limit: "As above: what ClickHouse does with a block once it has it.",
        promise: Promise::RatioAtLeast(5.0),
    },
    Entry {
        bench: "sink",
        id: "read_only",
        what: "records through the consumer loop to workers that drop them.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "sink",
        id: "read_and_decode_only",
        what: "the same, decoded to columns.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "sink",
        id: "insert_only",
        what: "finished blocks inserted, two at a time, with the view that makes `calls`.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "ingest",
        id: "ed25519.cpu_us",
        what: "processor time for a Telnyx webhook: read, verified, understood, appended with `acks=all`, answered.",
        limit: "The signature, although several are verified at once.",
        promise: Promise::RatioAtLeast(6.0),
    },
    Entry {
        bench: "ingest",
        id: "ed25519.over_floor",
        what: "the same beside the work that cannot be left out, which verifies one signature at a time.",
        limit: "",
        promise: Promise::RatioAtMost(1.3),
    },
    Entry {
        bench: "ingest",
        id: "ed25519.per_second",
        what: "the same webhooks a second on one core.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "ingest",
        id: "ed25519.half_load_p99_ms",
        what: "their 99th percentile at half that rate, on one core; the floor's at half of its own.",
        limit: "",
        promise: Promise::ValueAtMost(10.0),
    },
    Entry {
        bench: "ingest",
        id: "hmac.cpu_us",
        what: "processor time for a Twilio webhook, likewise.",
        limit: "Half of it is HTTP and Kafka, as in the floor; the rest is understanding the form and writing the event.",
        promise: Promise::RatioAtLeast(10.0),
    },
    Entry {
        bench: "ingest",
        id: "hmac.over_floor",
        what: "the same beside the work that cannot be left out.",
        limit: "The floor appends the form as it came; understanding it is the difference.",
        promise: Promise::RatioAtMost(1.3),
    },
    Entry {
        bench: "ingest",
        id: "hmac.per_second",
        what: "the same webhooks a second on one core.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "ingest",
        id: "hmac.half_load_p99_ms",
        what: "their 99th percentile at half that rate, on one core; the floor's at half of its own.",
        limit: "",
        promise: Promise::ValueAtMost(10.0),
    },
    Entry {
        bench: "dial",
        id: "attempts_per_second",
        what: "attempts that were claimed, judged, dialled over HTTP, answered, ended and written to ClickHouse, all parts and both carriers on this machine.",
        limit: "",
        promise: Promise::ValueAtLeast(1_500.0),
    },
    Entry {
        bench: "dial",
        id: "slowest_ten_seconds",
        what: "the slowest ten seconds of it.",
        limit: "",
        promise: Promise::None,
    },
    Entry {
        bench: "dial",
        id: "tick_ms",
        what: "one look of a partition at all its campaign shards under this load, claims included; the mean.",
        limit: "",
        promise: Promise::ValueAtMost(5.0),
    },
    Entry {
        bench: "dial",
        id: "claim_ms",
        what: "the transaction of a claim; the mean.",
        limit: "",
        promise: Promise::None,
    },
];

/// Every entry; the special ones stand before those that explain many figures.
fn entries() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().chain(pacing::ENTRIES).chain(media::ENTRIES)
}

pub fn entry(bench: &str, id: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.explains(bench, id))
}

fn row(report: &Report, figure: &Figure) -> [String; 6] {
    let promise = entry(&report.name, &figure.id).map(|entry| &entry.promise);
    let kept = match promise.and_then(|promise| promise.kept(figure)) {
        Some(true) => " ✓",
        Some(false) => " ✗",
        None => "",
    };
    let peer = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| amount(value, &figure.unit));
    [
        figure.id.clone(),
        amount(figure.value, &figure.unit),
        figure.peer.clone().unwrap_or_else(|| "–".to_owned()),
        peer(figure.peer_value),
        figure
            .ratio
            .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio} ×")),
        promise.map_or_else(|| "–".to_owned(), Promise::text) + kept,
    ]
}

/// Thousands apart, as people read them.
pub fn amount(value: f64, unit: &str) -> String {
    let plain = value.to_string();
    let (whole, rest) = plain
        .split_once('.')
        .map_or((plain.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position) % 3 == 0 {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    let point = if rest.is_empty() { "" } else { "." };
    format!("{grouped}{point}{rest} {unit}")
}

const HEADING: [&str; 6] = ["figure", "value", "peer", "peer's value", "ratio", "promise"];

/// The figures for a terminal.
pub fn table(report: &Report) -> Table {
    let mut table = commands::table(&HEADING);
    table.add_rows(report.figures.iter().map(|figure| row(report, figure)));
    table
}

/// Writes `docs/benchmarks.md` from the files in `docs/benchmarks`.
pub fn write() -> anyhow::Result<ExitCode> {
    fs::write(PAGE, page(&reports(Path::new(FOLDER))?)?)?;
    println!("{PAGE} is drawn");
    Ok(ExitCode::SUCCESS)
}

/// Every report in the folder, by name.
fn reports(folder: &Path) -> anyhow::Result<Vec<Report>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| Report::read(file)).collect()
}

fn page(reports: &[Report]) -> anyhow::Result<String> {
    let mut page = include_str!("docs.md").to_owned();
    for report in reports {
        let machine = &report.machine;
        writeln!(page, "\n## {}\n", report.name)?;
        writeln!(page, "```sh\n{}\n```\n", report.command)?;
        writeln!(
            page,
            "Commit `{}`; {} processors ({}), {} GiB. Just before a measurement up to {} % of the \
             processors was busy with something else.\n",
            report.commit,
            machine.cores,
            machine.processor,
            machine.memory_gib,
            machine.busy_elsewhere_percent
        )?;
        let figures = if report.name == wide::BENCH {
            wide::write(&mut page, report)
        } else {
            report.figures.iter().collect()
        };
        writeln!(page, "| {} |", HEADING.join(" | "))?;
        writeln!(page, "|---|---|---|---|---|---|")?;
        for figure in figures {
            let [id, rest @ ..] = row(report, figure);
            writeln!(page, "| `{id}` | {} |", rest.join(" | "))?;
        }
        writeln!(page)?;
        let mut explained = BTreeSet::new();
        for figure in &report.figures {
            if let Some(Entry { id, what, limit, .. }) = entry(&report.name, &figure.id)
                && explained.insert(what)
            {
                writeln!(page, "{}", format!("- `{id}`: {what} {limit}").trim_end())?;
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn the_page_is_what_the_files_say() {
        // Before the first measurement there is neither.
        let reports = reports(&top().join(FOLDER)).unwrap();
        let drawn = if reports.is_empty() {
            String::new()
        } else {
            page(&reports).unwrap()
        };
        let kept = fs::read_to_string(top().join(PAGE)).unwrap_or_default();
        assert!(
            drawn == kept,
            "docs/benchmarks.md is out of date: run `voice bench docs` at the top of the checkout"
        );
    }

    #[test]
    fn every_figure_is_explained_and_every_explanation_has_a_figure() {
        let reports = reports(&top().join(FOLDER)).unwrap();
        let figures: Vec<_> = reports
            .iter()
            .flat_map(|report| {
                report
                    .figures
                    .iter()
                    .map(|figure| (report.name.as_str(), figure.id.as_str()))
            })
            .collect();
        for (bench, id) in &figures {
            assert!(entry(bench, id).is_some(), "{bench} {id}");
        }
        let measured = |bench: &str| reports.iter().any(|report| report.name == bench);
        for entry in entries().filter(|entry| measured(entry.bench)) {
            assert!(
                figures.iter().any(|(bench, id)| entry.explains(bench, id)),
                "{} {}",
                entry.bench,
                entry.id
            );
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(amount(1_234_500.0, "rows/s"), "1\u{202f}234\u{202f}500 rows/s");
        assert_eq!(amount(41.2, "µs"), "41.2 µs");
    }
}
