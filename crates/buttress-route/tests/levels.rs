//! Priorities and localities: who is asked first, what overflows, and that somebody is always asked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

use std::time::Duration;

use buttress_core::circuit::{Ramp, Settings, Step};
use buttress_core::clock::ManualClock;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_route::{Config, Endpoint, EndpointState, HealthRouter, Policy};
use proptest::prelude::*;

struct Pool {
    time: ManualClock,
    router: HealthRouter<()>,
}

impl Pool {
    /// Endpoints of these priorities and localities, named by their index.
    fn new(endpoints: &[(u8, &str)], configure: impl FnOnce(Config) -> Config) -> Self {
        let time = ManualClock::new();
        let config = Config::new("test").clock(time.clock()).rng(Rng::seeded(9));
        let endpoint = |(index, (priority, locality)): (usize, &(u8, &str))| {
            let endpoint = Endpoint::new(index.to_string(), ()).priority(*priority);
            endpoint.locality(*locality)
        };
        let endpoints = endpoints.iter().enumerate().map(endpoint);
        let router = HealthRouter::new(configure(config), endpoints).unwrap();
        Self { time, router }
    }

    fn eject(&self, endpoints: impl IntoIterator<Item = usize>) {
        for endpoint in endpoints {
            assert!(self.router.handle().eject(&endpoint.to_string()));
        }
    }

    fn restore(&self, endpoints: impl IntoIterator<Item = usize>) {
        for endpoint in endpoints {
            assert!(self.router.handle().restore(&endpoint.to_string()));
        }
    }

    /// The share of requests that endpoints of so many first places take.
    fn share_of_first(&self, first: usize) -> f64 {
        const CALLS: u32 = 10_000;
        // What is known of the pool as a whole is a millisecond old at most.
        self.time.advance(Duration::from_millis(2));
        let mut taken = 0;
        for _ in 0..CALLS {
            let picked = self.router.try_acquire().unwrap();
            let index: usize = picked.id().parse().unwrap();
            taken += u32::from(index < first);
            picked.record(Outcome::Success);
        }
        f64::from(taken) / f64::from(CALLS)
    }
}

/// So many of priority 0, then as many of priority 1.
fn two_priorities(each: usize) -> Vec<(u8, &'static str)> {
    let first = std::iter::repeat_n((0, ""), each);
    first.chain(std::iter::repeat_n((1, ""), each)).collect()
}

#[test]
fn each_is_reached_through_its_own_service_in_whatever_order_they_are_given() {
    let endpoint = |(name, priority)| Endpoint::new(name, name).priority(priority);
    let given = [("c", 1), ("a", 0), ("d", 2), ("b", 0)].map(endpoint);
    let config = Config::new("test").rng(Rng::seeded(9));
    let router = HealthRouter::new(config, given).unwrap();
    let handle = router.handle();
    for out in ["", "a", "b", "c", "d"] {
        handle.eject(out);
        for _ in 0..20 {
            let mut picked = router.try_acquire().unwrap();
            assert_eq!(picked.id().to_string(), *picked.service());
            picked.record(Outcome::Success);
        }
    }
    handle.reconfigure(handle.config()).unwrap();
    let mut picked = router.try_acquire().unwrap();
    assert_eq!(picked.id().to_string(), *picked.service());
}

#[test]
fn the_first_priority_takes_all_while_it_has_capacity_to_spare_and_then_what_it_bears() {
    let pool = Pool::new(&two_priorities(10), |config| {
        let circuit = Settings::default().ramp(None);
        config.max_ejected(1.0).circuit(circuit)
    });
    assert_eq!(pool.share_of_first(10), 1.0);
    pool.eject(0..2);
    assert_eq!(pool.share_of_first(10), 1.0, "80 % bear 112 %");
    pool.eject(2..5);
    let half = pool.share_of_first(10);
    assert!((half - 0.7).abs() < 0.02, "{half}");
    let levels = pool.router.handle().snapshot().levels;
    assert!((levels[0].share - 0.7).abs() < 1e-9 && (levels[1].share - 0.3).abs() < 1e-9);
    pool.eject(5..10);
    assert_eq!(pool.share_of_first(10), 0.0);
    pool.restore(0..10);
    assert_eq!(pool.share_of_first(10), 1.0);
}

