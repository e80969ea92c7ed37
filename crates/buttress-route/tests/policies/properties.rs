//! What every policy keeps to, whatever the pool.

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_route::{Acquired, EndpointState, Policy};
use proptest::prelude::*;

use super::{Pool, UNBOUNDED, endpoints, index, policies, pool, pool_at, shares};

fn homes(pool: &Pool, keys: u64) -> Vec<String> {
    let home = |key| pool.try_acquire_for(key).unwrap().id().to_string();
    (0..keys).map(home).collect()
}

/// What each would be given in the long run, were all alike.
fn fair_shares<'a>(policy: &Policy, weights: &'a [u32]) -> impl Iterator<Item = f64> + use<'a> {
    let heeded = !matches!(policy, Policy::Random);
    let weight = move |weight: &u32| if heeded { f64::from(*weight) } else { 1.0 };
    let total: f64 = weights.iter().map(weight).sum();
    weights.iter().map(move |it| weight(it) / total)
}

/// Who takes the call and answers it after 5 ms: well, unless it is `ill` and slow (1) or failing.
fn answered(time: &ManualClock, pool: &Pool, key: u64, ill: &[(usize, u8)]) -> usize {
    let mut picked = pool.try_acquire_for(key).unwrap();
    let index = index(&picked);
    let ill = ill.iter().find(|it| it.0 == index).map(|it| it.1);
    let slow = ill == Some(1);
    time.advance(Duration::from_millis(if slow { 100 } else { 5 }));
    picked.answered();
    picked.record(match ill {
        None | Some(1) => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Answer),
    });
    index
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_policy_picks_what_takes_no_traffic_while_another_does(
        weights in proptest::collection::vec(0..4_u32, 2..40),
        out in proptest::collection::vec(0..40_usize, 0..20),
        which in 0..7_usize,
    ) {
        let pool = pool(policies()[which].clone(), &weights);
        for index in out {
            pool.handle().eject(&index.to_string());
        }
        let snapshot = pool.handle().snapshot();
        let open = |id: &str| snapshot.endpoint(id).unwrap().state == EndpointState::Active;
        prop_assume!(snapshot.endpoints.iter().any(|it| it.state == EndpointState::Active));
        for (id, _) in shares(&pool, 200) {
            prop_assert!(open(&id), "{id}");
        }
    }

    /// Whatever comes or goes, keys move to what comes or from what goes, and nowhere else.
    #[test]
    fn a_change_of_membership_moves_the_keys_of_whoever_changed_and_no_others(
        weights in proptest::collection::vec(1..5_u32, 2..30),
        gone in 0..30_usize,
    ) {
        const KEYS: u64 = 2_000;
        let gone = gone % weights.len();
        let pool = pool(UNBOUNDED, &weights);
        let before = homes(&pool, KEYS);
        let mut without = endpoints(&weights);
        without.remove(gone);
        pool.handle().update(without).unwrap();
        let meanwhile = homes(&pool, KEYS);
        for (before, meanwhile) in before.iter().zip(&meanwhile) {
            prop_assert_eq!(before != meanwhile, *before == gone.to_string());
        }
        let moved = before.iter().filter(|it| **it == gone.to_string()).count() as f64;
        let fair = f64::from(weights[gone]) / f64::from(weights.iter().sum::<u32>());
        prop_assert!(moved / KEYS as f64 <= fair * 1.5 + 0.02, "{} of {}", moved, fair);
        pool.handle().update(endpoints(&weights)).unwrap();
        prop_assert_eq!(before, homes(&pool, KEYS));
    }

    /// However few keys there are, nobody has more in flight than the bound lets it.
    #[test]
    fn bounded_loads_are_bounded(
        weights in proptest::collection::vec(1..5_u32, 1..20),
        keys in proptest::collection::vec(0..3_u64, 1..200),
        bound in 1.0..3.0_f64,
    ) {
        let pool = pool(Policy::ConsistentHash { bound }, &weights);
        let total: u32 = weights.iter().sum();
        let (mut held, mut in_flight) = (Vec::new(), vec![0_u32; weights.len()]);
        for key in keys {
            let picked = pool.try_acquire_for(key).unwrap();
            in_flight[index(&picked)] += 1;
            held.push(picked);
            let (weight, now) = (weights[index(&held[held.len() - 1])], held.len() as f64);
            let most = (bound * now * f64::from(weight) / f64::from(total)).ceil();
            prop_assert!(f64::from(in_flight[index(&held[held.len() - 1])]) <= most);
        }
    }

    /// Failures, ejections and drains while requests are in flight: a place that is taken comes back, and no
    /// more are out than the budget bears.
    #[test]
    fn every_policy_keeps_to_the_budget_and_gives_places_back(
        events in proptest::collection::vec((0..6_u8, 0..40_usize), 1..300),
        which in 0..7_usize,
    ) {
        let time = ManualClock::new();
        let pool = pool_at(&time, policies()[which].clone(), &[1; 6]);
        let mut held = Vec::new();
        for (event, number) in events {
            match event {
                0..=2 => held.extend(pool.try_acquire_for(number as u64)),
                3 if !held.is_empty() => {
                    let picked: Acquired<()> = held.swap_remove(number % held.len());
                    let bad = index(&picked) < 4;
                    picked.record(if bad { Outcome::Failure(FailureKind::Answer) } else { Outcome::Success });
                }
                4 if !held.is_empty() => drop(held.swap_remove(0)),
                _ => time.advance(Duration::from_millis(number as u64 * 50)),
            }
            let snapshot = pool.handle().snapshot();
            let out = |state| !matches!(state, EndpointState::Active);
            let out = snapshot.endpoints.iter().filter(|it| out(it.state)).count();
            prop_assert!(out <= 3, "{out}");
        }
        drop(held);
        let snapshot = pool.handle().snapshot();
        prop_assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
    }
}

