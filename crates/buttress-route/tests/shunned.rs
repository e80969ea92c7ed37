//! Why an endpoint that is in is given next to nothing is said at every moment, and told once it has lasted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod common;

use std::cell::RefCell;
use std::time::Duration;

use buttress_route::{Endpoint, EndpointSnapshot, EndpointState, Policy, PoolSnapshot};
use common::{Does, Hosts, policies};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// By which rule the first endpoint is shunned.
fn why(pool: &Hosts) -> Option<String> {
    let shown = pool.shown();
    let verdict = shown.endpoints[0].shunned.as_ref();
    verdict.map(|verdict| verdict.rule.to_string())
}

/// How often any was told to be.
fn told(pool: &Hosts) -> u64 {
    let endpoints = pool.shown().endpoints;
    let told = endpoints.iter().flat_map(|it| it.shunnings.clone());
    told.map(|(_, count)| count).sum()
}

#[test]
fn the_reason_is_said_from_the_first_late_answer_on_and_told_after_two_seconds() {
    let mut pool = Hosts::new(4, Does::Well, false, |config| config);
    pool.load(SECOND * 5, 2, |_| ());
    assert_eq!((why(&pool), told(&pool)), (None, 0));
    pool.all[0].set(Does::Slow(20));
    let mut slow = 0;
    pool.load(SECOND / 4, 2, |pool| {
        slow += u32::from(why(pool).is_some());
    });
    assert!(slow > 100, "at {slow} of 250 looks");
    assert_eq!(told(&pool), 0);
    pool.load(SECOND * 2, 2, |_| ());
    assert_eq!(told(&pool), 1);
    pool.load(SECOND * 10, 2, |_| ());
    assert_eq!(told(&pool), 1, "it is told once");
}

#[test]
fn who_takes_six_times_as_long_is_shunned_also_where_the_others_have_so_much_to_do_that_it_is_asked()
 {
    let mut pool = Hosts::new(2, Does::Well, false, |config| config);
    pool.load(SECOND * 2, 1, |_| ());
    pool.all[0].set(Does::Slow(6));
    pool.load(SECOND * 15, 1, |_| ());
    let picks = |pool: &Hosts| pool.shown().endpoints[0].picks;
    let before = picks(&pool);
    pool.load(SECOND * 3, 1, |_| ());
    let share = (picks(&pool) - before) as f64 / 3_000.0;
    assert!((0.01..0.1).contains(&share), "{share}");
    assert_eq!((why(&pool).as_deref(), told(&pool)), (Some("slow"), 1));
}

#[test]
fn of_hosts_that_are_well_and_now_and_then_take_long_one_is_told_in_two_thousand_requests_at_most()
{
    for copies in [false, true] {
        for (hosts, every) in [(3, 1), (3, 5), (10, 2), (20, 5)] {
            let mut pool = Hosts::new(hosts, Does::Heavy(100), copies, |config| config);
            pool.load(Duration::from_secs(20) * every, every, |_| ());
            let told = told(&pool);
            assert!(told <= 10, "{hosts}, {every}, {copies}: {told} of 20,000");
        }
    }
}

#[test]
fn a_policy_that_heeds_no_cost_shuns_nobody() {
    for policy in policies() {
        let heeds = matches!(policy, Policy::ExpectedCost | Policy::PeakEwma);
        let name = policy.as_str();
        let mut pool = Hosts::new(4, Does::Well, false, |config| config.policy(policy));
        pool.load(SECOND, 2, |_| ());
        pool.all[0].set(Does::Slow(20));
        pool.load(SECOND * 5, 2, |_| ());
        assert_eq!(why(&pool).is_some(), heeds, "{name}");
        assert_eq!(told(&pool) > 0, heeds, "{name}");
    }
}

#[test]
fn who_stands_by_farther_away_is_not_shunned_whether_it_is_asked_or_not() {
    let mut pool = Hosts::new(4, Does::Well, false, |config| config);
    let endpoints = pool.all.iter().enumerate().map(|(nth, host)| {
        let endpoint = Endpoint::new(nth.to_string(), host.clone());
        endpoint.priority(u8::from(nth < 2))
    });
    pool.handle.update(endpoints.collect::<Vec<_>>()).unwrap();
    (pool.all[..2].iter()).for_each(|host| host.set(Does::Slow(20)));
    let shares = || {
        let shares: Vec<f64> = pool.shown().levels.iter().map(|it| it.share).collect();
        (shares[0], shares[1])
    };
    assert_eq!(shares(), (1.0, 0.0));
    for (out, asked) in [(None, false), (Some("3"), true)] {
        if let Some(id) = out {
            pool.handle.eject(id);
        }
        pool.load(SECOND * 5, 2, |_| ());
        let shown = pool.shown();
        assert_eq!(shown.levels[1].share > 0.0, asked);
        assert!(shown.endpoints.iter().all(|it| it.shunned.is_none()));
        assert_eq!(told(&pool), 0);
    }
}