#[test]
fn whoever_rises_alone_on_its_level_bears_what_it_is_ready_for_and_the_next_level_the_rest() {
    let step = Duration::from_secs(1);
    let pool = Pool::new(&two_priorities(1), |config| {
        let steps = [0.1, 0.5].map(|share| Step::new(share, step, 5));
        let circuit = Settings::default().ramp(Some(Ramp::new(steps)));
        config.max_ejected(1.0).circuit(circuit)
    });
    assert_eq!(pool.share_of_first(1), 1.0);
    pool.eject([0]);
    assert_eq!(pool.share_of_first(1), 0.0);
    pool.restore([0]);
    let share = || {
        let share = pool.share_of_first(1);
        pool.time.advance(step);
        share
    };
    let first = share();
    assert!((first - 0.14).abs() < 0.02, "{first}");
    // Whoever is picked first finds out that a step is over.
    let then = [share(), share(), share(), share()];
    assert!(
        then.iter().any(|share| (share - 0.7).abs() < 0.05),
        "{then:?}"
    );
    assert_eq!(then[3], 1.0);
}

#[test]
fn a_deployment_that_replaces_a_level_sends_nothing_to_the_next_one() {
    let elsewhere = 9;
    let endpoints = |first: [usize; 2]| {
        let endpoint = |index: usize| {
            let priority = u8::from(index == elsewhere);
            Endpoint::new(index.to_string(), ()).priority(priority)
        };
        first.into_iter().chain([elsewhere]).map(endpoint)
    };
    let pool = Pool::new(&[], |config| config);
    let update = |first| pool.router.handle().update(endpoints(first)).unwrap();
    update([0, 1]);
    assert_eq!(pool.share_of_first(elsewhere), 1.0);
    update([2, 3]);
    assert_eq!(pool.share_of_first(elsewhere), 1.0);
    // And where a step takes long for want of answers.
    update([4, 5]);
    for _ in 0..20 {
        let picked = pool.router.try_acquire().unwrap();
        assert_ne!(**picked.id(), *"9");
        picked.record(Outcome::Success);
        pool.time.advance(Duration::from_secs(60));
    }
}

#[test]
fn who_was_out_and_is_seldom_asked_bears_all_of_its_level_after_ten_times_its_ramp() {
    // All are looked at each time, or some of them.
    for others in [1, 300] {
        let endpoints: Vec<_> = [(0, "")]
            .into_iter()
            .chain(std::iter::repeat_n((1, ""), others))
            .collect();
        let pool = Pool::new(&endpoints, |config| config.max_ejected(1.0));
        pool.eject([0]);
        assert_eq!(pool.share_of_first(1), 0.0);
        pool.restore([0]);
        for _ in 0..20 {
            // Three steps of 0.6 s.
            pool.time.advance(Duration::from_millis(18_001));
            let picked = pool.router.try_acquire().unwrap();
            assert_eq!(**picked.id(), *"0", "{others}");
            drop(picked);
        }
    }
}

/// How often endpoints of a level were drawn since it was asked last: each draw takes a turn of `rng`, which `seen` follows.
fn draws(rng: &Rng, seen: &Rng) -> usize {
    let next = rng.turn(0, usize::MAX);
    let taken = (0..100_000).position(|_| seen.turn(0, usize::MAX) == next);
    taken.unwrap()
}

