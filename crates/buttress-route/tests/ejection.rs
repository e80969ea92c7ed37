//! A failing endpoint is thrown out, within the budget, probed, and let back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

#[path = "ejection/probes.rs"]
mod probes;

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings};
use buttress_core::events::Received;
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::verdict::Action;
use buttress_route::{Change, EndpointState, FailureRate, Policy, Rules, Weights};
use common::{Aimed, Mode, World, endpoint, fails_after, ok_after};

fn backoff(seconds: u64) -> Settings {
    Settings::default().open_for(Backoff::constant(Duration::from_secs(seconds)))
}

fn state(world: &World, id: &str) -> EndpointState {
    world.handle().snapshot().endpoint(id).unwrap().state
}

#[test]
fn a_failing_endpoint_is_thrown_out_within_five_failures_and_traffic_moves() {
    let mut world = World::with(&[ok_after(5), ok_after(5), fails_after(5)], |config| {
        config.circuit(backoff(60))
    });
    let ended = world.one_by_one(300);
    assert!(ended.total_bad() <= 5, "{ended:?}");
    world.backends[2].set(fails_after(0));
    let ended = world.load(1, Duration::from_secs(2));
    assert_eq!(ended.total_bad(), 0, "{ended:?}");
}

#[test]
fn a_failure_counts_for_what_its_kind_weighs_and_for_nothing_where_that_is_0() {
    for (weight, most) in [(0, 10), (1, 5), (2, 3), (5, 1)] {
        let rules = Rules::default().weights(Weights::default().transport(weight));
        let mut world = World::with(&[Mode::Refuse, ok_after(5), ok_after(5)], |config| {
            config
                .rules(rules)
                .policy(Policy::RoundRobin)
                .circuit(backoff(60))
        });
        let ended = world.one_by_one(30);
        assert_eq!(ended.errors, most, "{weight}");
        let out = weight > 0;
        assert_eq!(state(&world, "0") == EndpointState::Ejected, out);
    }
}

#[test]
fn each_kind_of_failure_throws_out_by_its_own_weight() {
    let kinds = [
        FailureKind::Connect,
        FailureKind::Transport,
        FailureKind::Deadline,
        FailureKind::Answer,
        FailureKind::Overloaded,
        FailureKind::Body,
        FailureKind::Panic,
    ];
    for (place, heavy) in kinds.into_iter().enumerate() {
        let mut each = [0; 7];
        each[place] = 5;
        let [
            connect,
            transport,
            deadline,
            answer,
            overloaded,
            body,
            panic,
        ] = each;
        let weights = Weights::all(0).connect(connect).transport(transport);
        let weights = weights
            .deadline(deadline)
            .answer(answer)
            .overloaded(overloaded);
        let weights = weights.body(body).panic(panic);
        for kind in kinds {
            let rules = Rules::default().weights(weights);
            let pool = Aimed::with(2, 0.5, |config| config.rules(rules));
            for held in pool.hold(0, 1) {
                held.record(Outcome::Failure(kind));
            }
            let out = pool.router.handle().state("0") == Some(EndpointState::Ejected);
            assert_eq!(out, kind == heavy, "{kind:?} where {heavy:?} weighs 5");
        }
    }
}

#[test]
fn an_endpoint_under_load_is_ejected_with_a_verdict_that_says_why() {
    let mut world = World::new(&[fails_after(5), ok_after(5), ok_after(5)]);
    let mut events = world.handle().subscribe();
    world.load(2, Duration::from_millis(200));
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    let Some(Received::Event(event)) = events.try_recv() else {
        panic!("an ejection is told");
    };
    assert_eq!(&*event.endpoint, "0");
    assert_eq!(&*event.pool, "test");
    assert_eq!(event.verdict.rule, "consecutive_failures");
    assert_eq!(
        (event.verdict.observed, event.verdict.threshold),
        (5.0, 5.0)
    );
    assert!(matches!(event.verdict.action, Action::Opened(_)));
    let out = Change::Transition {
        from: EndpointState::Active,
        to: EndpointState::Ejected,
    };
    assert_eq!(event.change, out);
    let snapshot = world.handle().snapshot();
    let shown = snapshot.endpoint("0").unwrap();
    assert_eq!(shown.last_verdict.as_ref(), Some(&event.verdict));
    assert!(shown.retry_after.is_some());
    assert_eq!(shown.ejections[0], ("consecutive_failures", 1));
}