proptest! {
    // Each case is thousands of calls.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// All answer alike.
    #[test]
    fn whatever_the_weights_each_has_its_share_in_the_long_run(
        weights in proptest::collection::vec(1..6_u32, 2..50),
        which in 0..7_usize,
    ) {
        const CALLS: u32 = 15_000;
        let time = ManualClock::new();
        let policy = policies()[which].clone();
        let pool = pool_at(&time, policy.clone(), &weights);
        let mut taken = vec![0_u32; weights.len()];
        for call in 0..CALLS {
            taken[answered(&time, &pool, call.into(), &[])] += 1;
        }
        for (taken, fair) in taken.iter().zip(fair_shares(&policy, &weights)) {
            let expected = fair * f64::from(CALLS);
            let off = (f64::from(*taken) - expected).abs();
            // A tenth, and five deviations of what is drawn by chance.
            let allowed = expected * 0.1 + 5.0 * expected.sqrt();
            prop_assert!(off <= allowed, "{} instead of {} of {:?}", taken, expected, weights);
        }
    }

    /// Whatever the others do, and whoever of them is out.
    #[test]
    fn an_endpoint_that_is_in_and_well_is_never_left_out_for_long(
        weights in proptest::collection::vec(1..5_u32, 2..50),
        ill in proptest::collection::vec((0..50_usize, 0..3_u8), 0..25),
        which in 0..7_usize,
    ) {
        let time = ManualClock::new();
        let policy = policies()[which].clone();
        let pool = pool_at(&time, policy.clone(), &weights);
        let is_well = |index: usize| ill.iter().all(|it| it.0 != index);
        prop_assume!((0..weights.len()).any(is_well));
        for (index, _) in ill.iter().filter(|it| it.1 == 0) {
            pool.handle().eject(&index.to_string());
        }
        let fair: Vec<f64> = fair_shares(&policy, &weights).collect();
        let mut last = vec![0_u32; weights.len()];
        for call in 1..10_000 {
            last[answered(&time, &pool, call.into(), &ill)] = call;
            let is_left_out = |it: &usize| f64::from(call - last[*it]) > 25.0 / fair[*it];
            let left_out = (0..weights.len()).find(|it| is_well(*it) && is_left_out(it));
            prop_assert_eq!(left_out, None, "{:?}", weights);
        }
    }
}
