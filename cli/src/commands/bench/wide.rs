//! Many scenarios with the same figures: a row for each scenario instead of one for each figure.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    docs::{self, Promise},
    figures::{Figure, Report},
};

/// The bench that is shown like this.
pub const BENCH: &str = "pacing";

/// The figures of a scenario, in tables that fit a page.
const TABLES: [&[&str]; 2] = [
    &[
        "utilisation",
        "abandoned",
        "worst_shift",
        "worst_hour",
        "objective",
        "behind_known",
        "converged",
        "silent",
    ],
    &[
        "answer_to_agent_p95",
        "idle_p50",
        "idle_p95",
        "dials_per_contact",
        "contacts_per_agent_hour",
        "decision_p99",
        "shifts",
    ],
];
/// Others in the same scenario: utilisation, and behind it the abandoned answers.
const OTHERS: [&str; 9] = [
    "known",
    "progressive",
    "ratio_2",
    "ratio_3",
    "ratio_tuned",
    "vicidial_hard",
    "vicidial_average",
    "vicidial_tapered",
    "vicidial_tuned",
];

/// `r1.n10.worst_shift` is the figure `worst_shift` of the scenario `r1.n10`.
fn parts(id: &str) -> (&str, &str) {
    let (first, rest) = id.split_once('.').unwrap_or((id, ""));
    match rest.split_once('.') {
        Some((size, figure)) if size.len() > 1 && size[1..].parse::<u32>().is_ok() => {
            (&id[..first.len() + 1 + size.len()], figure)
        }
        _ => (first, rest),
    }
}

fn find<'a>(report: &'a Report, scenario: &str, figure: &str) -> Option<&'a Figure> {
    let wanted = (scenario, figure);
    report.figures.iter().find(|one| parts(&one.id) == wanted)
}

fn cell(report: &Report, scenario: &str, column: &str) -> String {
    let Some(figure) = find(report, scenario, column) else {
        return String::new();
    };
    let value = docs::amount(figure.value, &figure.unit);
    let ratio = figure
        .ratio
        .map_or_else(String::new, |ratio| format!(" ({ratio} ×)"));
    let promise = docs::entry(&report.name, &figure.id).map(|entry| &entry.promise);
    let mark = match promise.and_then(|promise| promise.kept(figure)) {
        Some(true) => " ✓".to_owned(),
        Some(false) => format!(" ✗ {}", promise.map_or_else(String::new, Promise::text)),
        None => String::new(),
    };
    format!("{}{ratio}{mark}", value.trim_end())
}

fn other(report: &Report, scenario: &str, name: &str) -> String {
    let of = |figure: &str| find(report, scenario, &format!("{name}.{figure}"));
    match (of("utilisation"), of("abandoned")) {
        (Some(used), Some(abandoned)) => format!("{} % · {} %", used.value, abandoned.value),
        _ => String::new(),
    }
}

fn table(page: &mut String, rows: &[&str], columns: &[&str], cell: impl Fn(&str, &str) -> String) {
    let line = |page: &mut String, cells: Vec<String>| {
        // Writing to a string cannot fail.
        let _written = writeln!(page, "| {} |", cells.join(" | "));
    };
    let heading = |column: &&str| format!("`{column}`");
    let first = std::iter::once("scenario".to_owned());
    line(page, first.chain(columns.iter().map(heading)).collect());
    line(page, vec!["---".to_owned(); columns.len() + 1]);
    for row in rows {
        let cells = columns.iter().map(|column| cell(row, column));
        let filled: Vec<String> = cells.collect();
        if filled.iter().any(|cell| !cell.is_empty()) {
            line(page, std::iter::once(format!("`{row}`")).chain(filled).collect());
        }
    }
    page.push('\n');
}

/// Writes the tables, and gives the figures that are in none of them.
pub fn write<'a>(page: &mut String, report: &'a Report) -> Vec<&'a Figure> {
    let mut rows: Vec<&str> = Vec::new();
    for figure in &report.figures {
        let (scenario, _) = parts(&figure.id);
        if rows.last() != Some(&scenario) {
            rows.push(scenario);
        }
    }
    for columns in TABLES {
        table(page, &rows, columns, |row, column| cell(report, row, column));
    }
    page.push_str("Others in the same scenarios: utilisation · abandoned answers.\n\n");
    table(page, &rows, &OTHERS, |row, name| other(report, row, name));
    let shown: BTreeSet<&str> = TABLES.into_iter().flatten().copied().collect();
    let is_shown = |figure: &&Figure| {
        let (_, name) = parts(&figure.id);
        let of_another = name
            .split_once('.')
            .is_some_and(|(other, _)| OTHERS.contains(&other));
        shown.contains(name) || of_another
    };
    report.figures.iter().filter(|figure| !is_shown(figure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_told_from_its_scenario() {
        assert_eq!(parts("m1.utilisation"), ("m1", "utilisation"));
        assert_eq!(parts("r1.n10.worst_hour"), ("r1.n10", "worst_hour"));
        assert_eq!(parts("r6.known.abandoned"), ("r6", "known.abandoned"));
        assert_eq!(parts("r1.n5.known.abandoned"), ("r1.n5", "known.abandoned"));
    }
}