#[test]
fn who_stands_by_idle_makes_nobody_dear_and_one_draw_does_for_a_pick_however_busy_a_level_is() {
    for (priority, locality) in [(1, ""), (0, "eu/b")] {
        let mut endpoints = vec![(0, "eu/a"); 20];
        endpoints.extend(vec![(priority, locality); 180]);
        let rng = Rng::seeded(3);
        let with = rng.clone();
        let pool = Pool::new(&endpoints, |config| config.rng(with).locality("eu/a"));
        let held: Vec<_> = (0..800)
            .map(|_| pool.router.try_acquire().unwrap())
            .collect();
        pool.time.advance(Duration::from_millis(2));
        let pick = || pool.router.try_acquire().unwrap().record(Outcome::Success);
        pick();
        let seen = Rng::seeded(3);
        draws(&rng, &seen);
        (0..1_000).for_each(|_| pick());
        assert_eq!(draws(&rng, &seen), 1_000);
        drop(held);
    }
}

#[test]
fn with_another_factor_less_is_borne() {
    let pool = Pool::new(&two_priorities(10), |config| {
        config.max_ejected(1.0).overprovisioning(1.0)
    });
    pool.eject(0..5);
    let half = pool.share_of_first(10);
    assert!((half - 0.5).abs() < 0.02, "{half}");
}

#[test]
fn of_one_priority_who_is_near_is_asked_first_and_priority_outranks_distance() {
    let endpoints = [
        (0, "eu/1a"),
        (0, "eu/1a"),
        (0, "eu/1b"),
        (0, "us/1a"),
        (1, "eu/1a"),
    ];
    let pool = Pool::new(&endpoints, |config| {
        config.locality("eu/1a").max_ejected(1.0)
    });
    assert_eq!(pool.share_of_first(2), 1.0);
    pool.eject(0..2);
    assert_eq!(pool.share_of_first(2), 0.0);
    assert_eq!(pool.share_of_first(3), 1.0, "the same region");
    pool.eject([2]);
    assert_eq!(
        pool.share_of_first(4),
        1.0,
        "another region before another priority"
    );
    pool.eject([3]);
    assert_eq!(pool.share_of_first(4), 0.0);
    let levels = pool.router.handle().snapshot().levels;
    let ranks: Vec<_> = levels.iter().map(|it| (it.priority, it.distance)).collect();
    assert_eq!(ranks, [(0, 0), (0, 1), (0, 2), (1, 0)]);
}

#[test]
fn a_snapshot_lists_endpoints_as_they_were_given_whatever_their_level() {
    let pool = Pool::new(&[(2, ""), (0, "b"), (1, ""), (0, "a")], |config| config);
    let snapshot = pool.router.handle().snapshot();
    let shown: Vec<_> = snapshot
        .endpoints
        .iter()
        .map(|it| (it.id.as_ref(), it.priority))
        .collect();
    assert_eq!(shown, [("0", 2), ("1", 0), ("2", 1), ("3", 0)]);
    assert_eq!(snapshot.endpoints[1].locality.as_deref(), Some("b"));
}

#[test]
fn while_one_lives_somebody_is_asked_unless_the_pool_fails_closed() {
    let pool = Pool::new(&two_priorities(2), |config| config.max_ejected(1.0));
    pool.eject(0..4);
    assert_eq!(
        pool.share_of_first(2),
        1.0,
        "the first level's, though it is out"
    );
    pool.router.handle().drain("0");
    pool.router.handle().drain("1");
    assert_eq!(pool.share_of_first(2), 0.0);
    let config = pool.router.handle().config().fail_closed(true);
    pool.router.handle().reconfigure(config).unwrap();
    assert!(pool.router.try_acquire().is_none());
    pool.restore([3]);
    assert!(pool.router.try_acquire().is_some());
}

#[test]
fn a_key_stays_on_its_level_and_as_many_keys_as_requests_go_to_the_next() {
    let hash = Policy::ConsistentHash { bound: 1.25 };
    let pool = Pool::new(&two_priorities(10), |config| {
        config.max_ejected(1.0).policy(hash)
    });
    pool.eject(0..5);
    pool.time.advance(Duration::from_millis(2));
    let home = |key| pool.router.try_acquire_for(key).unwrap().id().clone();
    let homes: Vec<_> = (0..5_000).map(home).collect();
    assert_eq!(homes, (0..5_000).map(home).collect::<Vec<_>>());
    let next = homes.iter().filter(|it| it.parse::<usize>().unwrap() >= 10);
    let next = next.count() as f64 / 5_000.0;
    assert!((next - 0.3).abs() < 0.03, "{next}");
}

