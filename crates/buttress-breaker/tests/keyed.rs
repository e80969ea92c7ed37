//! A breaker for each key: bounded, never unprotected, and gone only when nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "keyed/all_at_once.rs"]
mod all_at_once;
#[path = "keyed/metrics.rs"]
mod metrics;
#[path = "keyed/service.rs"]
mod service;
mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buttress_breaker::{
    Backoff, Breaker, BreakerError, Config, Evidence, KeyedBreaker, KeyedConfig, KeyedHandle,
    Limits, Permit, Rule, Settings, State, Trip, TripRule, Window,
};
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::metric::{Collect, Family, Value};
use buttress_core::outcome::Outcome;
use proptest::prelude::*;
use support::{BAD, OPEN_FOR, config};
use tokio_test::{assert_ready_err, assert_ready_ok, task};
use tower::limit::ConcurrencyLimitLayer;
use tower::{Layer, Service, ServiceBuilder, service_fn};

const IDLE: Duration = Duration::from_secs(60);

fn keyed(time: &ManualClock, cap: usize) -> KeyedBreaker<u32> {
    let limits = Limits::default().cap(cap).idle_after(IDLE);
    let config = KeyedConfig::default()
        .breaker(config(time))
        .limits(limits)
        .series(2);
    KeyedBreaker::new("tenants", config).unwrap()
}

fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

fn trip(breakers: &KeyedBreaker<u32>, key: u32) {
    (0..2).for_each(|_| end(&breakers.get(key), BAD));
    assert_eq!(breakers.get(key).state(), State::Open);
}

fn family(breakers: &KeyedBreaker<u32>, name: &str) -> Family {
    let mut families = Vec::new();
    breakers.handle().collect(&mut families);
    families.into_iter().find(|it| it.name == name).unwrap()
}

fn sum(family: &Family) -> u64 {
    let counted = family.points.iter().map(|point| match point.value {
        Value::Counter(count) => count,
        _ => 0,
    });
    counted.sum()
}

#[test]
fn a_key_that_fails_is_cut_off_alone() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    trip(&breakers, 1);
    assert!(breakers.get(1).try_acquire().is_err());
    end(&breakers.get(2), Outcome::Success);
    assert_eq!(&**breakers.get(1).name(), "tenants/1");
    let mut keys = breakers.handle().keys();
    keys.sort_unstable();
    assert_eq!(keys, [1, 2]);
}

#[test]
fn keys_beyond_the_cap_are_protected_together_and_counted() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 2);
    for key in [1, 2] {
        end(&breakers.get(key), Outcome::Success);
    }
    end(&breakers.get(3), BAD);
    end(&breakers.get(4), BAD);
    for key in [3, 4, 5] {
        assert!(
            breakers.get(key).try_acquire().is_err(),
            "{key} is not unprotected"
        );
    }
    assert!(breakers.get(1).try_acquire().is_ok());
    let handle = breakers.handle();
    assert_eq!(handle.len(), 2);
    assert_eq!(handle.snapshot().overflowed, 5);
    assert_eq!(handle.overflow().snapshot().state, State::Open);
    let counted = family(&breakers, "buttress_series_overflow");
    assert_eq!(counted.points[0].labels[0].1, "breaker");
    assert_eq!(sum(&counted), 5);
}

#[test]
fn an_idle_breaker_goes_and_one_that_is_held_or_set_by_hand_stays() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    let handle = breakers.handle();
    end(&breakers.get(1), Outcome::Success);
    trip(&breakers, 2);
    let in_flight = breakers.get(3).try_acquire().unwrap();
    let held = handle.get(3).is_some().then(|| breakers.get(4).handle());
    breakers.get(5).handle().force_closed();
    end(&breakers.get(6), BAD);
    time.advance(IDLE);
    handle.sweep();
    let keys = |expected: &[u32]| {
        let mut keys = handle.keys();
        keys.sort_unstable();
        assert_eq!(keys, expected);
    };
    keys(&[2, 3, 4, 5, 6]);
    // What was seen of 6 is too old to weigh, and the others are still not closed or not alone.
    time.advance(IDLE * 5);
    handle.sweep();
    keys(&[2, 3, 4, 5]);
    // 2 was asked for twice: it idles since somebody first looked.
    time.advance(IDLE);
    handle.sweep();
    keys(&[3, 4, 5]);
    assert_eq!(handle.snapshot().remembered, 1);
    in_flight.record(Outcome::Success);
    drop(held);
    handle.release();
    time.advance(IDLE);
    handle.sweep();
    keys(&[]);
    assert_eq!(handle.snapshot().evicted, 6);
}

