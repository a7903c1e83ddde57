//! `voice contacts` as an operator meets it.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A broken set-up ends a test here.

use std::{
    fmt::Write as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono_tz::Tz;
use secrecy::ExposeSecret as _;
use voice_postgres::{
    Role,
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_schemas::TenantId;

/// A migrated database with the tenant `acme`.
struct Place {
    server: TestDatabase,
    key: String,
    folder: tempfile::TempDir,
}

impl Place {
    async fn create() -> Self {
        let server = TestDatabase::create().await;
        let key = STANDARD.encode([7; 32]);
        let sealer = Sealer::new(&[MasterKey {
            version: 1,
            key: key.clone().into(),
        }])
        .unwrap();
        let tenant = NewTenant {
            id: TenantId::random(),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: Tz::Europe__Prague,
        };
        tenants::upsert(&server.connect(Role::Owner).await, &sealer, &tenant)
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { server, key, folder }
    }

    fn voice(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voice"));
        command
            .args(["contacts"])
            .args(arguments)
            .args(["--tenant", "acme"])
            .current_dir(self.folder.path())
            .env("DATABASE_URL", self.server.url().expose_secret())
            .env(
                "VOICE_SECRETS__MASTER_KEYS",
                format!("[{{version=1,key=\"{}\"}}]", self.key),
            );
        command
    }

    fn run(&self, arguments: &[&str]) -> (Output, String) {
        let output = self.voice(arguments).output().unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        (output, String::from_utf8(said).unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}

/// Whether the table of counters has this row.
fn counted(said: &str, counters: [u64; 6]) -> bool {
    said.lines().any(|line| {
        let figures: Vec<&str> = line
            .split(['│', '┆'])
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        figures == counters.map(|counter| counter.to_string())
    })
}

/// CON-02
#[tokio::test]
async fn a_file_is_tried_imported_and_explained() {
    let place = Place::create().await;
    place.write(
        "people.csv",
        "Jméno;Telefon\nŠárka;602123456\nJiří;4,2E+11\nEva;603123456\n",
    );
    place.write("stop.txt", "603 123 456\nnobody\n");
    let import = ["import", "people.csv", "--list", "may", "--region", "CZ"];

    let (output, said) = place.run(&["suppress", "stop.txt", "--reason", "opt_out", "--region", "CZ"]);
    assert!(!output.status.success(), "a line was not understood");
    assert!(
        said.contains("1 numbers are suppressed") && said.contains("line 2: phone_not_a_number"),
        "{said}"
    );

    let (output, said) = place.run(&[&import[..], &["--dry-run"]].concat());
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("nothing was written") && counted(&said, [3, 1, 0, 0, 1, 1]),
        "{said}"
    );

    let (output, said) = place.run(&[&import[..], &["--errors", "errors.csv"]].concat());
    assert!(output.status.success(), "{said}");
    assert!(counted(&said, [3, 1, 0, 0, 1, 1]), "{said}");
    assert!(
        said.contains("phone_scientific_notation") && said.contains("UTF-8"),
        "{said}"
    );
    let errors = std::fs::read_to_string(place.folder.path().join("errors.csv")).unwrap();
    assert!(
        errors.contains("3,Telefon,phone_scientific_notation,invalid"),
        "{errors}"
    );
    for part in ["Šárka", "602123456", "603123456", "603 123"] {
        assert!(!said.contains(part) && !errors.contains(part), "{part} is shown");
    }
    let (_, said) = place.run(&import);
    assert!(counted(&said, [3, 0, 0, 1, 1, 1]), "{said}");
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_with_the_reason() {
    let place = Place::create().await;
    place.write("people.csv", "who,when\nJan,today\n");
    place.write("nobody.csv", "phone\nx\n");
    for (arguments, reason) in [
        (
            &["people.csv", "--list", "may"][..],
            "no column holds phone numbers",
        ),
        (
            &["people.csv", "--list", "may", "--region", "Czechia"],
            "no country has the code",
        ),
        (
            &["people.csv", "--list", "may", "--mapping", "who=nothing"],
            "no field is called `nothing`",
        ),
        (
            &["people.csv", "--list", "may", "--encoding", "klingon"],
            "no encoding is called",
        ),
        (
            &["people.csv", "--list", "may", "--delimiter", "::"],
            "no delimiter",
        ),
        (&["gone.csv", "--list", "may"], "the file cannot be read"),
        (
            &["nobody.csv", "--list", "may"],
            "the import failed: no_valid_rows",
        ),
    ] {
        let (output, said) = place.run(&[&["import"], arguments].concat());
        assert!(!output.status.success());
        assert!(said.contains(reason), "{reason} is not in:\n{said}");
    }
}

/// A register is loaded, replaced by a newer one and never by an older or a broken one; nothing of it is shown.
#[tokio::test]
async fn a_register_is_loaded_whole_and_what_is_none_changes_nothing() {
    let place = Place::create().await;
    place.write(
        "dnc.txt",
        "\u{feff}+1 415 555 0100\r\n\r\n(415) 555-0101\r\nnobody\r\n4155550102\r\n4155550102\r\n",
    );
    place.write("newer.txt", "4155550103\n");
    place.write("people.txt", "Jan\nEva\n4155550104\n");
    place.write("empty.txt", "\n");
    place.write(
        "looked.txt",
        "4155550100,no\n4155550101, YES\n4155550102,maybe\n4155550103\n,yes\n4155550105,no\n4155550106,no\n",
    );
    std::fs::write(
        place.folder.path().join("old.txt"),
        b"4155550100\nP\xf8\xedklad\n4155550101\n",
    )
    .unwrap();
    let in_use = || async {
        let worker = place.server.connect(Role::Worker).await;
        let tenant = tenants::all(&worker).await.unwrap()[0].id;
        let mut tx = worker.tenant(tenant).await.unwrap();
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT covers, state, entries FROM app.registry_scrubs ORDER BY covers, taken_at",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        rows.into_iter()
            .map(|(covers, state, entries)| format!("{covers} {state} {entries}"))
            .collect::<Vec<_>>()
    };
    let load = |file: &'static str, taken: &'static str, more: &[&'static str]| {
        let arguments = [
            &[
                "register", file, "--list", "us-dnc", "--taken", taken, "--region", "US",
            ],
            more,
        ];
        place.run(&arguments.concat())
    };

    // Three numbers, one of them twice; one line is none.
    let (output, said) = load("dnc.txt", "2026-01-02T00:00:00Z", &[]);
    assert!(!output.status.success(), "a line was not understood: {said}");
    assert!(
        said.contains("3 numbers were loaded, 1 lines were not understood")
            && said.contains("line 4: phone_not_a_number"),
        "{said}"
    );
    assert!(!said.contains("415") && !said.contains("nobody"), "{said}");
    assert_eq!(in_use().await, ["register current 3"]);

    // What is no register, an older one, and one with letters of another encoding.
    for (file, taken, reason) in [
        (
            "people.txt",
            "2026-01-03T00:00:00Z",
            "most lines were not understood",
        ),
        ("empty.txt", "2026-01-03T00:00:00Z", "no line holds a number"),
        ("newer.txt", "2026-01-01T00:00:00Z", "a newer register is in use"),
        ("old.txt", "2026-01-01T00:00:00Z", "a newer register is in use"),
        ("gone.txt", "2026-01-03T00:00:00Z", "gone.txt"),
        ("newer.txt", "2099-01-01T00:00:00Z", "in the future"),
        ("newer.txt", "yesterday", "--taken"),
    ] {
        let (output, said) = load(file, taken, &[]);
        assert!(!output.status.success(), "{file}: {said}");
        assert!(said.contains(reason), "{reason} is not in:\n{said}");
        assert_eq!(in_use().await, ["register current 3"], "{file}");
    }
    let wrong = [
        "register",
        "newer.txt",
        "--list",
        "us_dnc",
        "--taken",
        "2026-01-03T00:00:00Z",
    ];
    let (output, said) = place.run(&wrong);
    assert!(!output.status.success());
    assert!(
        said.contains("no rule asks for a register `us_dnc`") && said.contains("gb-tps"),
        "{said}"
    );

    // A newer one takes its place; the answers of a look-up stand beside it.
    let (output, said) = load("newer.txt", "2026-01-03T00:00:00Z", &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(in_use().await, ["register current 1"]);
    let (output, said) = load("looked.txt", "2026-01-03T00:00:00Z", &["--looked-up"]);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("4 numbers were loaded, 3 lines were not understood"),
        "{said}"
    );
    assert_eq!(in_use().await, ["numbers current 4", "register current 1"]);
}

#[tokio::test]
async fn a_command_that_was_killed_goes_on_when_it_is_given_again() {
    let place = Place::create().await;
    let mut text = String::from("id,phone\n");
    for row in 0..60_000 {
        writeln!(text, "{row},60{:07}", 2_000_000 + row).unwrap();
    }
    place.write("people.csv", &text);
    let import = ["import", "people.csv", "--list", "may", "--region", "CZ"];
    let mut child = place
        .voice(&import)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let worker = place.server.connect(Role::Worker).await;
    let tenant = tenants::all(&worker).await.unwrap()[0].id;
    let begun = || async {
        let mut tx = worker.tenant(tenant).await.unwrap();
        voice_contacts::lists::find(&mut tx, "may")
            .await
            .unwrap()
            .is_some()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !begun().await {
        assert!(Instant::now() < deadline, "the import does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was killed before it ended");
    let (output, said) = place.run(&import);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("going on with an unfinished import"), "{said}");
    assert!(counted(&said, [60_000, 60_000, 0, 0, 0, 0]), "{said}");
}
