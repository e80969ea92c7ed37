//! Whatever has happened, traffic flows again in the end, and who is told to come back later is not told
//! so in vain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(
    clippy::disallowed_types,
    reason = "the wall clock is passed in; here it is made up"
)]

mod support;

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use buttress_breaker::{
    Backoff, Breaker, Config, HalfOpenLimit, Permit, Probing, Ramp, Rule, Settings, State, Window,
};
use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use proptest::prelude::*;
use support::BAD;

const SECOND: Duration = Duration::from_secs(1);
/// The longest open time of every configuration below, the longest lease or limit, the longest wait in
/// a ramp.
const OPEN: Duration = Duration::from_secs(30);
const PROBING: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
enum Op {
    Admit,
    End(usize, Outcome),
    EndAsking(usize, Duration),
    Drop(usize),
    Advance(Duration),
    To(State),
    Reconfigure(usize),
    Restart(Duration),
}

fn config(which: usize, time: &ManualClock) -> Config {
    let of = |n| NonZeroU32::new(n).unwrap();
    let base = Settings::default()
        .open_for(Backoff::exponential(SECOND * 5, OPEN))
        .probe_deadline(SECOND * 10)
        .max_probes(of(2));
    let rate = Probing::Rate {
        probes: of(4),
        max_bad_ratio: 0.3,
    };
    let limit = |then| HalfOpenLimit::new(PROBING, then);
    let settings = match which % 4 {
        0 => base,
        1 => base.ramp(None).probing(rate),
        2 => base.half_open_limit(limit(State::Open)).probing(rate),
        _ => base
            .half_open_limit(limit(State::Closed))
            .ramp(Ramp::linear(3, STEP, 1))
            .shortest_asked(SECOND),
    };
    let share = Rule::FailureRate {
        ratio: 0.5,
        min_calls: 4,
        window: Window::Time(SECOND * 16),
    };
    Config::new()
        .rules([share, Rule::ConsecutiveFailures(3)])
        .circuit(settings)
        .clock(time.clock())
        .rng(Rng::seeded(7))
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let outcome = || {
        prop_oneof![
            6 => Just(Outcome::Success),
            3 => Just(BAD),
            1 => Just(Outcome::Ignored),
        ]
    };
    let advance = prop_oneof![
        Just(Duration::from_nanos(1)),
        (0_u64..3_000).prop_map(Duration::from_millis),
        (1_u32..40).prop_map(|n| SECOND * n),
    ];
    let op = prop_oneof![
        20 => Just(Op::Admit),
        16 => (0_usize..4, outcome()).prop_map(|(at, outcome)| Op::End(at, outcome)),
        2 => (0_usize..4, 0_u32..90).prop_map(|(at, wait)| Op::EndAsking(at, SECOND * wait)),
        2 => (0_usize..4).prop_map(Op::Drop),
        8 => advance.prop_map(Op::Advance),
        3 => proptest::sample::select(State::ALL.as_slice()).prop_map(Op::To),
        1 => (0_usize..4).prop_map(Op::Reconfigure),
        1 => (0_u32..40).prop_map(|n| Op::Restart(SECOND * n)),
    ];
    proptest::collection::vec(op, 1..150)
}

struct World {
    time: ManualClock,
    which: usize,
    breaker: Breaker,
    permits: Vec<Permit>,
}

impl World {
    fn new(which: usize) -> Self {
        let time = ManualClock::new();
        Self {
            breaker: Breaker::new("test", config(which, &time)).unwrap(),
            which,
            time,
            permits: Vec::new(),
        }
    }

    fn after(which: usize, ops: &[Op]) -> Self {
        let mut world = Self::new(which);
        for op in ops {
            world.step(op);
        }
        world
    }

    fn take(&mut self, at: usize) -> Option<Permit> {
        (at < self.permits.len()).then(|| self.permits.remove(at))
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Admit => self.permits.extend(self.breaker.try_acquire().ok()),
            Op::End(at, outcome) => {
                if let Some(permit) = self.take(at) {
                    permit.record(outcome);
                }
            }
            Op::EndAsking(at, wait) => {
                if let Some(permit) = self.take(at) {
                    permit.record_after(BAD, wait);
                }
            }
            Op::Drop(at) => drop(self.take(at)),
            Op::Advance(by) => self.time.advance(by),
            Op::To(state) => drop(self.breaker.handle().transition_to(state)),
            Op::Reconfigure(which) => {
                let config = config(which, &self.time);
                self.breaker.handle().reconfigure(config).unwrap();
                self.which = which;
            }
            Op::Restart(passed) => self.restart(passed),
        }
    }

    fn restart(&mut self, passed: Duration) {
        let wall = SystemTime::UNIX_EPOCH + SECOND * 1_000;
        let saved = self.breaker.handle().save(wall);
        self.breaker = Breaker::new("test", config(self.which, &self.time)).unwrap();
        self.breaker.handle().restore(&saved, wall + passed);
    }

    fn is_forced_open(&self) -> bool {
        self.breaker.state() == State::ForcedOpen
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_the_longest_open_time_a_lease_and_a_wait_in_the_ramp_a_call_is_admitted(
        which: usize,
        ops in ops(),
    ) {
        let world = World::after(which, &ops);
        world.time.advance(OPEN + PROBING + STEP);
        let admitted = world.breaker.try_acquire().is_ok();
        prop_assert_eq!(admitted, !world.is_forced_open());
    }

    #[test]
    fn who_comes_back_when_told_is_admitted_if_nobody_else_comes(which: usize, ops in ops()) {
        let world = World::after(which, &ops);
        for _ in 0..4 {
            let Err(rejected) = world.breaker.try_acquire() else {
                continue;
            };
            if world.is_forced_open() {
                return Ok(());
            }
            let wait = rejected.retry_after.unwrap();
            prop_assert!(!wait.is_zero() && wait <= OPEN + PROBING, "{:?}", wait);
            world.time.advance(wait);
            prop_assert!(world.breaker.try_acquire().is_ok(), "told {:?} in vain", wait);
        }
    }

    #[test]
    fn a_dependency_that_is_well_again_ends_in_a_closed_circuit(which: usize, ops in ops()) {
        let world = World::after(which, &ops);
        if world.breaker.state().is_by_hand() {
            world.breaker.handle().transition_to(State::Closed).unwrap();
        }
        for _ in 0..2_000 {
            if let Ok(permit) = world.breaker.try_acquire() {
                permit.record(Outcome::Success);
            }
            world.time.advance(Duration::from_millis(100));
        }
        prop_assert_eq!(world.breaker.state(), State::Closed);
    }
}
