//! By what is picked: each policy keeps to its rule, none picks what takes no traffic, and to change it loses nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_route::{
    Acquired, Affinity, Change, Config, Endpoint, EndpointState, HealthRouter, Pick, Policy, View,
};
use proptest::prelude::*;

type Pool = HealthRouter<()>;

const HASH: Policy = Policy::ConsistentHash { bound: 1.25 };
const UNBOUNDED: Policy = Policy::ConsistentHash {
    bound: f64::INFINITY,
};

fn policies() -> [Policy; 7] {
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
fn a_key_stays_with_its_endpoint_whatever_others_do() {
    let pool = pool(HASH, &[1, 2, 3, 1, 5]);
    let home = |key| pool.try_acquire_for(key).unwrap().id().clone();
    let homes: Vec<_> = (0..200).map(home).collect();
    assert_eq!(homes, (0..200).map(home).collect::<Vec<_>>());
}

#[test]
fn a_key_that_everybody_asks_for_overflows_in_a_pool_too_large_to_be_counted() {
    let time = ManualClock::new();
    let pool = pool_at(&time, HASH, &[1; 100]);
    let (mut held, mut in_flight) = (Vec::new(), vec![0_u32; 100]);
    for _ in 0..1_000 {
        let picked = pool.try_acquire_for(7).unwrap();
        in_flight[index(&picked)] += 1;
        held.push(picked);
        time.advance(Duration::from_millis(1));
    }
    // A quarter more than the mean, and the one that is sent.
    assert!(in_flight.iter().all(|it| *it <= 14), "{in_flight:?}");
    let homes = in_flight.iter().filter(|it| **it > 0).count();
    assert!(homes >= 72, "{homes}");
}

#[test]
fn the_key_is_taken_from_the_request_as_the_configuration_says() {
    use http::{HeaderName, Request, Response};
    use tower::{Service as _, service_fn};
    let answer = |name: &'static str| {
        let answer = move |_: Request<()>| async move {
            Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(
                bytes::Bytes::from(name),
            )))
        };
        Endpoint::new(name, service_fn(answer))
    };
    let config = Config::new("test")
        .policy(HASH)
        .affinity(Affinity::header(HeaderName::from_static("x-user")))
        .picked(true);
    let mut router = HealthRouter::new(config, ["a", "b", "c", "d"].map(answer)).unwrap();
    let mut seen = BTreeMap::new();
    for call in 0..400 {
        let user = call % 40;
        let request = Request::builder().header("x-user", user);
        let mut response = tokio_test::task::spawn(router.call(request.body(()).unwrap()));
        let response = tokio_test::assert_ready!(response.poll()).unwrap();
        let picked: &buttress_route::Picked = response.extensions().get().unwrap();
        let home = seen.entry(user).or_insert_with(|| picked.clone());
        assert_eq!(home, picked, "user {user}");
    }
    let homes: std::collections::BTreeSet<_> = seen.into_values().collect();
    assert_eq!(homes.len(), 4);
}

#[test]
fn a_request_without_a_key_goes_wherever_the_cost_is_least() {
    let pool = pool(HASH, &[1; 4]);
    let mut ids = BTreeMap::new();
    for _ in 0..400 {
        let picked = pool.try_acquire().unwrap();
        *ids.entry(picked.id().to_string()).or_insert(0) += 1;
        picked.record(Outcome::Ignored);
    }
    assert_eq!(ids.len(), 4, "{ids:?}");
}

#[derive(Debug)]
struct Says(Option<usize>);

impl Pick for Says {
    fn pick(&self, view: &View<'_>) -> Option<usize> {
        assert!(view.key() != Some(u64::MAX), "nobody has that key");
        self.0
    }
}

#[test]
fn a_policy_of_ones_own_decides_and_one_that_knows_nobody_is_helped() {
    let custom = |index| Policy::Custom(Arc::new(Says(index)));
    assert_eq!(
        shares(&pool(custom(Some(2)), &[1; 4]), 10)["2"].round(),
        1.0
    );
    for nobody in [None, Some(7)] {
        assert_eq!(shares(&pool(custom(nobody), &[1; 4]), 1_000).len(), 4);
    }
    let out = pool(custom(Some(2)), &[1; 4]);
    out.handle().eject("2");
    let shares = shares(&out, 1_000);
    assert!(shares.len() == 3 && !shares.contains_key("2"));
}

#[test]
fn a_policy_that_panics_harms_its_own_request_alone() {
    let pool = pool(Policy::Custom(Arc::new(Says(Some(0)))), &[1; 2]);
    let unlucky = catch_unwind(AssertUnwindSafe(|| {
        pool.try_acquire_for(u64::MAX).is_some()
    }));
    assert!(unlucky.is_err());
    assert!(pool.try_acquire_for(14).is_some());
    let snapshot = pool.handle().snapshot();
    assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
}

#[test]
fn what_custom_policies_are_told_is_what_is_so() {
    #[derive(Debug)]
    struct Looks;
    impl Pick for Looks {
        fn pick(&self, view: &View<'_>) -> Option<usize> {
            assert_eq!((view.len(), view.open().count()), (3, 2));
            assert!((view.ejected() - 1.0 / 3.0).abs() < 1e-9);
            let candidate = view.get(0).unwrap();
            assert_eq!(candidate.metadata()["zone"].as_ref(), "a");
            assert_eq!((candidate.weight(), candidate.in_flight()), (2, 0));
            assert!(candidate.cost() > 0.0);
            // What is taken of one that has shown nothing.
            assert!((candidate.latency() - 10e6).abs() < 1e3);
            Some(0)
        }
    }
    let mut list = endpoints(&[2, 1, 1]);
    list[0] = list[0].clone().metadata("zone", "a");
    let config = Config::new("test").policy(Policy::Custom(Arc::new(Looks)));
    let pool = HealthRouter::new(config, list).unwrap();
    pool.handle().eject("2");
    assert_eq!(pool.try_acquire().unwrap().id().as_ref(), "0");
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