#[test]
fn localities_can_be_changed_while_requests_are_under_way() {
    let pool = Pool::new(&[(0, "a"), (0, "b")], |config| config.locality("a"));
    let held = pool.router.try_acquire().unwrap();
    assert_eq!(pool.share_of_first(1), 1.0);
    let config = pool.router.handle().config().locality("b");
    pool.router.handle().reconfigure(config).unwrap();
    assert_eq!(pool.share_of_first(1), 0.0);
    held.record(Outcome::Success);
    let snapshot = pool.router.handle().snapshot();
    assert!(snapshot.endpoints.iter().all(|it| it.in_flight == 0));
}

/// How many of `priority` there are that are so.
fn of_priority(priorities: &[u8], priority: u8, is: impl Fn(usize) -> bool) -> usize {
    let all = priorities.iter().enumerate();
    all.filter(|(index, it)| **it == priority && is(*index))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Of whichever levels, in whatever order they fall ill.
    #[test]
    fn a_level_can_always_lose_its_own_share_and_the_pool_no_more_than_its(
        priorities in proptest::collection::vec(0..3_u8, 3..16),
        order in proptest::collection::vec(0..16_usize, 1..16),
        share in 0.1..1.0_f64,
    ) {
        let endpoints: Vec<_> = priorities.iter().map(|priority| (*priority, "")).collect();
        let pool = Pool::new(&endpoints, |config| config.max_ejected(share));
        let signals: Vec<_> = priorities.iter().map(|_| HealthSignal::new()).collect();
        let endpoint = |(index, priority): (usize, &u8)| {
            let endpoint = Endpoint::new(index.to_string(), ()).priority(*priority);
            endpoint.signal(signals[index].clone())
        };
        let all = priorities.iter().enumerate().map(endpoint);
        pool.router.handle().update(all).unwrap();
        let ill: Vec<usize> = order.into_iter().filter(|it| *it < priorities.len()).collect();
        for &index in &ill {
            signals[index].publish(HealthStatus::Unhealthy);
            pool.time.advance(Duration::from_millis(50));
            pool.router.try_acquire().unwrap().record(Outcome::Success);
        }
        let seen = pool.router.handle().snapshot();
        let is_out = |index: usize| seen.endpoints[index].state == EndpointState::Held;
        let out = (0..priorities.len()).filter(|it| is_out(*it)).count();
        prop_assert!(out <= seen.max_ejected);
        for priority in 0..3 {
            let of = |is: &dyn Fn(usize) -> bool| of_priority(&priorities, priority, is);
            let own = (of(&|_| true) as f64 * share).floor() as usize;
            let due = of(&|index| ill.contains(&index)).min(own);
            let only_one_is_left = out + 1 >= priorities.len();
            prop_assert!(of(&is_out) >= due || only_one_is_left, "{}: {:?}", priority, seen);
        }
    }

    #[test]
    fn whatever_is_out_a_request_goes_to_somebody_who_is_not_if_there_is_anybody(
        levels in proptest::collection::vec(0..4_u8, 1..30),
        out in proptest::collection::vec(0..30_usize, 0..30),
        round_robin: bool,
    ) {
        let endpoints: Vec<_> = levels.iter().map(|level| (*level, "")).collect();
        let policy = if round_robin { Policy::RoundRobin } else { Policy::ExpectedCost };
        let pool = Pool::new(&endpoints, |config| config.policy(policy));
        let out: Vec<_> = out.into_iter().filter(|it| *it < levels.len()).collect();
        pool.eject(out.iter().copied());
        for _ in 0..100 {
            let picked = pool.router.try_acquire();
            let index: usize = picked.unwrap().id().parse().unwrap();
            prop_assert!(!out.contains(&index) || (0..levels.len()).all(|it| out.contains(&it)));
        }
    }
}
