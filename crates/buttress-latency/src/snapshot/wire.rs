//! A snapshot as it is written and read.

use serde::{Deserialize, Serialize};

use super::{Extremes, Snapshot};
use crate::bucket::{ABOVE, BELOW, Slot};

/// Nothing but integers; a reader needs no table of edges.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wire {
    sum_ns: u64,
    /// Both absent where they are known by their buckets alone, or nothing was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shortest_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    longest_ns: Option<u64>,
    #[serde(default)]
    below: u64,
    #[serde(default)]
    above: u64,
    /// The longest duration that a bucket takes, and its count; ascending.
    buckets: Vec<(u64, u64)>,
}

impl From<Snapshot> for Wire {
    fn from(snapshot: Snapshot) -> Self {
        let inside = |slot: Slot| slot != BELOW && slot != ABOVE;
        let known = |nanos: Option<u64>| nanos.filter(|_| !snapshot.is_empty());
        Self {
            sum_ns: snapshot.sum,
            shortest_ns: known(snapshot.extremes.shortest()),
            longest_ns: known(snapshot.extremes.longest()),
            below: snapshot.below(),
            above: snapshot.above(),
            buckets: snapshot
                .counts
                .iter()
                .filter(|(slot, _)| inside(*slot))
                .map(|(slot, count)| (slot.range().1, *count))
                .collect(),
        }
    }
}

impl TryFrom<Wire> for Snapshot {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let mut snapshot = Self::default();
        snapshot.push(BELOW, wire.below);
        let mut last = BELOW;
        for (longest, count) in wire.buckets {
            let slot = Slot::with_longest(longest)
                .ok_or_else(|| format!("no bucket ends at {longest} ns"))?;
            if slot <= last {
                return Err(format!(
                    "the bucket that ends at {longest} ns is out of order"
                ));
            }
            snapshot.push(slot, count);
            last = slot;
        }
        snapshot.push(ABOVE, wire.above);
        snapshot.sum = wire.sum_ns;
        if !snapshot.is_empty() {
            snapshot.extremes = extremes(wire.shortest_ns, wire.longest_ns)?;
        }
        Ok(snapshot)
    }
}

fn extremes(shortest: Option<u64>, longest: Option<u64>) -> Result<Extremes, String> {
    match (shortest, longest) {
        (Some(shortest), Some(longest)) if shortest <= longest => {
            Ok(Extremes::exactly(shortest, longest))
        }
        (None, None) => Ok(Extremes::UNKNOWN),
        _ => Err("shortest_ns and longest_ns must be both there, in order, or both absent".into()),
    }
}
