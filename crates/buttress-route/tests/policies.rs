//! By what is picked: each policy keeps to its rule, none picks what takes no traffic, and to change it loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs
)]

mod common;
#[path = "policies/keys.rs"]
mod keys;
#[path = "policies/own.rs"]
mod own;
#[path = "policies/properties.rs"]
mod properties;

use std::collections::BTreeMap;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_route::{Acquired, Change, Config, Endpoint, EndpointState, HealthRouter, Policy};

use common::{HASH, policies};

type Pool = HealthRouter<()>;

const UNBOUNDED: Policy = Policy::ConsistentHash {
    bound: f64::INFINITY,
};

fn endpoints(weights: &[u32]) -> Vec<Endpoint<()>> {
    let all = weights.iter().enumerate();
    all.map(|(index, weight)| Endpoint::new(index.to_string(), ()).weight(*weight))
        .collect()
}

fn pool_at(time: &ManualClock, policy: Policy, weights: &[u32]) -> Pool {
    let config = Config::new("test")
        .policy(policy)
        .clock(time.clock())
        .rng(Rng::seeded(5));
    HealthRouter::new(config, endpoints(weights)).unwrap()
}

fn pool(policy: Policy, weights: &[u32]) -> Pool {
    pool_at(&ManualClock::new(), policy, weights)
}

/// Where so many calls went that each ended at once and said nothing of its endpoint; each has a key of its own.
fn shares(pool: &Pool, calls: u64) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for call in 0..calls {
        let picked = pool.try_acquire_for(call).unwrap();
        *shares.entry(picked.id().to_string()).or_default() += 1.0 / calls as f64;
        picked.record(Outcome::Ignored);
    }
    shares
}

fn index(picked: &Acquired<()>) -> usize {
    picked.id().parse().unwrap()
}

#[test]
fn weights_are_honoured_by_every_policy_but_the_one_that_knows_none() {
    for peers in [4, 40] {
        let weights: Vec<u32> = (0..peers).map(|n| 1 + n % 3).collect();
        let total: u32 = weights.iter().sum();
        for policy in policies() {
            let shares = shares(&pool(policy.clone(), &weights), 60_000);
            for (index, weight) in weights.iter().enumerate() {
                let fair = match policy {
                    Policy::Random => 1.0 / f64::from(peers),
                    _ => f64::from(*weight) / f64::from(total),
                };
                let share = shares[&index.to_string()];
                // Who is somewhere on a ring is not everywhere alike.
                let off = if policy.as_str() == HASH.as_str() {
                    0.2
                } else {
                    0.15
                };
                let near = (share - fair).abs() < fair * off;
                assert!(
                    near,
                    "{policy:?} of {peers}: {index} has {share}, not {fair}"
                );
            }
        }
    }
}

#[test]
fn round_robin_gives_each_its_turns_exactly() {
    let shares = shares(&pool(Policy::RoundRobin, &[5, 1, 1]), 700);
    let counts = ["0", "1", "2"].map(|id| (shares[id] * 700.0).round());
    assert_eq!(counts, [500.0, 100.0, 100.0]);
}

#[test]
fn round_robin_stays_even_where_one_is_out() {
    let pool = pool(Policy::RoundRobin, &[1; 5]);
    pool.handle().eject("2");
    let shares = shares(&pool, 4_000);
    assert!(!shares.contains_key("2"));
    for (id, share) in shares {
        assert!((share - 0.25).abs() < 0.01, "{id}: {share}");
    }
}

#[test]
fn least_request_and_peak_ewma_avoid_whoever_is_busy() {
    for policy in [Policy::LeastRequest, Policy::PeakEwma] {
        let pool = pool(policy.clone(), &[1; 4]);
        let mut busy = Vec::new();
        while busy.iter().filter(|it| index(it) == 0).count() < 50 {
            busy.push(pool.try_acquire().unwrap());
        }
        busy.retain(|it| index(it) == 0);
        let shares = shares(&pool, 4_000);
        // Both that are drawn would have to be the same one.
        assert!(!shares.contains_key("0"), "{policy:?}: {shares:?}");
    }
}

#[test]
fn peak_ewma_shuns_at_once_whoever_was_slow_once() {
    let time = ManualClock::new();
    let pool = pool_at(&time, Policy::PeakEwma, &[1; 3]);
    for call in 0..300 {
        let mut picked = pool.try_acquire().unwrap();
        let slow = call == 290;
        time.advance(Duration::from_millis(if slow { 500 } else { 5 }));
        picked.answered();
        let shunned = picked.id().to_string();
        picked.record(Outcome::Success);
        if slow {
            time.advance(Duration::from_millis(2));
            let shares = shares(&pool, 300);
            assert!(!shares.contains_key(&shunned), "{shares:?}");
            return;
        }
    }
}

