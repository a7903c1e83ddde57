//! Writing a block so that a repeat of the same write changes nothing.

use std::{future::Future, sync::Mutex};

use crate::{Block, ClickHouse, ClickHouseError};

/// One insert.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The table.
    pub table: &'static str,
    /// The deduplication token: equal tokens are the same block, whatever it holds.
    pub token: String,
    /// The rows.
    pub block: Block,
}

/// Something that takes blocks: ClickHouse, or a recorder in tests.
pub trait BlockWriter: Clone + Send + Sync + 'static {
    /// Writes the block and everything its materialized views make of it, once per token.
    fn write(&self, insert: &Insert) -> impl Future<Output = Result<(), ClickHouseError>> + Send;
}

/// One batch is one block: a token counts per block, so the server must never split an insert, and
/// asynchronous inserts would merge it with others. The views group what they insert, so there is nothing
/// left to aggregate on the way into a table.
const SETTINGS: &[(&str, &str)] = &[
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("max_insert_block_size", "1048449"),
    ("max_insert_block_size_bytes", "0"),
    ("min_insert_block_size_rows", "0"),
    ("min_insert_block_size_bytes", "0"),
    ("max_partitions_per_insert_block", "100"),
    ("optimize_on_insert", "0"),
];

impl BlockWriter for ClickHouse {
    async fn write(&self, insert: &Insert) -> Result<(), ClickHouseError> {
        if insert.block.rows == 0 {
            return Ok(());
        }
        let failed = |source| ClickHouseError::new(&format!("inserting into {}", insert.table), source);
        let sql = format!(
            "INSERT INTO {} ({}) FORMAT Native",
            insert.table, insert.block.columns
        );
        let timeout = Some(self.insert_timeout);
        let mut request = SETTINGS
            .iter()
            .fold(
                self.inserting().insert_formatted_with(sql),
                |request, (name, value)| request.with_setting(*name, *value),
            )
            .with_setting("insert_deduplication_token", &insert.token)
            .with_timeouts(timeout, timeout);
        request.send(insert.block.bytes.clone()).await.map_err(failed)?;
        request.end().await.map_err(failed)
    }
}

/// Keeps what is written, for tests.
#[derive(Debug, Default)]
pub struct Recording {
    inserts: Mutex<Vec<Insert>>,
}

impl BlockWriter for std::sync::Arc<Recording> {
    async fn write(&self, insert: &Insert) -> Result<(), ClickHouseError> {
        self.inserts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(insert.clone());
        Ok(())
    }
}

impl Recording {
    /// Everything written so far.
    #[must_use]
    pub fn inserts(&self) -> Vec<Insert> {
        self.inserts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}
