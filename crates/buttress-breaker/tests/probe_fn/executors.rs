//! Executors that run no task, stop in one or drop it.

use std::time::Duration;

use buttress_breaker::{Breaker, ProbeFn, State};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::spawn::Spawn;

use super::{EVERY, NANO, Script, World};
use crate::support;
use crate::support::{BAD, OPEN_FOR, PROBE_DEADLINE, calls, config, ended};

#[test]
fn where_no_task_can_be_run_user_calls_probe() {
    let time = ManualClock::new();
    let never = ProbeFn::new(|| async { unreachable!() });
    for spawn in [
        Spawn::new(drop),
        Spawn::new(drop).cap(0),
        Spawn::new(|_| panic!("full")),
    ] {
        let config = config(&time).probe(never.clone(), spawn);
        let breaker = Breaker::new("probed", config).unwrap();
        support::trip(&breaker);
        time.advance(OPEN_FOR);
        assert!(breaker.try_acquire().unwrap().is_probe());
    }
}

#[test]
fn a_task_that_is_never_polled_is_waited_for_for_a_probe_deadline_and_not_longer() {
    let time = ManualClock::new();
    let never = ProbeFn::new(|| async { unreachable!() });
    let breaker = Breaker::new(
        "probed",
        config(&time).probe(never, Spawn::new(std::mem::forget)),
    );
    let breaker = breaker.unwrap();
    support::trip(&breaker);
    time.advance((OPEN_FOR + PROBE_DEADLINE).saturating_sub(NANO));
    let rejected = breaker.try_acquire().unwrap_err();
    assert_eq!(
        (rejected.reason, rejected.retry_after),
        ("probing", Some(NANO))
    );
    time.advance(NANO);
    let probe = breaker.try_acquire().unwrap();
    assert!(probe.is_probe());
    assert_eq!(breaker.try_acquire().unwrap_err().reason, "probes_busy");
    probe.record(BAD);
    time.advance(OPEN_FOR);
    for _ in 0..2 {
        // It has been waited for once.
        breaker.try_acquire().unwrap().record(Outcome::Success);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_task_that_stops_running_in_its_probe_or_in_its_pause_leaves_its_place_and_takes_it_back() {
    for (script, pause) in [
        (Script::Hang, Duration::ZERO),
        (Script::End(Outcome::Ignored), EVERY),
    ] {
        let mut world = World::new();
        world.script([script]);
        assert_eq!(world.fall(), 1);
        world
            .time
            .advance((pause + PROBE_DEADLINE).saturating_sub(NANO));
        assert_eq!(world.breaker().try_acquire().unwrap_err().reason, "probing");
        world.time.advance(NANO);
        let probe = world.breaker().try_acquire().unwrap();
        assert!(probe.is_probe(), "{script:?}");
        // It is back, and finds its place taken.
        assert_eq!(world.run(), 1, "{script:?}");
        assert_eq!(world.breaker().try_acquire().unwrap_err().reason, "probing");
        probe.record(Outcome::Ignored);
        world.advance(PROBE_DEADLINE);
        world.advance(EVERY);
        assert_eq!(world.state(), State::Closed, "{script:?}");
    }
}

#[test]
fn a_task_that_its_executor_drops_gives_its_probe_back() {
    let mut world = World::new();
    world.script([Script::Hang]);
    assert_eq!(world.fall(), 1);
    let before = ended(&calls(world.breaker()));
    world.polled.clear();
    assert_eq!(calls(world.breaker()).abandoned, 1);
    assert_eq!(ended(&calls(world.breaker())), before + 1);
    assert!(world.breaker().try_acquire().unwrap().is_probe());
}
