//! The files themselves: all of them are whole, and one that says less than the law in code is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::*;
use voice_compliance::{Confidence, Rules};

const PACKS: [&str; 29] = [
    "strictest",
    "us",
    "gb",
    "cz",
    "es",
    "fr",
    "de",
    "ca",
    "us/al",
    "us/ca",
    "us/ct",
    "us/fl",
    "us/il",
    "us/ky",
    "us/la",
    "us/ma",
    "us/md",
    "us/mi",
    "us/mn",
    "us/ms",
    "us/mt",
    "us/nh",
    "us/nm",
    "us/nv",
    "us/ok",
    "us/pa",
    "us/ri",
    "us/tx",
    "us/wa",
];

fn read(file: &str) -> String {
    let path = format!("{}/packs/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The pack alone, changed, beside the French calendar.
fn with(file: &str, from: &str, to: &str) -> Vec<String> {
    let text = read(file);
    assert!(text.contains(from), "{file} does not say `{from}`");
    let changed = text.replacen(from, to, 1);
    let calendar = read("holidays/fr");
    let parsed = Rules::parse(&[("pack.toml", &changed)], &[("fr.toml", &calendar)]);
    parsed
        .err()
        .map(|error| error.faults().to_vec())
        .unwrap_or_default()
}

#[test]
fn every_pack_in_the_folder_is_built_in_and_every_rule_names_its_source() {
    let folder = format!("{}/packs", env!("CARGO_MANIFEST_DIR"));
    let files = |folder: String| {
        let names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".toml")).count()
    };
    assert_eq!(files(folder.clone()) + files(format!("{folder}/us")), PACKS.len());
    let built_in: BTreeSet<_> = rules().list().map(|rule| rule.pack.to_owned()).collect();
    assert_eq!(built_in.len(), PACKS.len());
    for file in PACKS {
        let text = read(file);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("jurisdiction = "))
            .unwrap();
        let stem = line.trim_matches('"').to_ascii_lowercase();
        assert!(
            built_in.iter().any(|pack| pack.starts_with(&format!("{stem}@"))),
            "{file}"
        );
    }
    for rule in rules().list() {
        assert!(rule.source.len() > 8, "{}", rule.id);
        assert!(
            rule.from.is_none_or(|from| from.to_string().as_str() > "2020"),
            "{}",
            rule.id
        );
    }
    let unverified = rules()
        .list()
        .filter(|rule| rule.confidence == Confidence::Unverified)
        .count();
    assert!(
        unverified > 0,
        "a set of rules nobody doubts is not to be trusted"
    );
}

#[test]
fn the_version_of_the_set_changes_with_any_word_of_it() {
    let text = read("de");
    let version = |text: &str| Rules::parse(&[("de.toml", text)], &[]).unwrap().version().clone();
    assert_eq!(version(&text), version(&text));
    assert_ne!(
        version(&text),
        version(&text.replace("Consumers, customers included.", "Consumers."))
    );
    assert!(version(&text).starts_with("2026.11.1-"));
}

#[test]
fn a_pack_that_says_less_than_the_law_in_code_is_refused() {
    for (file, from, to, fault) in [
        (
            "us/fl",
            "cap = { calls = 3",
            "cap = { calls = 4",
            "US-FL: no cap as tight as 3 calls in 24 hours",
        ),
        (
            "us/fl",
            "hours = 24",
            "hours = 23",
            "US-FL: no cap as tight as 3 calls in 24 hours",
        ),
        (
            "us/fl",
            "per = \"subject\"",
            "per = \"debt\"",
            "US-FL: no cap as tight as 3 calls in 24 hours",
        ),
        ("us/ok", "cap = { calls = 3", "cap = { calls = 5", "US-OK: no cap"),
        ("us", "cap = { calls = 7", "cap = { calls = 8", "US: no cap"),
        (
            "us",
            "after = \"conversation\", days = 7",
            "after = \"conversation\", days = 6",
            "US: no pause",
        ),
        ("fr", "cap = { calls = 4", "cap = { calls = 5", "FR: no cap"),
        ("fr", "days = 60", "days = 59", "FR: no pause"),
        (
            "gb",
            "hours = 72",
            "hours = 71",
            "GB: no pause as long as 72 hours after Abandoned",
        ),
        (
            "gb",
            "hours = 24, per",
            "hours = 23, per",
            "GB: no pause as long as 24 hours after Machine",
        ),
        (
            "us",
            "08:00-21:00",
            "07:00-21:00",
            "hours reach beyond 08:00-21:00",
        ),
        (
            "us",
            "08:00-21:00",
            "08:00-21:30",
            "hours reach beyond 08:00-21:00",
        ),
        ("us", "percent = 3.0", "percent = 3.1", "above the ceiling"),
        (
            "gb",
            "target_percent = 1.0",
            "target_percent = 4.0",
            "target is above",
        ),
        ("us", "seconds = 15", "seconds = 14", "shorter than fifteen"),
        (
            "us",
            "within_ms = 2000",
            "within_ms = 2500",
            "later than two seconds",
        ),
        (
            "gb",
            "key_press_opt_out = true",
            "key_press_opt_out = false",
            "offer a key",
        ),
    ] {
        let faults = with(file, from, to);
        assert!(
            faults.iter().any(|told| told.contains(fault)),
            "{file} {to}: {faults:?}"
        );
    }
}

