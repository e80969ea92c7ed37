//! The probes of an endpoint that is out: when, how many, and what each says.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use buttress_core::outcome::Outcome;
use buttress_core::verdict::Action;
use buttress_route::{EndpointState, Rules, Weights};

use super::{backoff, state};
use crate::common::{Aimed, Mode, World, fails_after, ok_after};

#[test]
fn a_probe_that_says_nothing_is_followed_by_the_next_after_a_pause() {
    let pool = Aimed::new(3, 0.5);
    pool.send(0, "FFFFF");
    pool.pass(30);
    let void = || {
        let endpoint = &pool.router.handle().snapshot().endpoints[0];
        let void = endpoint.probes.iter().find(|(result, _)| *result == "void");
        void.unwrap().1
    };
    pool.send(1, "IIIII");
    assert_eq!(void(), 1);
    pool.time.advance(Duration::from_millis(99));
    pool.send(1, "I");
    assert_eq!(void(), 1);
    pool.time.advance(Duration::from_millis(27));
    pool.send(1, "II");
    assert_eq!(void(), 2);
    pool.pass(5);
    pool.send(1, "SSSS");
    assert_eq!(pool.walk().last().unwrap().1, EndpointState::Active);
}

#[test]
fn a_probe_whose_client_leaves_ends_no_pause() {
    let pool = Aimed::with(3, 0.5, |config| {
        let circuit = config
            .circuit
            .clone()
            .max_probes(NonZeroU32::MIN.saturating_add(1));
        config.circuit(circuit)
    });
    pool.send(0, "FFFFF");
    pool.pass(30);
    let mut probes = pool.hold(1, 2);
    assert!(probes.iter().all(|probe| **probe.id() == *"0"));
    probes.remove(0).record(Outcome::Ignored);
    drop(probes);
    assert_eq!(**pool.hold(1, 1)[0].id(), *"1");
    pool.time.advance(Duration::from_millis(126));
    assert_eq!(**pool.hold(1, 1)[0].id(), *"0");
}

#[test]
fn the_pauses_of_one_outage_are_not_those_of_the_next() {
    let pool = Aimed::with(3, 0.5, |config| {
        let circuit = config.circuit.clone().ramp(None);
        config.circuit(circuit)
    });
    let asked = || pool.hold(1, 1)[0].id().to_string();
    let falls_out = || {
        pool.send(0, "FFFFF");
        let state = pool.router.handle().state("0");
        assert_eq!(state, Some(EndpointState::Ejected));
        pool.pass(30);
    };
    falls_out();
    for _ in 0..5 {
        pool.send(1, "I");
        assert_eq!(asked(), "1");
        pool.pass(5);
    }
    assert!(pool.router.handle().restore("0"));
    falls_out();
    pool.send(1, "I");
    assert_eq!(asked(), "1");
    pool.time.advance(Duration::from_millis(126));
    assert_eq!(asked(), "0", "the first pause is short");
}

#[test]
fn who_is_asked_only_for_what_says_nothing_is_let_back_and_not_who_refuses_by_a_limit() {
    let pool = Aimed::new(3, 0.5);
    pool.send(0, "FFFFF");
    pool.pass(30);
    let is_back = || pool.router.handle().state("0") == Some(EndpointState::Active);
    let mut came_back = None;
    for second in 0..600_u64 {
        pool.send(1, "I");
        if is_back() {
            came_back.get_or_insert(second);
        }
        pool.pass(1);
    }
    let after = came_back.unwrap();
    // The lease of a probe, and as many of the longest pauses as probes are needed.
    assert!((30..=55).contains(&after), "{after}");
    let endpoint = &pool.router.handle().snapshot().endpoints[0];
    let counted_as_good = endpoint
        .probes
        .iter()
        .find(|(result, _)| *result == "success");
    let verdict = endpoint.last_verdict.as_ref().unwrap();
    assert_eq!(verdict.action, Action::Closed);
    assert_eq!(
        counted_as_good.unwrap().1,
        verdict.samples,
        "the figures are those of the verdict"
    );

    let mut world = World::with(&[fails_after(5), ok_after(5), ok_after(5)], |config| config);
    world.one_by_one(300);
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    world.backends[0].set(Mode::Status(429, Duration::ZERO));
    for _ in 0..600 {
        world.one_by_one(1);
        world.pass(Duration::from_secs(1));
    }
    let endpoint = &world.handle().snapshot().endpoints[0];
    assert_eq!(endpoint.state, EndpointState::Probing);
}

#[test]
fn a_probe_that_fails_has_failed_whatever_its_kind_weighs() {
    let rules = Rules::default().weights(Weights::default().transport(0));
    let mut world = World::with(&[fails_after(0), ok_after(5), ok_after(5)], |config| {
        config.rules(rules).circuit(backoff(1))
    });
    world.load(2, Duration::from_millis(200));
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    world.backends[0].set(Mode::Refuse);
    let ended = world.load(2, Duration::from_secs(5));
    // One a second, and not one after the other.
    assert!((3..=6).contains(&ended.errors), "{ended:?}");
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
}

#[test]
fn one_probe_at_a_time_goes_to_an_endpoint_that_is_still_failing() {
    let mut world = World::with(&[fails_after(5), ok_after(5), ok_after(5)], |config| {
        config.circuit(backoff(5))
    });
    world.load(2, Duration::from_secs(1));
    let before = world.backends[0].calls();
    let ended = world.load(2, Duration::from_secs(20));
    let probes = world.backends[0].calls() - before;
    assert!((3..=4).contains(&probes), "{probes}");
    assert_eq!(ended.total_bad(), probes);
}

#[test]
fn a_probe_that_is_dropped_gives_its_place_back_and_one_that_hangs_at_its_deadline() {
    let mut world = World::with(&[fails_after(1), ok_after(1)], |config| {
        config.circuit(backoff(5).probe_deadline(Duration::from_secs(3)))
    });
    world.load(2, Duration::from_secs(1));
    world.backends[0].set(Mode::Hang);
    world.load(1, Duration::from_secs(5));
    assert_eq!(state(&world, "0"), EndpointState::Probing);
    let hung = world.backends[0].calls();
    world.load(1, Duration::from_secs(2));
    assert_eq!(world.backends[0].calls(), hung, "the lease is out");
    world.cancel_all();
    world.load(1, Duration::from_millis(5));
    assert_eq!(
        world.backends[0].calls(),
        hung + 1,
        "the place came back at once"
    );
    world.load(1, Duration::from_millis(3_100));
    assert_eq!(
        world.backends[0].calls(),
        hung + 2,
        "the place came back at the deadline"
    );
    world.backends[0].set(ok_after(1));
    world.load(1, Duration::from_secs(4));
    assert_eq!(state(&world, "0"), EndpointState::Active);
}

#[test]
fn an_endpoint_whose_clone_panics_as_it_is_probed_loses_no_place_for_its_probe() {
    let mut world = World::with(&[fails_after(1), ok_after(1)], |config| {
        config.circuit(backoff(5).probe_deadline(Duration::from_secs(3_600)))
    });
    world.load(2, Duration::from_secs(1));
    assert_eq!(state(&world, "0"), EndpointState::Ejected);
    world.backends[0].set(Mode::PanicInClone);
    world.time.advance(Duration::from_secs(5));
    catch_unwind(AssertUnwindSafe(|| world.start())).unwrap_err();
    world.backends[0].set(ok_after(1));
    world.load(1, Duration::from_secs(1));
    assert_eq!(state(&world, "0"), EndpointState::Active);
}
