//! Whatever happens to a pool, in whatever order: the budget holds, and no endpoint is lost for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings};
use buttress_core::health::HealthStatus;
use buttress_route::{Change, EndpointState, Policy, PoolSnapshot};
use common::{Mode, TRANSITIONS, World, endpoint, ok_after, policies};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Mode(usize, u8),
    Load(u32, u64),
    Pass(u64),
    Cancel,
    Eject(usize),
    Drain(usize),
    Restore(usize),
    Keep(usize),
    Weightless(usize),
    MaxEjected(f64),
    Signal(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_usize, 0..4_u8).prop_map(|(index, mode)| Step::Mode(index, mode)),
        6 => (1..4_u32, 1..60_u64).prop_map(|(each, ms)| Step::Load(each, ms)),
        2 => (1..7_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Cancel),
        1 => (0..6_usize).prop_map(Step::Eject),
        1 => (0..6_usize).prop_map(Step::Drain),
        1 => (0..6_usize).prop_map(Step::Restore),
        1 => (1..7_usize).prop_map(Step::Keep),
        1 => (0..6_usize).prop_map(Step::Weightless),
        1 => (0.0..1.0_f64).prop_map(Step::MaxEjected),
        3 => (0..6_usize, any::<bool>()).prop_map(|(index, well)| Step::Signal(index, well)),
    ]
}

fn take(world: &mut World, step: &Step) {
    let handle = world.handle();
    match step {
        Step::Mode(index, mode) => world.backends[*index].set(match mode {
            0 => Mode::Refuse,
            1 => Mode::Hang,
            2 => Mode::Status(503, Duration::from_millis(2)),
            _ => ok_after(2),
        }),
        Step::Load(each, ms) => {
            world.load(*each, Duration::from_millis(*ms));
        }
        Step::Pass(ms) => world.time.advance(Duration::from_millis(*ms)),
        Step::Cancel => world.cancel_all(),
        Step::Eject(index) => {
            handle.eject(&index.to_string());
        }
        Step::Drain(index) => {
            handle.drain(&index.to_string());
        }
        Step::Restore(index) => {
            handle.restore(&index.to_string());
        }
        Step::Keep(count) => {
            let kept = world.backends.iter().enumerate().take(*count).map(endpoint);
            handle.update(kept.collect::<Vec<_>>()).unwrap();
        }
        Step::Weightless(index) => {
            let all = world.backends.iter().enumerate().map(endpoint).enumerate();
            let weight = |at| u32::from(at != *index);
            let all = all.map(|(at, endpoint)| endpoint.weight(weight(at)));
            handle.update(all.collect::<Vec<_>>()).unwrap();
        }
        Step::Signal(index, well) => {
            let status = if *well {
                HealthStatus::Healthy
            } else {
                HealthStatus::Unhealthy
            };
            world.backends[*index].signal.publish(status);
        }
        Step::MaxEjected(share) => {
            handle
                .reconfigure(handle.config().max_ejected(*share))
                .unwrap();
        }
    }
}

fn out_by_rule(snapshot: &PoolSnapshot) -> usize {
    let by_rule = |state| matches!(state, EndpointState::Ejected | EndpointState::Probing);
    let out = snapshot.endpoints.iter().filter(|it| by_rule(it.state));
    out.count()
}

fn policy() -> impl Strategy<Value = Policy> {
    proptest::sample::select(policies().to_vec())
}

fn world(policy: Policy) -> World {
    World::with(&[ok_after(2); 6], |config| {
        let open_for = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(4));
        let settings = Settings::default().open_for(open_for);
        let config = config.circuit(settings.probe_deadline(Duration::from_secs(3)));
        config.policy(policy)
    })
}

fn recover(world: &mut World) {
    world.pass(Duration::from_millis(5));
    for _ in 0..20 {
        world.time.advance(Duration::from_secs(4));
        world.load(3, Duration::from_millis(100));
        world.pass(Duration::from_millis(5));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_throws_out_more_than_the_budget(
        steps in proptest::collection::vec(step(), 1..40),
        policy in policy(),
    ) {
        let mut world = world(policy);
        for step in &steps {
            take(&mut world, step);
            let snapshot = world.handle().snapshot();
            prop_assert!(out_by_rule(&snapshot) <= snapshot.max_ejected, "{:?}", snapshot);
        }
    }

    #[test]
    fn every_change_of_state_has_its_verdict_and_begins_where_the_last_one_ended(
        steps in proptest::collection::vec(step(), 1..40),
        policy in policy(),
    ) {
        let mut world = world(policy);
        for step in &steps {
            take(&mut world, step);
            for endpoint in &world.handle().snapshot().endpoints {
                let mut state = None;
                for judged in &endpoint.verdicts {
                    if let Change::Transition { from, to } = judged.change {
                        prop_assert!(state.is_none_or(|state| state == from), "{:?}", endpoint);
                        let told = (from, to, &*judged.verdict.rule);
                        prop_assert!(TRANSITIONS.contains(&told), "{:?}", told);
                        state = Some(to);
                    }
                }
                // The first decision may have been forgotten, but only if others came.
                let begins = (endpoint.verdicts.len() < 16).then_some(EndpointState::Active);
                let told = state.or(begins);
                prop_assert!(told.is_none_or(|told| told == endpoint.state), "{:?}", endpoint);
            }
        }
    }

    #[test]
    fn after_any_sequence_of_events_every_endpoint_comes_back(
        steps in proptest::collection::vec(step(), 1..40),
        policy in policy(),
    ) {
        let mut world = world(policy);
        for step in &steps {
            take(&mut world, step);
        }
        // Whoever waited in vain has gone, and all are there and well.
        world.cancel_all();
        let all = world.backends.iter().enumerate().map(endpoint);
        world.handle().update(all.collect::<Vec<_>>()).unwrap();
        for (index, backend) in world.backends.iter().enumerate() {
            backend.set(ok_after(2));
            let id = index.to_string();
            let state = world.handle().snapshot().endpoint(&id).map(|it| it.state);
            if matches!(state, Some(EndpointState::ForcedOut | EndpointState::Draining)) {
                world.handle().restore(&id);
            }
        }
        recover(&mut world);
        for endpoint in &world.handle().snapshot().endpoints {
            let signal = &world.backends[endpoint.id.parse::<usize>().unwrap()].signal;
            // One that others call unhealthy keeps nobody else away.
            if signal.status().serves() {
                prop_assert_eq!(endpoint.state, EndpointState::Active);
            }
        }
        for backend in &world.backends {
            backend.signal.publish(HealthStatus::Healthy);
        }
        recover(&mut world);
        let before: Vec<_> = world.handle().snapshot().endpoints.iter().map(|it| it.picks).collect();
        world.load(3, Duration::from_millis(200));
        for (endpoint, before) in world.handle().snapshot().endpoints.iter().zip(before) {
            prop_assert_eq!(endpoint.state, EndpointState::Active);
            prop_assert!(endpoint.picks > before, "{:?}", endpoint);
        }
    }
}
