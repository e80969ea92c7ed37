//! What can happen to a circuit.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::circuit::{
    Backoff, HalfOpenLimit, HealthyRun, Jitter, Probing, Ramp, Settings, State, Step,
};
use buttress_core::outcome::{FailureKind, Outcome};
use proptest::option;
use proptest::prelude::*;

/// One event.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Admit,
    Answered(usize),
    /// Whatever has been in flight for longer than that is slow.
    Overdue(Duration, Option<Duration>),
    /// So many calls of the ramp became slow in flight.
    OverdueInRamp(u32, Option<Duration>),
    Settle(usize, Outcome, Option<Duration>),
    Advance(Duration),
    /// Exactly as long as the last rejection said, or a nanosecond less.
    AdvanceAsTold {
        short: bool,
    },
    Trip(Option<Duration>),
    To(State),
    Reconfigure(Settings),
    /// The process ends, and one begins after as long that reads what was saved.
    Restart(Duration),
    /// It reads something else, such as nobody has saved.
    Forge(State, Duration, u32),
}

const YEAR: Duration = Duration::from_secs(31_536_000);

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::from_nanos(1)),
        (1_u64..100).prop_map(Duration::from_millis),
        (1_u64..120).prop_map(Duration::from_secs),
        (1_u32..=100).prop_map(|years| YEAR * years),
    ]
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(Outcome::Success),
        2 => Just(Outcome::Failure(FailureKind::Answer)),
        1 => Just(Outcome::Failure(FailureKind::Panic)),
        1 => Just(Outcome::Slow),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Abandoned),
    ]
}

pub(super) fn state() -> impl Strategy<Value = State> {
    proptest::sample::select(State::ALL.as_slice())
}

fn some(most: u32) -> impl Strategy<Value = NonZeroU32> {
    (1..=most).prop_map(|n| NonZeroU32::new(n).unwrap())
}

fn seconds(most: u64) -> impl Strategy<Value = Duration> {
    (1..=most).prop_map(Duration::from_secs)
}

prop_compose! {
    fn backoff()(
        base in seconds(10),
        more in seconds(60),
        table in option::of(proptest::collection::vec(seconds(60), 1..4)),
        jitter in proptest::sample::select(&[Jitter::None, Jitter::Upward, Jitter::Equal, Jitter::Full]),
    ) -> Backoff {
        match table {
            Some(table) => Backoff::by_attempt(table),
            None => Backoff::exponential(base, base + more),
        }
        .jitter(jitter)
    }
}

fn probing() -> impl Strategy<Value = Probing> {
    prop_oneof![
        some(4).prop_map(Probing::Successes),
        (some(5), 0_u32..10).prop_map(|(probes, tenths)| Probing::Rate {
            probes,
            max_bad_ratio: f64::from(tenths) / 10.0,
        }),
    ]
}

prop_compose! {
    fn step()(share in 1_u32..10, lasts in 1_u64..2_000, successes in 1_u32..4) -> Step {
        Step::new(f64::from(share) / 10.0, Duration::from_millis(lasts), successes)
    }
}

prop_compose! {
    fn ramp()(
        mut steps in proptest::collection::vec(step(), 1..4),
        row in some(4),
        ratio in 1_u32..=10,
        calls in some(8),
    ) -> Ramp {
        steps.sort_by(|a, b| a.share.total_cmp(&b.share));
        Ramp::new(steps).bad_in_a_row(row).bad_ratio(f64::from(ratio) / 10.0, calls)
    }
}

fn limit() -> impl Strategy<Value = HalfOpenLimit> {
    let then = proptest::sample::select(&[State::Open, State::Closed]);
    (seconds(40), then).prop_map(|(after, then)| HalfOpenLimit::new(after, then))
}

prop_compose! {
    pub(super) fn settings()(
        open_for in backoff(),
        probes in some(3),
        probing in probing(),
        deadline in seconds(30),
        shortest in option::of(seconds(5)),
        limit in option::of(limit()),
        ramp in option::weighted(0.7, ramp()),
        run in option::of((seconds(5), 1_u32..3)),
    ) -> Settings {
        let mut settings = Settings::default()
            .open_for(open_for)
            .max_probes(probes)
            .probing(probing)
            .probe_deadline(deadline)
            .ramp(ramp);
        settings.shortest_asked = shortest;
        settings.half_open_limit = limit;
        if let Some((lasts, successes)) = run {
            settings.healthy_run = HealthyRun::new(lasts, successes);
        }
        assert_eq!(settings.validate(), Ok(()));
        settings
    }
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let asked = || option::weighted(0.3, duration());
    prop_oneof![
        24 => Just(Op::Admit),
        20 => (any::<usize>(), outcome(), asked())
            .prop_map(|(i, outcome, asked)| Op::Settle(i, outcome, asked)),
        4 => any::<usize>().prop_map(Op::Answered),
        6 => (duration(), asked()).prop_map(|(after, asked)| Op::Overdue(after, asked)),
        2 => (1_u32..4, asked()).prop_map(|(calls, asked)| Op::OverdueInRamp(calls, asked)),
        6 => duration().prop_map(Op::Advance),
        8 => any::<bool>().prop_map(|short| Op::AdvanceAsTold { short }),
        5 => asked().prop_map(Op::Trip),
        5 => state().prop_map(Op::To),
        1 => settings().prop_map(Op::Reconfigure),
        1 => duration().prop_map(Op::Restart),
        1 => (state(), duration(), any::<u32>())
            .prop_map(|(state, remaining, attempt)| Op::Forge(state, remaining, attempt)),
    ]
}
