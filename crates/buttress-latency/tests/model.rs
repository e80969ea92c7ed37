//! Recorder and windows beside a naive model: a list of everything that was recorded, sorted when asked.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_latency::{
    CLASSIC_BOUNDS, Estimate, PERCENTILES, Recorder, RollingRecorder, Snapshot, Windows,
};
use proptest::prelude::*;
use proptest::sample::select;

/// What the buckets cover, in nanoseconds.
const RANGE: std::ops::RangeInclusive<u64> = 954..=4_096_000_000_000;
/// The default windows by slice length in milliseconds and number of slices.
const SLICES: [(u64, u64); 3] = [(1_000, 10), (3_000, 20), (15_000, 20)];

/// Durations that a bucket could get wrong: at edges, at classic bounds, beside them, out of range.
fn nanos() -> impl Strategy<Value = u64> {
    let beside = |nanos: u64| (nanos.saturating_sub(1))..=(nanos + 1);
    let edge = (-1_285..=770_i32).prop_map(|index| (f64::from(index) / 64.0).exp2() * 1e9);
    let classic = select(&CLASSIC_BOUNDS[..]).prop_map(|seconds| seconds * 1e9);
    prop_oneof![
        edge.prop_flat_map(move |nanos| beside(nanos as u64)),
        classic.prop_flat_map(move |nanos| beside(nanos.round() as u64)),
        (0.0..13.0_f64).prop_map(|exponent| 10_f64.powf(exponent) as u64),
        0..2_000_u64,
        Just(u64::from(u32::MAX) * 1_000_000),
    ]
}

/// Whether `estimate` says nothing but the truth of `nanos`, and within half a percent of it.
fn is_true_of(estimate: Estimate, nanos: u64) -> bool {
    let truth = Duration::from_nanos(nanos);
    match estimate {
        Estimate::Within {
            value,
            shortest,
            longest,
        } => {
            let error = value.abs_diff(truth).as_nanos() as f64 - 0.5;
            (shortest..=longest).contains(&truth) && error <= 0.005_42 * nanos as f64
        }
        Estimate::AtMost(bound) => truth <= bound && nanos < *RANGE.start(),
        Estimate::MoreThan(bound) => truth > bound && nanos > *RANGE.end(),
        _ => false,
    }
}

/// `counts` hold `all` and nothing else.
fn check(counts: &Snapshot, all: &[u64]) -> Result<(), TestCaseError> {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    let shorter = |bound: u64| sorted.partition_point(|nanos| *nanos <= bound) as u64;
    let len = sorted.len() as u64;
    prop_assert_eq!(counts.count(), len);
    prop_assert_eq!(counts.sum(), Duration::from_nanos(sorted.iter().sum()));
    prop_assert_eq!(counts.below(), shorter(RANGE.start() - 1));
    prop_assert_eq!(counts.above(), len - shorter(*RANGE.end()));
    for (seconds, count) in counts.classic() {
        let bound = (seconds * 1e9).round() as u64;
        prop_assert_eq!(count, shorter(bound), "le={}", seconds);
        prop_assert_eq!(counts.at_or_below(Duration::from_nanos(bound)), count);
    }
    let native: u64 = counts.native().iter().map(|(_, count)| count).sum();
    prop_assert_eq!(native + counts.below() + counts.above(), len);
    for q in PERCENTILES.into_iter().chain([0.0, 0.1, 1.0]) {
        check_quantile(counts, &sorted, q)?;
    }
    Ok(())
}

fn check_quantile(counts: &Snapshot, sorted: &[u64], q: f64) -> Result<(), TestCaseError> {
    let quantile = counts.quantile(q);
    let needed = match quantile.estimate {
        Estimate::Unknown { needed } => needed,
        estimate => {
            let rank = (q * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
            prop_assert!(
                is_true_of(estimate, sorted[rank - 1]),
                "P{}: {:?}",
                q,
                estimate
            );
            return Ok(());
        }
    };
    // Unknown is right only where less than one sample is expected beyond.
    prop_assert!((sorted.len() as u64) < needed);
    prop_assert!(sorted.is_empty() || sorted.len() as f64 * q.min(1.0 - q) < 1.0);
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Record(u64),
    Pass(u64),
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => nanos().prop_map(Step::Record),
        2 => (0..700_u64).prop_map(Step::Pass),
        1 => (0..40_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 1..150)
}

proptest! {
    #[test]
    fn a_recorder_knows_what_a_sorted_list_knows(all in proptest::collection::vec(nanos(), 0..400)) {
        let recorder = Recorder::new();
        for nanos in &all {
            recorder.record(Duration::from_nanos(*nanos));
        }
        let snapshot = recorder.snapshot();
        check(&snapshot, &all)?;
        prop_assert_eq!(snapshot.minimum().and_then(|e| e.value()), all.iter().min().map(|n| Duration::from_nanos(*n)));
        prop_assert_eq!(snapshot.maximum().and_then(|e| e.value()), all.iter().max().map(|n| Duration::from_nanos(*n)));
    }

    #[test]
    fn windows_know_what_lists_of_their_slices_know(steps in steps()) {
        let time = ManualClock::new();
        let rolling = RollingRecorder::new(&Windows::default(), time.now());
        let mut recorded: Vec<(u64, u64)> = Vec::new();
        let mut before = Snapshot::default();
        for step in steps {
            match step {
                Step::Pass(millis) => time.advance(Duration::from_millis(millis)),
                Step::Record(nanos) => {
                    recorded.push((time.now().as_nanos() / 1_000_000, nanos));
                    rolling.record(time.now(), Duration::from_nanos(nanos));
                }
                Step::Read => {
                    let now = time.now().as_nanos() / 1_000_000;
                    let (total, windows) = rolling.read(time.now());
                    for (window, (slice, slices)) in windows.iter().zip(SLICES) {
                        let oldest = (now / slice + 1).saturating_sub(slices) * slice;
                        let within = recorded.iter().filter(|(at, _)| *at >= oldest);
                        let within: Vec<u64> = within.map(|(_, nanos)| *nanos).collect();
                        check(&window.counts, &within)?;
                    }
                    let all: Vec<u64> = recorded.iter().map(|(_, nanos)| *nanos).collect();
                    check(&total, &all)?;
                    // No counter falls: what was there before is still there.
                    let difference = total.since(&Snapshot::default());
                    prop_assert_eq!(total.since(&before) + &before.since(&Snapshot::default()), difference);
                    before = total;
                }
            }
        }
    }
}