#[test]
fn to_change_the_policy_of_a_live_pool_loses_nothing() {
    let pool = pool(Policy::ExpectedCost, &[1; 3]);
    shares(&pool, 100);
    pool.handle().eject("1");
    let held = pool.try_acquire().unwrap();
    for policy in policies() {
        let config = pool.handle().config().policy(policy.clone());
        let before = pool.handle().snapshot();
        pool.handle().reconfigure(config).unwrap();
        let after = pool.handle().snapshot();
        assert_eq!(after.policy, policy.as_str());
        for (before, after) in before.endpoints.iter().zip(&after.endpoints) {
            assert_eq!(before.outcomes, after.outcomes);
            assert_eq!(before.state, after.state);
            assert_eq!(before.in_flight, after.in_flight);
            assert_eq!(before.latency, after.latency);
        }
        assert!(!shares(&pool, 50).contains_key("1"));
    }
    held.record(Outcome::Success);
}

#[test]
fn of_weight_0_an_endpoint_is_drained_and_with_another_it_is_back() {
    let pool = pool(Policy::ExpectedCost, &[1, 1]);
    let mut events = pool.handle().subscribe();
    pool.handle().update(endpoints(&[0, 1])).unwrap();
    let drained = pool.handle().snapshot();
    assert_eq!(
        drained.endpoint("0").unwrap().state,
        EndpointState::Draining
    );
    assert_eq!(shares(&pool, 100).len(), 1);
    // Not even where nobody else is left, nor by hand.
    pool.handle().drain("1");
    pool.handle().restore("0");
    assert!(pool.try_acquire().is_none());
    pool.handle().restore("1");
    pool.handle().update(endpoints(&[1, 1])).unwrap();
    assert_eq!(shares(&pool, 100).len(), 2);
    let mut told = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        if event.endpoint.as_ref() == "0" {
            told.push((event.verdict.rule.to_string(), event.change));
        }
    }
    let change = |from, to| Change::Transition { from, to };
    let (active, draining) = (EndpointState::Active, EndpointState::Draining);
    assert_eq!(
        told,
        [
            ("weight".to_owned(), change(active, draining)),
            ("weight".to_owned(), change(draining, active))
        ]
    );
}

#[test]
fn where_all_are_of_weight_0_there_is_nobody_and_no_policy_minds() {
    for policy in policies() {
        assert!(
            pool(policy.clone(), &[0, 0, 0])
                .try_acquire_for(1)
                .is_none()
        );
        assert!(pool(policy, &[]).try_acquire().is_none());
    }
}

/// Of more endpoints than are looked at whole, one after the other answers after 5 ms, and the first after `slow`.
/// Returns how many of `calls` the first one took.
fn taken_by_first(time: &ManualClock, pool: &Pool, calls: u32, slow: u64) -> u32 {
    let mut taken = 0;
    for _ in 0..calls {
        let mut picked = pool.try_acquire().unwrap();
        let first = index(&picked) == 0;
        taken += u32::from(first);
        time.advance(Duration::from_millis(if first { slow } else { 5 }));
        picked.answered();
        picked.record(Outcome::Success);
    }
    taken
}

#[test]
fn in_a_large_pool_who_was_slow_is_shunned_and_has_its_share_again_when_it_is_not() {
    let time = ManualClock::new();
    let pool = pool_at(&time, Policy::ExpectedCost, &[1; 60]);
    taken_by_first(&time, &pool, 3_000, 5);
    let slow = taken_by_first(&time, &pool, 3_000, 500);
    assert!(slow < 15, "{slow} of 50");
    taken_by_first(&time, &pool, 12_000, 5);
    let again = taken_by_first(&time, &pool, 6_000, 5);
    assert!((70..130).contains(&again), "{again} of 100");
}

#[test]
fn in_a_large_pool_nobody_is_picked_of_whom_a_signal_speaks_ill() {
    let (time, signal) = (ManualClock::new(), HealthSignal::new());
    let pool = pool_at(&time, Policy::ExpectedCost, &[1; 600]);
    let mut list = endpoints(&[1; 600]);
    for endpoint in &mut list[..250] {
        *endpoint = endpoint.clone().signal(signal.clone());
    }
    pool.handle().update(list).unwrap();
    let taken = |calls| (0..calls).filter(|_| index(&pool.try_acquire().unwrap()) < 250);
    assert!(taken(100).count() > 0);
    signal.publish(HealthStatus::Unhealthy);
    time.advance(Duration::from_secs(1));
    assert_eq!(taken(1_000).count(), 0);
}