#[test]
fn an_endpoint_that_recovers_comes_back_after_its_probes_and_takes_its_share() {
    let mut world = World::with(&[fails_after(5), ok_after(5), ok_after(5)], |config| {
        config.circuit(backoff(5))
    });
    world.load(2, Duration::from_secs(1));
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    world.backends[0].set(ok_after(5));
    let mut events = world.handle().subscribe();
    let ended = world.load(2, Duration::from_secs(5));
    assert_eq!(ended.total_bad(), 0);
    assert_eq!(state(&world, "0"), EndpointState::Active);
    let mut states = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        if let Change::Transition { to, .. } = event.change {
            states.push(to);
        }
    }
    assert_eq!(states, [EndpointState::Probing, EndpointState::Active]);
    world.load(2, Duration::from_secs(6));
    let ended = world.load(2, Duration::from_secs(2));
    assert!((0.25..0.42).contains(&ended.share("0")), "{ended:?}");
}

#[test]
fn a_rate_of_failures_ejects_where_successes_come_in_between() {
    let rate = FailureRate::new(0.4, Duration::from_secs(10), NonZeroU32::new(20).unwrap());
    let mut world = World::with(&[ok_after(0), ok_after(0)], |config| {
        config
            .rules(Rules::none().failure_rate(rate))
            .noise_band(10.0)
    });
    for round in 0..200 {
        world.backends[0].set(if round % 2 == 0 {
            fails_after(0)
        } else {
            ok_after(0)
        });
        world.one_by_one(1);
        world.pass(Duration::from_millis(20));
        if state(&world, "0") == EndpointState::Ejected {
            break;
        }
    }
    let snapshot = world.handle().snapshot();
    let shown = snapshot.endpoint("0").unwrap();
    let verdict = shown.last_verdict.as_ref().unwrap();
    assert_eq!(verdict.rule, "failure_rate");
    assert!(
        verdict.observed >= 0.4 && verdict.samples >= 20,
        "{verdict}"
    );
    assert_eq!(verdict.window, Some(Duration::from_secs(10)));
}

#[test]
fn the_last_endpoint_is_never_ejected() {
    let mut world = World::new(&[fails_after(1)]);
    world.load(1, Duration::from_secs(5));
    assert_eq!(state(&world, "0"), EndpointState::Active);
    world.backends[0].set(ok_after(1));
    world.pass(Duration::from_millis(5));
    assert_eq!(world.one_by_one(10).total_ok(), 10);
}

#[test]
fn with_all_thrown_out_by_hand_the_least_bad_is_used_and_a_drained_one_never() {
    let mut world = World::new(&[ok_after(1), ok_after(1), ok_after(1)]);
    let handle = world.handle();
    assert!(handle.eject("0") && handle.eject("1") && handle.drain("2"));
    assert!(!handle.eject("9"));
    let ended = world.load(1, Duration::from_secs(1));
    assert_eq!(ended.total_bad(), 0);
    assert_eq!(world.backends[2].calls(), 0);
    assert_eq!(state(&world, "0"), EndpointState::ForcedOut);
    assert!(handle.restore("0"));
    let before = world.backends[1].calls();
    world.load(1, Duration::from_secs(1));
    assert_eq!(world.backends[1].calls(), before);
    assert!(handle.drain("0") && handle.drain("1"));
    world.pass(Duration::from_millis(5));
    let ended = world.one_by_one(1);
    assert_eq!(ended.rejected, 1);
}

#[test]
fn an_endpoint_that_others_call_unhealthy_is_held_out_until_they_take_it_back() {
    for peers in [2, 40] {
        let mut world = World::new(&vec![ok_after(1); peers]);
        let signal = HealthSignal::new();
        let endpoints: Vec<_> = world.backends.iter().enumerate().map(endpoint).collect();
        let endpoints = endpoints
            .into_iter()
            .enumerate()
            .map(|(index, it)| match index {
                0 => it.signal(signal.clone()),
                _ => it,
            });
        world.handle().update(endpoints).unwrap();
        signal.publish(HealthStatus::Unhealthy);
        world.load(2, Duration::from_secs(1));
        assert_eq!(state(&world, "0"), EndpointState::Held);
        let before = world.backends[0].calls();
        world.load(2, Duration::from_secs(1));
        assert_eq!(world.backends[0].calls(), before);
        signal.publish(HealthStatus::Degraded);
        world.load(2, Duration::from_secs(1));
        assert_eq!(state(&world, "0"), EndpointState::Active);
        assert!(world.backends[0].calls() > before);
    }
}

