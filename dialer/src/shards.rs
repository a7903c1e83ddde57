//! Which partition of `calls.events` a campaign shard belongs to: the producer's own rule, computed beforehand.
//!
//! librdkafka's default partitioner (`consistent_random`) takes CRC-32 of the key modulo the partitions. Whoever holds the
//! partition sees every event of the shard's calls, in order, and is therefore its owner.

use voice_schemas::{AgentId, CampaignId, events::call::agent_leg_key};

/// The key of a shard's records; [`record_key`](voice_schemas::events::call::record_key) gives the same.
#[must_use]
pub fn key(campaign: CampaignId, shard: u16) -> String {
    format!("{}#{shard}", campaign.0)
}

/// The partition of a shard, when the topic has so many.
#[must_use]
pub fn partition(campaign: CampaignId, shard: u16, partitions: u32) -> i32 {
    of_key(&key(campaign, shard), partitions)
}

/// The partition of an agent's legs: whoever holds it looks after them, whatever campaign the agent works for.
#[must_use]
pub fn of_agent(agent: AgentId, partitions: u32) -> i32 {
    of_key(&agent_leg_key(agent), partitions)
}

fn of_key(key: &str, partitions: u32) -> i32 {
    let hash = crc32fast::hash(key.as_bytes());
    i32::try_from(hash % partitions.max(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_keeps_its_partition_and_shards_spread() {
        let campaign = CampaignId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        assert_eq!(key(campaign, 3), "01890a5d-ac96-774b-bcce-b302099a8057#3");
        assert_eq!(partition(campaign, 3, 12), partition(campaign, 3, 12));
        let used: std::collections::BTreeSet<i32> =
            (0..200).map(|shard| partition(campaign, shard, 12)).collect();
        assert_eq!(used.len(), 12);
    }
}
