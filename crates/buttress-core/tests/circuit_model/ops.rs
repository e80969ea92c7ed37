//! What can happen to a circuit.

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::circuit::{Backoff, HealthyRun, Jitter, Settings};
use buttress_core::outcome::{FailureKind, Outcome};
use proptest::prelude::*;

/// One event.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Admit,
    Answered(usize),
    Settle(usize, Outcome),
    Advance(Duration),
    /// Exactly as long as the last rejection said, or a nanosecond less.
    AdvanceAsTold {
        short: bool,
    },
    Trip(Option<Duration>),
    ForceOpen,
    ForceClosed,
    Release,
    Reconfigure(Settings),
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
        4 => Just(Outcome::Success),
        2 => Just(Outcome::Failure(FailureKind::Answer)),
        1 => Just(Outcome::Slow),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Abandoned),
    ]
}

fn jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Upward),
        Just(Jitter::Equal),
        Just(Jitter::Full)
    ]
}

prop_compose! {
    pub(super) fn settings()(
        base in (1_u64..=10).prop_map(Duration::from_secs),
        more in (0_u64..60).prop_map(Duration::from_secs),
        jitter in jitter(),
        probes in 1_u32..4,
        successes in 1_u32..4,
        deadline in (1_u64..=30).prop_map(Duration::from_secs),
        run in proptest::option::of((1_u64..5, 0_u32..3)),
    ) -> Settings {
        Settings::default()
            .open_for(Backoff::exponential(base, base + more).jitter(jitter))
            .max_probes(NonZeroU32::new(probes).unwrap())
            .successes_to_close(NonZeroU32::new(successes).unwrap())
            .probe_deadline(deadline)
            .ramp(None)
            .healthy_run(run.map_or(HealthyRun::default(), |(lasts, successes)| {
                HealthyRun::new(Duration::from_secs(lasts), successes)
            }))
    }
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Admit),
        10 => (any::<usize>(), outcome()).prop_map(|(i, outcome)| Op::Settle(i, outcome)),
        4 => any::<usize>().prop_map(Op::Answered),
        4 => duration().prop_map(Op::Advance),
        4 => any::<bool>().prop_map(|short| Op::AdvanceAsTold { short }),
        5 => proptest::option::of(duration()).prop_map(Op::Trip),
        1 => Just(Op::ForceOpen),
        1 => Just(Op::ForceClosed),
        2 => Just(Op::Release),
        1 => settings().prop_map(Op::Reconfigure),
    ]
}
