//! Every interleaving of two threads at one pool. CONTRIBUTING.md says how to run them.

#[path = "../../../tests/loom/mod.rs"]
mod shared;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Probing, Ramp, Settings, Step};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;

use crate::{
    Acquired, Config, Endpoint, EndpointSnapshot, EndpointState, FailureRate, HealthRouter, Pick,
    Policy, PoolSnapshot, Rules, View,
};
use EndpointState::{Active, Ejected, ForcedOut, Probing as Probed};
use shared::{explore, race};

const OPEN_FOR: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(16);
const BAD: Outcome = Outcome::Failure(FailureKind::Answer);

/// The endpoint whose number is the request's key, and the last one where there is no key.
#[derive(Debug)]
struct Aim;

impl Pick for Aim {
    fn pick(&self, view: &View<'_>) -> Option<usize> {
        let last = view.len() - 1;
        Some(view.key().map_or(last, |key| last.min(key as usize)))
    }
}

type Router = HealthRouter<()>;

fn endpoints(count: u8) -> impl Iterator<Item = Endpoint<()>> {
    (0..count).map(|index| Endpoint::new(index.to_string(), ()))
}

/// Endpoints that are thrown out at the first failure, as far as the budget goes, and let back by `needed` probes.
fn pool(time: &ManualClock, count: u8, max_ejected: f64, needed: u32) -> Router {
    pool_of(time, endpoints(count), max_ejected, needed)
}

fn pool_of(
    time: &ManualClock,
    endpoints: impl Iterator<Item = Endpoint<()>>,
    max_ejected: f64,
    needed: u32,
) -> Router {
    let circuit = Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .probing(Probing::Successes(NonZeroU32::new(needed).unwrap()))
        .probe_deadline(LEASE)
        .ramp(None);
    let config = Config::new("loom")
        .rules(Rules::none().consecutive_failures(NonZeroU32::MIN))
        .policy(Policy::Custom(Arc::new(Aim)))
        .max_ejected(max_ejected)
        .circuit(circuit)
        .clock(time.clock())
        .rng(Rng::seeded(1));
    HealthRouter::new(config, endpoints).unwrap()
}

/// A pool of three whose first endpoint is due a probe.
fn with_one_due(time: &ManualClock, needed: u32) -> Router {
    let router = pool(time, 3, 0.5, needed);
    to(&router, 0).record(BAD);
    assert_eq!(states(&router), [Ejected, Active, Active]);
    time.advance(OPEN_FOR);
    router
}

/// A request that is meant for this endpoint.
fn to(router: &Router, endpoint: u64) -> Acquired<()> {
    router.try_acquire_for(endpoint).unwrap()
}

/// A request that goes to the last endpoint unless it is a probe of another.
fn any(router: &Router) -> Acquired<()> {
    router.try_acquire().unwrap()
}

fn snapshot(router: &Router) -> PoolSnapshot {
    router.handle().snapshot()
}

fn first(router: &Router) -> EndpointSnapshot {
    snapshot(router).endpoints.swap_remove(0)
}

fn states(router: &Router) -> Vec<EndpointState> {
    let endpoints = snapshot(router).endpoints;
    endpoints.iter().map(|it| it.state).collect()
}

fn out(router: &Router) -> usize {
    states(router).iter().filter(|it| **it != Active).count()
}

fn probes<'a>(acquired: impl IntoIterator<Item = &'a Acquired<()>>) -> usize {
    let of_the_first = acquired.into_iter().filter(|it| &**it.id() == "0");
    of_the_first.count()
}

/// Nothing is in flight, and nobody is counted as out who is in or gone.
fn assert_at_rest(router: &Router) {
    let endpoints = snapshot(router).endpoints;
    assert!(endpoints.iter().all(|it| it.in_flight == 0));
    assert_eq!(router.handle().pool().shared.ledger.out(), out(router));
}

#[test]
fn of_two_requests_that_see_an_endpoint_due_one_probes_it() {
    explore(|| {
        let time = ManualClock::new();
        let router = with_one_due(&time, 2);
        let (theirs, ours) = race(&router, any, any);
        let acquired = [theirs, ours];
        assert_eq!(probes(&acquired), 1);
        assert_eq!(first(&router).in_flight, 1);
        assert_eq!(probes([&any(&router)]), 0, "there is one place");
        drop(acquired);
        let again = [any(&router), any(&router)];
        assert_eq!(probes(&again), 1, "the place came back once");
        drop(again);
        assert_at_rest(&router);
    });
}