#[test]
fn a_flood_of_keys_that_fail_fills_the_map_for_six_idle_times_at_most() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 100);
    (0..100).for_each(|key| end(&breakers.get(key), BAD));
    time.advance(IDLE * 6);
    // Each new key that finds no room looks after one more shard of 64.
    let own = (1_000..1_100).filter(|key| {
        let breaker = breakers.get(*key);
        end(&breaker, Outcome::Success);
        **breaker.name() == format!("tenants/{key}")
    });
    assert!(own.count() >= 36);
}

#[test]
fn keys_that_opened_and_are_asked_for_no_more_give_their_places_to_others() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    (0..10).for_each(|key| trip(&breakers, key));
    breakers.handle().sweep();
    time.advance(IDLE * 6);
    breakers.handle().sweep();
    (10..20).for_each(|key| end(&breakers.get(key), Outcome::Success));
    let snapshot = breakers.handle().snapshot();
    assert_eq!((snapshot.breakers.len(), snapshot.overflowed), (10, 0));
    assert_eq!((snapshot.remembered, snapshot.forgotten), (10, 0));
}

#[test]
fn a_key_that_had_opened_and_comes_back_probes_and_stays_open_for_as_long_as_it_would_have() {
    let time = ManualClock::new();
    let open_for = Backoff::by_attempt([OPEN_FOR, OPEN_FOR * 2]);
    let circuit = Settings::default().open_for(open_for).ramp(None);
    let limits = Limits::default().cap(10).idle_after(IDLE);
    let config = KeyedConfig::default().breaker(config(&time).circuit(circuit));
    let breakers = KeyedBreaker::new("tenants", config.limits(limits)).unwrap();
    trip(&breakers, 1);
    breakers.handle().sweep();
    time.advance(IDLE * 6);
    breakers.handle().sweep();
    assert!(breakers.handle().is_empty());
    let probe = breakers.get(1).try_acquire().unwrap();
    assert!(probe.is_probe());
    assert!(breakers.get(1).try_acquire().is_err(), "one at a time");
    probe.record(BAD);
    let rejected = breakers.get(1).try_acquire().unwrap_err();
    assert_eq!(rejected.retry_after, Some(OPEN_FOR * 2));
    assert_eq!(breakers.handle().snapshot().remembered, 0, "it is back");
}

/// Any two of them read alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alike(u32);

impl std::fmt::Display for Alike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("alike")
    }
}

#[test]
fn of_keys_that_read_alike_each_is_remembered_for_itself() {
    let time = ManualClock::new();
    let limits = Limits::default().cap(10).idle_after(IDLE);
    let config = KeyedConfig::default().breaker(config(&time)).limits(limits);
    let breakers = KeyedBreaker::new("tenants", config).unwrap();
    for (key, failures) in [(1, 2), (2, 0), (3, 2)] {
        (0..failures).for_each(|_| end(&breakers.get(Alike(key)), BAD));
        breakers.get(Alike(key));
    }
    let handle = breakers.handle();
    handle.sweep();
    time.advance(IDLE * 6);
    handle.sweep();
    assert_eq!((handle.len(), handle.snapshot().remembered), (0, 2));
    let states = [1, 2, 3].map(|key| breakers.get(Alike(key)).state());
    assert_eq!(states, [State::Open, State::Closed, State::Open]);
    assert_eq!(handle.snapshot().remembered, 0);
}

#[test]
fn what_all_are_let_go_of_is_not_remembered() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    trip(&breakers, 1);
    breakers.handle().sweep();
    time.advance(IDLE * 6);
    breakers.handle().sweep();
    breakers.handle().release();
    assert_eq!(breakers.get(1).state(), State::Closed);
}

#[derive(Clone, Debug)]
enum Op {
    Begin(u32),
    End(bool),
    Advance(u64),
    Sweep,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..8_u32).prop_map(Op::Begin),
        4 => any::<bool>().prop_map(Op::End),
        2 => (0..400_u64).prop_map(Op::Advance),
        1 => Just(Op::Sweep),
    ];
    proptest::collection::vec(op, 1..200)
}

/// The keys that are known to be down, and how often in a row they have opened.
#[allow(
    clippy::disallowed_types,
    reason = "the wall clock is passed in; here it is made up"
)]
fn memories(handle: &KeyedHandle<u32>) -> BTreeMap<u32, u32> {
    let saved = handle.save(std::time::SystemTime::UNIX_EPOCH).into_iter();
    let down = saved.filter(|(_, saved)| saved.circuit.state != State::Closed);
    down.map(|(key, saved)| (key, saved.circuit.attempt))
        .collect()
}

