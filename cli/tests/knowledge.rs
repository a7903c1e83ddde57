//! `voice knowledge` as an operator meets it.
#![allow(clippy::expect_used, clippy::unwrap_used)] // A broken set-up ends a test here.

use std::process::Command;

use secrecy::ExposeSecret as _;
use voice_postgres::{
    Role,
    sealed::{MasterKey, Sealer},
    tenants::{self, NewTenant},
    testing::TestDatabase,
};
use voice_providers::Provider;
use voice_schemas::{AgentId, TenantId};
use voice_workers::agents::{Agent, records};

/// A migrated database with the tenant `acme` and an AI agent.
struct Place {
    server: TestDatabase,
    folder: tempfile::TempDir,
    agent: String,
}

impl Place {
    async fn create() -> Self {
        let server = TestDatabase::create().await;
        let sealer = Sealer::new(&[MasterKey {
            version: 1,
            key: "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=".to_owned().into(),
        }])
        .unwrap();
        let tenant = NewTenant {
            id: TenantId::random(),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            region: "eu".to_owned(),
            default_locale: "en".to_owned(),
            timezone: "UTC".parse().unwrap(),
        };
        tenants::upsert(&server.connect(Role::Owner).await, &sealer, &tenant)
            .await
            .unwrap();
        let agent = Agent::new(AgentId::random(), "Ada", Provider::OpenaiRealtime, "Be brief.");
        let mut tx = server.connect(Role::Api).await.tenant(tenant.id).await.unwrap();
        records::upsert(&mut tx, &agent).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            server,
            folder: tempfile::tempdir().unwrap(),
            agent: agent.id.to_string(),
        }
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_voice"))
            .arg("knowledge")
            .args(arguments)
            .args(["--tenant", "acme"])
            .current_dir(self.folder.path())
            .env("DATABASE_URL", self.server.url().expose_secret())
            .output()
            .unwrap();
        let said = [&output.stdout[..], &output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// The row of the table of counters.
fn counted(said: &str) -> Vec<u64> {
    said.lines()
        .map(|line| {
            line.split(['│', '┆'])
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
        })
        .find_map(|cells| {
            cells
                .map(|cell| cell.parse().ok())
                .collect::<Option<Vec<u64>>>()
                .filter(|row| row.len() == 6)
        })
        .unwrap_or_default()
}

/// KB-01
#[tokio::test]
async fn articles_are_tried_imported_found_and_taken_out_again() {
    let place = Place::create().await;
    place.write(
        "docs/returns.md",
        "# Returning goods\n\nGoods may come back within thirty days.\n",
    );
    place.write(
        "docs/cs/reklamace.cs.md",
        "# Reklamace\n\nReklamaci vyřídíme do třiceti dnů.\n",
    );
    place.write("docs/notes.txt", "Not an article.");
    place.write(
        "docs/more.jsonl",
        "{\"id\":\"hours\",\"title\":\"Opening hours\",\"body\":\"Nine to five.\"}\n\n\
         {\"id\":\"hours\",\"title\":\"Twice\",\"body\":\"Nine to six.\"}\n{\"id\":7}\n",
    );

    let (fine, said) = place.run(&["import", "docs", "--dry-run"]);
    assert!(!fine, "two lines are no articles");
    assert_eq!(counted(&said), [5, 3, 0, 0, 2, 0], "{said}");
    assert!(
        said.contains("docs/more.jsonl:3: another article")
            && said.contains("docs/more.jsonl:4: invalid type"),
        "{said}"
    );
    assert!(said.contains("a dry run"), "{said}");
    assert_eq!(
        place.run(&["search", "opening hours"]).1.trim(),
        "nothing was found"
    );

    place.write(
        "docs/more.jsonl",
        "{\"id\":\"hours\",\"title\":\"Opening hours\",\"body\":\"Nine to five.\"}\n",
    );
    let (fine, said) = place.run(&["import", "docs"]);
    assert!(fine, "{said}");
    assert_eq!(counted(&said), [3, 3, 0, 0, 0, 0]);
    let (_, said) = place.run(&["search", "when are you open"]);
    assert!(
        said.contains("Opening hours") && said.contains("Nine to five."),
        "{said}"
    );
    assert!(
        place
            .run(&["search", "jak dlouho trvají reklamace"])
            .1
            .contains("do třiceti dnů")
    );

    let agent = place.agent.as_str();
    assert_eq!(
        place.run(&["search", "open", "--agent", agent]).1.trim(),
        "nothing was found"
    );
    assert!(place.run(&["allow", "general", "--agent", agent]).0);
    assert!(
        place
            .run(&["search", "open", "--agent", agent])
            .1
            .contains("Nine to five.")
    );

    std::fs::remove_file(place.folder.path().join("docs/more.jsonl")).unwrap();
    place.write(
        "docs/returns.md",
        "# Returning goods\n\nGoods may come back within sixty days.\n",
    );
    let (fine, said) = place.run(&["import", "docs", "--prune"]);
    assert!(fine, "{said}");
    assert_eq!(counted(&said), [2, 0, 1, 1, 0, 1]);
    assert_eq!(place.run(&["search", "open"]).1.trim(), "nothing was found");
    assert!(place.run(&["search", "returning goods"]).1.contains("sixty days"));
}
