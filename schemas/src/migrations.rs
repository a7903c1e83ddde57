//! The SQL that creates and changes both stores. An applied migration is never edited.

/// One step of a store's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Counts from 1 without gaps.
    pub version: i64,
    /// What it does, from the file name.
    pub name: &'static str,
    /// The statements, separated by `;` at the end of a line.
    pub sql: &'static str,
}

impl Migration {
    /// The single statements, for stores that take one at a time.
    pub fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.sql.split(";\n").map(str::trim).filter(|statement| {
            statement
                .lines()
                .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
        })
    }
}

macro_rules! migrations {
    ($folder:literal: $($version:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../", $folder, "/", $name, ".sql")),
        },)+]
    };
}

/// Postgres: what people configure and what must be transactional.
pub const POSTGRES: &[Migration] = migrations!("postgres":
    1 "0001_foundation",
    2 "0002_provider_accounts",
    3 "0003_outbox",
    4 "0004_reports",
    5 "0005_contacts",
    6 "0006_campaigns",
    7 "0007_dialling",
    8 "0008_ai_agents",
    9 "0009_estimates",
    10 "0010_transfers",
    11 "0011_knowledge",
    12 "0012_attempt_consent",
);

/// ClickHouse: facts, calls, roll-ups, marts.
pub const CLICKHOUSE: &[Migration] = migrations!("clickhouse":
    1 "0001_call_events",
    2 "0002_calls",
    3 "0003_rollups",
    4 "0004_marts",
    5 "0005_media",
    6 "0006_contacts_of_ai_agents",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_and_files_are_named_after_them() {
        for store in [POSTGRES, CLICKHOUSE] {
            for (position, migration) in store.iter().enumerate() {
                assert_eq!(migration.version, i64::try_from(position).unwrap() + 1);
                assert!(
                    migration.name.starts_with(&format!("{:04}_", migration.version)),
                    "{}",
                    migration.name
                );
                assert!(migration.statements().count() > 0, "{} is empty", migration.name);
            }
        }
    }
}