#[test]
fn an_endpoint_that_is_never_idle_heeds_what_others_say_of_it() {
    let mut world = World::new(&[ok_after(1), ok_after(1)]);
    world.load(4, Duration::from_millis(100));
    world.backends[0].signal.publish(HealthStatus::Unhealthy);
    world.load(4, Duration::from_millis(100));
    assert_eq!(state(&world, "0"), EndpointState::Held);
}

#[test]
fn an_endpoint_that_is_ejected_and_called_unhealthy_keeps_no_other_from_its_probes() {
    let mut world = World::with(&[ok_after(1); 6], |config| config.circuit(backoff(5)));
    let signal = world.backends[0].signal.clone();
    world.backends[0].set(Mode::Refuse);
    world.load(2, Duration::from_millis(100));
    world.backends[1].set(Mode::Refuse);
    world.load(2, Duration::from_millis(100));
    for id in ["0", "1"] {
        assert_eq!(state(&world, id), EndpointState::Ejected);
    }
    signal.publish(HealthStatus::Unhealthy);
    world.backends[1].set(ok_after(1));
    let before = world.backends[0].calls();
    world.load(1, Duration::from_secs(6));
    assert_eq!(state(&world, "1"), EndpointState::Active);
    assert_eq!(world.backends[0].calls(), before, "probed against a signal");
    signal.publish(HealthStatus::Healthy);
    world.backends[0].set(ok_after(1));
    world.load(1, Duration::from_secs(1));
    assert_eq!(state(&world, "0"), EndpointState::Active);
}

#[test]
fn what_happens_to_an_endpoint_that_is_draining_is_no_event() {
    let mut world = World::new(&[fails_after(50), ok_after(50)]);
    for _ in 0..20 {
        world.start();
    }
    assert!(world.handle().drain("0"));
    let mut events = world.handle().subscribe();
    let drained = world.handle().snapshot().endpoint("0").unwrap().clone();
    assert!(drained.in_flight >= 5);
    world.pass(Duration::from_millis(60));
    let later = world.handle().snapshot().endpoint("0").unwrap().clone();
    assert!(later.outcomes.failure >= 5);
    assert_eq!(later.last_verdict, drained.last_verdict);
    assert_eq!(events.try_recv(), None);
}

#[test]
fn a_signal_against_the_last_endpoint_is_held_back_and_told_once() {
    let mut world = World::new(&[ok_after(1)]);
    let signal = HealthSignal::new();
    let only = endpoint((0, &world.backends[0])).signal(signal.clone());
    world.handle().update([only]).unwrap();
    let mut events = world.handle().subscribe();
    signal.publish(HealthStatus::Unhealthy);
    let ended = world.load(1, Duration::from_secs(1));
    assert_eq!(ended.total_bad(), 0);
    assert!(matches!(events.try_recv(), Some(Received::Event(_))));
    assert_eq!(events.try_recv(), None);
}

#[test]
fn an_answer_from_before_the_ejection_changes_nothing() {
    let mut world = World::with(&[ok_after(3_000), ok_after(3_000)], |config| {
        config.circuit(backoff(60))
    });
    // Early requests are on their way to both, and will end well, late.
    for _ in 0..20 {
        world.start();
    }
    world.pass(Duration::from_millis(10));
    for backend in &world.backends {
        backend.set(Mode::Refuse);
    }
    world.one_by_one_detached(20);
    let out = |world: &World| {
        let snapshot = world.handle().snapshot();
        let is_out = |state| state == EndpointState::Ejected;
        snapshot.endpoints.into_iter().find(|it| is_out(it.state))
    };
    let ejected = out(&world).unwrap();
    assert!(ejected.in_flight > 0);
    world.pass(Duration::from_secs(4));
    let later = out(&world).unwrap();
    assert_eq!(later.id, ejected.id);
    assert_eq!(later.outcomes.success, u64::from(ejected.in_flight));
}
