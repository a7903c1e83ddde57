//! The shape of the workspace: who may depend on whom, how long a file may be, and what no file may say.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

/// Everything below depends only on what stands above it, or beside it where [`BESIDE`] says so.
const LAYERS: [&[&str]; 6] = [
    &["voice-schemas", "voice-tests", "voice-clickhouse-local"],
    &[
        "voice-clickhouse",
        "voice-http",
        "voice-kafka",
        "voice-lifecycle",
        "voice-postgres",
        "voice-resilience",
        "voice-telemetry",
    ],
    &["voice-telephony", "voice-audio"],
    // What belongs to one service and is a crate of its own only because it is large.
    &[
        "voice-reports",
        "voice-contacts",
        "voice-compliance",
        "voice-pacing",
        "voice-turns",
        "voice-providers",
        "voice-recordings",
        "voice-simulator-providers",
    ],
    &[
        "voice-ingest",
        "voice-dialer",
        "voice-pacing-bench",
        "voice-analytics",
        "voice-scheduler",
        "voice-simulator",
        "voice-workers",
    ],
    &["voice"],
];

/// Crates of the layer `common` may use each other; services never do.
const BESIDE: usize = 1;

/// The one crate that names a client library; the others use that crate.
const NAMED_ONCE: [(&str, &[&str]); 4] = [
    ("rdkafka", &["voice-kafka"]),
    // The local server's own tests hold it against the official client.
    ("clickhouse", &["voice-clickhouse", "voice-clickhouse-local"]),
    // Each writes the statements about its own tables; connections come from common/postgres.
    (
        "sqlx",
        &[
            // Its tests look at what a command left.
            "voice",
            "voice-contacts",
            "voice-dialer",
            "voice-postgres",
            "voice-scheduler",
            "voice-workers",
        ],
    ),
    ("apalis-postgres", &["voice-scheduler"]),
];

const LONGEST_FILE: usize = 600;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .exec()
        .unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn layer(package: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&package))
        .unwrap_or_else(|| panic!("{package} has no place in the layers of the workspace: give it one here"))
}

/// The crates of ours a package depends on, without its tests.
fn ours<'a>(package: &'a Package, all: &BTreeSet<&str>) -> impl Iterator<Item = &'a str> {
    let names: BTreeSet<&str> = package
        .dependencies
        .iter()
        .filter(|dependency| {
            dependency.kind != DependencyKind::Development && all.contains(&*dependency.name)
        })
        .map(|dependency| &*dependency.name)
        .collect();
    names.into_iter()
}

#[test]
fn dependencies_point_from_the_binary_to_the_services_to_what_they_share_to_the_contracts() {
    let metadata = metadata();
    let all: BTreeSet<&str> = metadata.packages.iter().map(|package| &**package.name).collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let own = layer(&package.name);
        for on in ours(package, &all) {
            let theirs = layer(on);
            if theirs > own || (theirs == own && own != BESIDE) {
                wrong.push(format!("{} must not depend on {on}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_service_meets_another_only_in_the_contracts_also_in_its_tests() {
    let metadata = metadata();
    let services = LAYERS[4];
    let wrong: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| services.contains(&&**package.name))
        .flat_map(|package| {
            let named = package
                .dependencies
                .iter()
                .filter(|dependency| services.contains(&&*dependency.name));
            named.map(|dependency| format!("{} must not name {}", package.name, dependency.name))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_client_library_is_named_by_one_crate() {
    let metadata = metadata();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if let Some((library, _)) = NAMED_ONCE.iter().find(|(library, _)| *library == dependency.name) {
                users.entry(library).or_default().insert(&package.name);
            }
        }
    }
    for (library, allowed) in NAMED_ONCE {
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert_eq!(users.get(library), Some(&allowed), "{library}");
    }
}

#[test]
fn only_common_postgres_opens_connections_to_postgres() {
    let pools = [
        "PgPoolOptions",
        "PgPool::connect",
        "PgConnection::connect",
        "PgConnectOptions",
    ];
    let wrong: Vec<String> = sources()
        .filter(|(path, _)| !path.starts_with("common/postgres/") && !path.contains("/tests/"))
        .flat_map(|(path, text)| {
            let named = pools.into_iter().filter(move |pool| text.contains(pool));
            named
                .map(move |pool| format!("{path} names {pool}"))
                .collect::<Vec<_>>()
        })
        .filter(|found| !found.starts_with("tests/"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_library_of_the_tests_depends_on_nothing() {
    let metadata = metadata();
    let tests = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "voice-tests")
        .unwrap();
    assert!(
        tests
            .dependencies
            .iter()
            .all(|dependency| dependency.kind == DependencyKind::Development)
    );
}

#[test]
fn a_long_file_says_why_it_is_long() {
    let wrong: Vec<String> = sources()
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE)
        .filter(|(_, text)| {
            let doc: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            !doc.contains("600 lines")
        })
        .map(|(path, text)| {
            format!(
                "{path} has {} lines, and no `over 600 lines because …` in its module doc",
                text.lines().count()
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A path of somebody's machine works nowhere else.
#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name them.
    let machines: Vec<String> = ["work", "root"].map(|folder| format!("/{folder}/")).into();
    let wrong: Vec<String> = tracked()
        .filter_map(|path| Some((std::fs::read_to_string(root().join(&path)).ok()?, path)))
        .flat_map(|(text, path)| {
            let lines = text.lines().enumerate();
            let named = lines.filter(|(_, line)| machines.iter().any(|machine| names(line, machine)));
            named
                .map(|(number, _)| format!("{path}:{}", number + 1))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the line has the folder as the beginning of a path, and not inside one.
fn names(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-/}$".contains(before))
    })
}

/// Every file under version control, and those about to be.
fn tracked() -> impl Iterator<Item = String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let files: Vec<String> = output
        .stdout
        .split(|byte| *byte == 0)
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    assert!(files.len() > 100, "git lists only {} files", files.len());
    files.into_iter().filter(|name| !name.is_empty())
}

fn sources() -> impl Iterator<Item = (String, String)> {
    tracked()
        .filter(|path| path.ends_with(".rs"))
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(root().join(&path)).ok()?)))
}