#[test]
fn a_lease_that_runs_out_as_its_answer_comes_in_makes_room_for_one_and_no_more() {
    for (outcome, counts) in [(Outcome::Success, 1), (BAD, 0), (Outcome::Abandoned, 0)] {
        explore(move || {
            let time = ManualClock::new();
            let router = with_one_due(&time, 2);
            let late = any(&router);
            time.advance(LEASE);
            let (ours, ()) = race(&router, any, move |_| late.record(outcome));
            let others = [any(&router), any(&router)];
            assert_eq!(probes([&ours].into_iter().chain(&others)), 1);
            let shown = first(&router);
            assert_eq!((shown.state, shown.in_flight), (Probed, 1));
            [ours].into_iter().chain(others).for_each(drop);
            // What the late one showed has been counted once, or not at all.
            (counts..2).for_each(|_| any(&router).record(Outcome::Success));
            assert_eq!(states(&router), [Active; 3]);
            assert_at_rest(&router);
        });
    }
}

#[test]
fn a_probe_that_fails_as_another_asks_shuts_the_endpoint_for_both() {
    explore(|| {
        let time = ManualClock::new();
        let router = with_one_due(&time, 1);
        let probe = any(&router);
        assert_eq!(probes([&probe]), 1);
        let (other, ()) = race(&router, any, move |_| probe.record(BAD));
        assert_eq!(probes([&other]), 0);
        assert_eq!(states(&router), [Ejected, Active, Active]);
        drop(other);
        assert_at_rest(&router);
    });
}

#[test]
fn of_two_ejections_that_race_for_the_last_room_in_the_budget_one_is_held_back() {
    explore(|| {
        let time = ManualClock::new();
        let router = pool(&time, 3, 0.34, 1);
        let (one, other) = (to(&router, 0), to(&router, 1));
        race(&router, move |_| one.record(BAD), |_| other.record(BAD));
        assert_eq!(out(&router), 1);
        let shown = snapshot(&router).endpoints;
        let suppressed = |it: &EndpointSnapshot| it.suppressed.iter().map(|of| of.1).sum::<u64>();
        assert_eq!(shown.iter().map(suppressed).sum::<u64>(), 1);
        assert_at_rest(&router);
    });
}

/// Four, of which one may be out, for failing half of two calls.
fn with_room_for_one(time: &ManualClock) -> Router {
    let router = pool(time, 4, 0.25, 1);
    let handle = router.handle();
    let rate = FailureRate::new(0.5, LEASE, NonZeroU32::new(2).unwrap());
    let rules = Rules::none().failure_rate(rate);
    handle.reconfigure(handle.config().rules(rules)).unwrap();
    router
}

#[test]
fn of_two_dead_that_race_for_the_place_of_one_that_fails_a_part_one_has_it_and_that_one_is_back() {
    explore(|| {
        let time = ManualClock::new();
        let router = with_room_for_one(&time);
        to(&router, 2).record(Outcome::Success);
        to(&router, 2).record(BAD);
        assert_eq!(states(&router), [Active, Active, Ejected, Active]);
        (0..2).for_each(|dead| to(&router, dead).record(BAD));
        let (one, other) = (to(&router, 0), to(&router, 1));
        race(&router, move |_| one.record(BAD), |_| other.record(BAD));
        let shown = snapshot(&router).endpoints;
        assert_eq!((shown[2].state, shown[2].suspect), (Active, true));
        assert_eq!(out(&router), 1);
        let swaps = shown.iter().flat_map(|it| &it.verdicts);
        let swaps = swaps.filter(|it| it.verdict.rule == "worst_first");
        assert_eq!(swaps.count(), 1);
        let suppressed = |it: &EndpointSnapshot| it.suppressed.iter().map(|of| of.1).sum::<u64>();
        assert_eq!(shown.iter().map(suppressed).sum::<u64>(), 1);
        assert_at_rest(&router);
    });
}

#[test]
fn an_endpoint_that_is_probed_as_it_yields_to_a_dead_one_is_in_and_the_probe_says_nothing() {
    explore(|| {
        let time = ManualClock::new();
        let router = with_room_for_one(&time);
        let calls = [2, 2, 3, 3].map(|well| (well, Outcome::Success));
        let calls = calls
            .into_iter()
            .chain([(0, Outcome::Success), (0, BAD), (1, BAD)]);
        calls.for_each(|(endpoint, outcome)| to(&router, endpoint).record(outcome));
        let dies = to(&router, 1);
        time.advance(OPEN_FOR);
        let (asked, ()) = race(&router, any, move |_| dies.record(BAD));
        assert_eq!(states(&router), [Active, Ejected, Active, Active]);
        asked.record(BAD);
        assert_eq!(first(&router).state, Active, "a failure from before");
        assert_at_rest(&router);
    });
}

#[test]
fn an_endpoint_that_leaves_as_it_fails_takes_no_room_of_those_that_stay() {
    explore(|| {
        let time = ManualClock::new();
        let router = pool(&time, 3, 0.34, 1);
        let (failing, other) = (to(&router, 2), to(&router, 0));
        let update = |router: &Router| router.handle().update(endpoints(2)).unwrap();
        race(&router, update, |_| failing.record(BAD));
        assert_at_rest_but_for(&router, 1);
        other.record(BAD);
        assert_eq!(states(&router), [Ejected, Active]);
        assert_at_rest(&router);
    });
}

