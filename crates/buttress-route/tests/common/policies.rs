//! The policies that there are.

use buttress_route::Policy;

pub const HASH: Policy = Policy::ConsistentHash { bound: 1.25 };

/// All but one's own.
pub const fn policies() -> [Policy; 7] {
    [
        Policy::ExpectedCost,
        Policy::RoundRobin,
        Policy::Random,
        Policy::WeightedRandom,
        Policy::LeastRequest,
        Policy::PeakEwma,
        HASH,
    ]
}