#[test]
fn a_pack_that_is_written_wrongly_is_refused_with_its_file() {
    for (from, to, fault) in [
        ("purposes", "purpses", "unknown field"),
        ("\"telemarketing\"", "\"telemarkting\"", "unknown variant"),
        (
            "jurisdiction = \"FR\"",
            "jurisdiction = \"FX\"",
            "no known jurisdiction",
        ),
        (
            "zone = \"Europe/Paris\"",
            "zone = \"Europe/Pariss\"",
            "Europe/Pariss",
        ),
        ("2026-08-11", "2026-13-11", "out of range"),
        (
            "holidays = \"fr\"",
            "holidays = \"fx\"",
            "calendar does not exist",
        ),
        ("source = \"Code", "source = \"\" # \"Code", "names its source"),
        ("id = \"hours\"", "id = \"Hours!\"", "a-z"),
        ("id = \"after-refusal\"", "id = \"hours\"", "stands twice"),
        ("cap = {", "ring = { seconds = 20 }\ncap = {", "exactly one thing"),
        ("calls = 4", "calls = 0", "at least one call"),
        ("mon-fri 10:00-13:00", "mon-fri 13:00-10:00", "span of hours"),
        (
            "until = \"2026-08-11\"",
            "from = \"2026-08-12\"\nuntil = \"2026-08-11\"",
            "ends before it begins",
        ),
    ] {
        let faults = with("fr", from, to);
        assert!(faults.iter().any(|told| told.contains(fault)), "{to}: {faults:?}");
        assert!(
            faults
                .iter()
                .all(|told| told.starts_with("pack.toml") || told.starts_with("FR:")),
            "{faults:?}"
        );
    }
}

#[test]
fn all_faults_of_all_packs_are_told_at_once() {
    let (fr, de) = (read("fr").replace("calls = 4", "calls = 9"), read("de"));
    let parsed = Rules::parse(&[("fr.toml", &fr), ("de.toml", &de), ("again.toml", &de)], &[]);
    let error = parsed.err().unwrap();
    assert_eq!(error.kind(), "rule_pack");
    let faults = error.faults();
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("calendar does not exist")),
        "{faults:?}"
    );
    assert!(
        faults.iter().any(|fault| fault.contains("FR: no cap")),
        "{faults:?}"
    );
    assert!(
        faults.iter().any(|fault| fault.contains("DE has a pack already")),
        "{faults:?}"
    );
}

#[test]
fn the_document_lists_every_rule_with_its_dates_and_every_code() {
    let path = format!("{}/../../docs/compliance.md", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(path).unwrap();
    for rule in rules().list() {
        let row = document
            .lines()
            .find(|line| line.contains(&format!("`{}`", rule.id)));
        let row = row.unwrap_or_else(|| panic!("docs/compliance.md has no row for {}", rule.id));
        assert!(row.contains(rule.source), "{}", rule.id);
        for date in [rule.from, rule.until].into_iter().flatten() {
            assert!(row.contains(&date.to_string()), "{}", rule.id);
        }
    }
    for code in voice_compliance::Code::ALL {
        assert!(document.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn a_rule_that_ends_sooner_than_it_would_let_go_lets_go_when_it_ends() {
    let pack = |rule: &str| {
        let text = format!(
            "jurisdiction = \"CZ\"\nname = \"the Czech Republic\"\nversion = \"1\"\nzone = \"Europe/Prague\"\n\
             [[rule]]\nid = \"old\"\nsource = \"repealed\"\nbasis = \"statute\"\nconfidence = \"verified\"\n\
             until = \"2026-06-10\"\n{rule}\n"
        );
        Rules::parse(&[("cz.toml", &text)], &[]).unwrap()
    };
    let prague = place(PRAGUE);
    let now = at("2026-06-01T10:00:00Z");
    let mut refused = facts();
    refused
        .attempts
        .push(attempt(now - hours(1), voice_compliance::AttemptEnd::Refusal));
    let opens = Some(at("2026-06-10T06:00:00Z"));

    let pause = pack("cool_off = { after = \"refusal\", days = 30, per = \"person\" }");
    assert_eq!(pause.next_eligible_at(&request(&prague), &refused, now), opens);
    // What no time would have mended, the end of the law mends.
    let consent = pack("consent = { class = \"express\" }");
    let nobody = voice_compliance::Facts::default();
    assert_eq!(consent.next_eligible_at(&request(&prague), &nobody, now), opens);
}