/// A host turns so, at a second.
type Fault = (u64, usize, Does);

fn fault() -> impl Strategy<Value = Fault> {
    let does = prop_oneof![
        Just(Does::Well),
        (2_u32..40).prop_map(Does::Slow),
        (20_usize..200).prop_map(Does::Heavy),
        (1_usize..100).prop_map(Does::Fails),
        Just(Does::Limits),
        Just(Does::Hangs),
    ];
    (2_u64..20, 0_usize..8, does)
}

/// What readers saw of one endpoint within a second.
#[derive(Default)]
struct Seen {
    looks: u32,
    /// Looks that told a reason, and those at which it was shunned.
    explained: u32,
    shunned: u32,
    picks: u64,
}

/// Whether anything but being shunned keeps requests from it, such as what it has in flight.
fn has_another_reason(endpoint: &EndpointSnapshot, pool: &PoolSnapshot) -> bool {
    let out = endpoint.state != EndpointState::Active;
    let is_cheaper = |other: &EndpointSnapshot| other.cost < endpoint.cost;
    let is_busy = endpoint.in_flight > 0 && pool.endpoints.iter().any(is_cheaper);
    out || endpoint.suspect || endpoint.given < 1.0 || pool.in_turn > 0.0 || is_busy
}

fn look(pool: &Hosts, seen: &mut [Seen]) {
    let shown = pool.shown();
    for (endpoint, seen) in shown.endpoints.iter().zip(seen) {
        let shunned = endpoint.shunned.is_some();
        seen.looks += 1;
        seen.shunned += u32::from(shunned);
        seen.explained += u32::from(shunned || has_another_reason(endpoint, &shown));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Second by second: who is asked for less than a twentieth of what it would be were all alike says why at most looks, and who says
    /// at every look that it is shunned is asked for less than a quarter.
    #[test]
    fn whoever_is_given_next_to_nothing_says_why_and_whoever_says_so_is(
        hosts in 2_usize..8,
        every in 1_u32..8,
        copies: bool,
        faults in proptest::collection::vec(fault(), 1..6),
    ) {
        let mut pool = Hosts::new(hosts, Does::Well, copies, |config| config);
        for second in 0..25 {
            for (_, host, does) in faults.iter().filter(|it| it.0 == second) {
                pool.all[host % hosts].set(*does);
            }
            // Copies look at who is shunned.
            let picks = |pool: &Hosts| -> Vec<u64> {
                let shown = pool.shown();
                let by_users = |it: &EndpointSnapshot| {
                    it.picks - it.probes.iter().map(|(_, count)| count).sum::<u64>()
                };
                shown.endpoints.iter().map(by_users).collect()
            };
            let before = picks(&pool);
            let seen = RefCell::new((0..hosts).map(|_| Seen::default()).collect::<Vec<_>>());
            pool.load(SECOND, every, |pool| look(pool, &mut seen.borrow_mut()));
            let mut seen = seen.into_inner();
            for ((seen, before), now) in seen.iter_mut().zip(before).zip(picks(&pool)) {
                seen.picks = now.saturating_sub(before);
            }
            let fair = seen.iter().map(|it| it.picks).sum::<u64>() as f64 / hosts as f64;
            for (id, seen) in seen.iter().enumerate() {
                let share = seen.picks as f64 / fair;
                let shown = pool.shown();
                let endpoint = &shown.endpoints[id];
                prop_assert!(
                    share >= 0.05 || seen.explained * 2 > seen.looks,
                    "{second}: {id} has {share} of its share, and said why at {} of {} looks: {endpoint:?}",
                    seen.explained, seen.looks
                );
                prop_assert!(
                    seen.shunned < seen.looks || share < 0.25 || seen.picks <= 3,
                    "{second}: {id} is shunned, and has {share} of its share, {}: {endpoint:?}",
                    seen.picks
                );
            }
        }
    }
}