/// What is in flight is known; nobody is out.
fn assert_at_rest_but_for(router: &Router, in_flight: u32) {
    let endpoints = snapshot(router).endpoints;
    let in_all: u32 = endpoints.iter().map(|it| it.in_flight).sum();
    assert_eq!((in_all, out(router)), (in_flight, 0));
    assert_eq!(router.handle().pool().shared.ledger.out(), 0);
}

#[test]
fn an_endpoint_that_fails_as_it_comes_back_is_out_within_the_budget_or_in() {
    explore(|| {
        let time = ManualClock::new();
        let router = pool(&time, 3, 0.34, 1);
        let failing = to(&router, 2);
        router.handle().update(endpoints(2)).unwrap();
        to(&router, 0).record(BAD);
        assert_eq!(states(&router), [Ejected, Active]);
        let update = |router: &Router| router.handle().update(endpoints(3)).unwrap();
        race(&router, update, |_| failing.record(BAD));
        assert_eq!(out(&router), 1);
        assert_at_rest(&router);
    });
}

#[test]
fn an_ejection_that_races_a_smaller_budget_ends_within_it() {
    explore(|| {
        let time = ManualClock::new();
        let router = pool(&time, 4, 0.5, 1);
        to(&router, 0).record(BAD);
        let failing = to(&router, 1);
        let shrink = |router: &Router| {
            let handle = router.handle();
            let config = handle.config().max_ejected(0.0);
            handle.reconfigure(config).unwrap();
        };
        race(&router, shrink, |_| failing.record(BAD));
        assert_eq!(out(&router), 0);
        assert_at_rest(&router);
    });
}

#[test]
fn an_endpoint_that_is_let_back_by_hand_as_it_is_probed_is_in_and_the_probe_says_nothing() {
    explore(|| {
        let time = ManualClock::new();
        let router = with_one_due(&time, 1);
        let restore = |router: &Router| router.handle().restore("0");
        let (was_there, asked) = race(&router, restore, any);
        assert!(was_there);
        assert_eq!(states(&router), [Active; 3]);
        asked.record(BAD);
        assert_eq!(first(&router).state, Active, "a failure from before");
        assert_at_rest(&router);
    });
}

#[test]
fn an_endpoint_thrown_out_by_hand_as_it_fails_stays_out_for_the_hand() {
    explore(|| {
        let time = ManualClock::new();
        let router = pool(&time, 3, 0.5, 1);
        let failing = to(&router, 0);
        let eject = |router: &Router| router.handle().eject("0");
        race(&router, eject, |_| failing.record(BAD));
        assert_eq!(states(&router), [ForcedOut, Active, Active]);
        time.advance(OPEN_FOR);
        assert_eq!(probes([&any(&router)]), 0);
        assert_at_rest(&router);
    });
}

/// Brings the shares of the levels up to date, as a pick does.
fn spread(router: &Router) {
    let pool = Arc::clone(router.handle().pool());
    let now = pool.shared.clock.now();
    pool.members().spread(&pool.shared.ledger, now);
}

#[test]
fn of_two_that_tell_the_levels_their_shares_the_one_that_has_seen_less_has_not_the_last_word() {
    explore(|| {
        let time = ManualClock::new();
        let of_two = (0..2).zip(endpoints(2));
        let of_two = of_two.map(|(priority, endpoint)| endpoint.priority(priority));
        let router = pool_of(&time, of_two, 0.5, 1);
        let eject = |router: &Router| {
            assert!(router.handle().eject("0"));
            spread(router);
        };
        race(&router, eject, spread);
        // Who looked at that moment may have seen less, and somebody else looks a millisecond later.
        spread(&router);
        let levels = snapshot(&router).levels;
        let shares: Vec<f64> = levels.iter().map(|it| it.share).collect();
        assert_eq!(shares, [0.0, 1.0]);
    });
}

#[test]
fn a_step_is_told_to_the_levels_when_picks_see_it() {
    explore(|| {
        let time = ManualClock::new();
        let of_two = (0..2).zip(endpoints(2));
        let of_two = of_two.map(|(priority, endpoint)| endpoint.priority(priority));
        let router = pool_of(&time, of_two, 0.5, 1);
        let step = Step::new(0.1, OPEN_FOR, 1);
        let circuit = Settings::default().ramp(Some(Ramp::new([step])));
        let config = router.handle().config().circuit(circuit);
        router.handle().reconfigure(config).unwrap();
        spread(&router);
        let back = |router: &Router| {
            let pool = Arc::clone(router.handle().pool());
            let now = pool.shared.clock.now();
            let members = pool.members();
            let (seat, ()) = members.named("0").unwrap();
            seat.slot.change(now, |state| {
                state.come_back(now);
                None
            });
        };
        race(&router, back, spread);
        spread(&router);
        let share = snapshot(&router).levels[0].share;
        assert!((share - 0.14).abs() < 1e-6, "{share}");
    });
}