proptest! {
    /// Whatever happens, a key whose call is in flight has the very breaker that it had: its generation
    /// never goes back. One that is not closed has it too, or it is remembered how it was.
    #[test]
    fn no_breaker_goes_with_a_call_in_flight_and_what_was_not_closed_is_remembered(ops in ops()) {
        let time = ManualClock::new();
        let breakers = keyed(&time, 4);
        let handle = breakers.handle();
        let mut permits: Vec<(Option<u32>, Permit)> = Vec::new();
        for op in ops {
            let before = handle.snapshot();
            let mut kept = BTreeMap::new();
            let mut down = memories(&handle);
            for (key, it) in before.breakers {
                if permits.iter().any(|(of, _)| *of == Some(key)) {
                    kept.insert(key, it.generation);
                } else if it.state != State::Closed {
                    down.insert(key, it.attempt);
                }
            }
            let asked = if let Op::Begin(key) = op { Some(key) } else { None };
            match op {
                Op::Begin(key) => {
                    let breaker = breakers.get(key);
                    let of = (**breaker.name() == format!("tenants/{key}")).then_some(key);
                    permits.extend(breaker.try_acquire().ok().map(|permit| (of, permit)));
                }
                Op::End(well) if !permits.is_empty() => {
                    let (_, permit) = permits.swap_remove(0);
                    permit.record(if well { Outcome::Success } else { BAD });
                }
                Op::End(_) => {}
                Op::Advance(seconds) => time.advance(Duration::from_secs(seconds)),
                Op::Sweep => handle.sweep(),
            }
            let now: BTreeMap<u32, u64> = handle
                .snapshot()
                .breakers
                .into_iter()
                .map(|(key, it)| (key, it.generation))
                .collect();
            prop_assert!(now.len() <= 4);
            for (key, generation) in kept {
                prop_assert!(now.get(&key).is_some_and(|now| *now >= generation), "{key} is gone");
            }
            let forgot = usize::try_from(handle.snapshot().forgotten - before.forgotten).unwrap();
            let memories = memories(&handle);
            let told = |(key, attempt): &(u32, u32)| {
                let recalled = memories.get(key) == Some(attempt);
                recalled || now.get(key).is_some_and(|generation| *generation > 0)
            };
            let lost = down.into_iter().filter(|(key, _)| asked != Some(*key));
            prop_assert!(lost.filter(|it| !told(it)).count() <= forgot);
        }
    }
}

#[test]
#[allow(
    clippy::disallowed_types,
    reason = "the wall clock is passed in; here it is made up"
)]
fn keys_that_are_down_are_saved_and_restored_as_far_as_there_is_room() {
    let wall = std::time::SystemTime::UNIX_EPOCH + IDLE;
    let time = ManualClock::new();
    let before = keyed(&time, 10);
    (1..=4).for_each(|key| trip(&before, key));
    end(&before.get(5), Outcome::Success);
    let mut saved = before.handle().save(wall);
    saved.sort_by_key(|(key, _)| *key);
    assert_eq!(saved.len(), 4, "what is well is not worth a word");
    let after = keyed(&ManualClock::new(), 2);
    let forged = saved.iter().cycle().take(100_000).cloned();
    assert_eq!(after.handle().restore(forged, wall), 2);
    let snapshot = after.handle().snapshot();
    assert_eq!(snapshot.overflow.state, State::Closed, "nobody's");
    assert_eq!(snapshot.overflowed, 0);
    let mut states = snapshot.breakers.iter().map(|(key, it)| (*key, it.state));
    assert!(states.all(|(key, state)| key <= 2 && state == State::Open));
    let held = keyed(&time, 2);
    held.get(1);
    held.handle().force_closed();
    assert_eq!(held.handle().save(wall), []);
}

#[test]
fn one_subscription_tells_of_every_breaker() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 1);
    let mut events = breakers.handle().subscribe();
    trip(&breakers, 1);
    trip(&breakers, 2);
    let mut name = || match events.try_recv() {
        Some(Received::Event(event)) => event.name.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([name(), name()], ["tenants/1", "tenants:overflow"]);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_by_name() {
    let refused = |name: &str, config: KeyedConfig| {
        let made = KeyedBreaker::<u32>::new(name, config);
        made.unwrap_err().field().to_string()
    };
    let limits = Limits::default().cap(0);
    assert_eq!(
        refused("x", KeyedConfig::default().limits(limits)),
        "limits.cap"
    );
    let no_rule = Config::default().rules([]);
    assert_eq!(
        refused("x", KeyedConfig::default().breaker(no_rule)),
        "rules"
    );
    assert_eq!(refused("", KeyedConfig::default()), "name");
}
