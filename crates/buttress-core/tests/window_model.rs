//! A window holds what an exact recount of everything ever recorded would find.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::window::{BUCKETS, CallWindow, Counts, TimeWindow};
use proptest::prelude::*;

fn recount(calls: impl Iterator<Item = bool>) -> Counts {
    calls.fold(Counts::default(), |sum, bad| Counts {
        total: sum.total + 1,
        bad: sum.bad + u64::from(bad),
    })
}

/// Steps between records, from none to a century, forwards and back.
fn step() -> impl Strategy<Value = i128> {
    let century = 3_153_600_000_000_000_000_i128;
    prop_oneof![
        6 => 0_i128..2_000,
        4 => -40_000_i128..40_000,
        2 => Just(1_i128),
        1 => Just(century),
        1 => Just(-century),
        1 => Just(i128::from(u64::MAX)),
    ]
}

fn walk(now: Instant, step: i128) -> Instant {
    let nanos = (i128::from(now.as_nanos()) + step).clamp(0, i128::from(u64::MAX));
    Instant::from_nanos(u64::try_from(nanos).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_call_window_equals_a_recount_of_the_last_calls(
        len in 1_u32..200,
        calls in proptest::collection::vec(any::<bool>(), 0..600),
    ) {
        let mut window = CallWindow::new(NonZeroU32::new(len).unwrap());
        for (n, bad) in calls.iter().enumerate() {
            window.record(*bad);
            let so_far = &calls[..=n];
            let last = so_far.iter().rev().take(len as usize).copied();
            prop_assert_eq!(window.counts(), recount(last));
        }
    }

    #[test]
    fn many_calls_alike_are_as_many_calls_one_by_one(
        len in 1_u32..100,
        runs in proptest::collection::vec((any::<bool>(), 0_u64..250), 1..10),
    ) {
        let mut at_once = CallWindow::new(NonZeroU32::new(len).unwrap());
        let mut singly = at_once.clone();
        for (bad, n) in runs {
            at_once.record_many(bad, n);
            (0..n).for_each(|_| singly.record(bad));
            prop_assert_eq!(at_once.counts(), singly.counts());
        }
    }

    #[test]
    fn a_resized_call_window_goes_on_as_if_it_had_always_had_that_length(
        (before, after) in (1_u32..150, 1_u32..150),
        first in proptest::collection::vec(any::<bool>(), 0..300),
        then in proptest::collection::vec(any::<bool>(), 0..300),
    ) {
        let mut window = CallWindow::new(NonZeroU32::new(before).unwrap());
        for bad in &first {
            window.record(*bad);
        }
        let mut window = window.resized(NonZeroU32::new(after).unwrap());
        let kept = first.iter().rev().take(before as usize).rev().copied();
        let mut held: Vec<bool> = kept.collect();
        for bad in then {
            window.record(bad);
            held.push(bad);
            let last = held.iter().rev().take(after as usize).copied();
            prop_assert_eq!(window.counts(), recount(last));
        }
    }

    #[test]
    fn a_time_window_equals_a_recount_over_its_buckets_in_whatever_order_instants_come(
        span in prop_oneof![1_u64..2_000, Just(10_000_000_000), Just(u64::MAX)],
        steps in proptest::collection::vec((step(), any::<bool>()), 1..200),
    ) {
        let mut window = TimeWindow::new(Duration::from_nanos(span));
        let width = (span / BUCKETS as u64).max(1);
        let mut calls: Vec<(Instant, bool)> = Vec::new();
        let mut now = Instant::from_nanos(3_600_000_000_000);
        for (step, bad) in steps {
            now = walk(now, step);
            window.record(now, bad);
            calls.push((now, bad));
            let latest = calls.iter().map(|(at, _)| *at).max().unwrap();
            let last = latest.as_nanos() / width;
            let in_window = calls.iter().filter(|(at, _)| last - at.as_nanos() / width < BUCKETS as u64);
            prop_assert_eq!(window.counts(latest), recount(in_window.map(|(_, bad)| *bad)));
        }
    }

    #[test]
    fn what_has_left_a_window_is_handed_out_once_oldest_first_and_nothing_is_lost(
        span in prop_oneof![16_u64..2_000, Just(10_000_000_000)],
        steps in proptest::collection::vec((0_i128..2_000, any::<bool>()), 1..200),
    ) {
        let mut window = TimeWindow::new(Duration::from_nanos(span));
        let mut now = Instant::from_nanos(3_600_000_000_000);
        let (mut recorded, mut left) = (Counts::default(), Counts::default());
        let add = |sum: &mut Counts, more: Counts| {
            sum.total += more.total;
            sum.bad += more.bad;
        };
        for (step, bad) in steps {
            now = walk(now, step);
            let covered = window.counts(now);
            let mut before = Instant::ORIGIN;
            for (at, counts) in window.take_left(now) {
                prop_assert!(at >= before && window.bucket_end(at) <= now);
                prop_assert!(counts.total > 0, "a bucket in which nothing ended");
                before = at;
                add(&mut left, counts);
            }
            prop_assert_eq!((window.held(), window.counts(now)), (covered, covered));
            window.record(now, bad);
            add(&mut recorded, Counts { total: 1, bad: u64::from(bad) });
        }
        add(&mut left, window.held());
        prop_assert_eq!(left, recorded);
    }

    #[test]
    fn nothing_leaves_a_window_before_its_bucket_ends(
        span in 16_u64..100_000,
        ages in proptest::collection::vec(0_u64..100_000, 1..20),
        at in 200_000_u64..400_000,
    ) {
        let mut window = TimeWindow::new(Duration::from_nanos(span));
        let now = Instant::from_nanos(at);
        for age in ages {
            window.record(Instant::from_nanos(at - age), true);
        }
        let end = window.bucket_end(now);
        prop_assert!(end > now);
        let last = end.saturating_sub(Duration::from_nanos(1));
        prop_assert_eq!(window.counts(last), window.counts(now));
    }

    #[test]
    fn a_time_window_covers_at_least_fifteen_sixteenths_of_its_span_and_at_most_all_of_it(
        span in 16_u64..1_000_000,
        age in 0_u64..2_000_000,
        at in 2_000_000_u64..4_000_000,
    ) {
        let mut window = TimeWindow::new(Duration::from_nanos(span));
        let (now, then) = (Instant::from_nanos(at), Instant::from_nanos(at - age));
        window.record(then, true);
        let held = window.counts(now).total == 1;
        let width = span / BUCKETS as u64;
        if age <= width * (BUCKETS as u64 - 1) {
            prop_assert!(held, "an age of {} is gone", age);
        }
        if u128::from(age) >= window.span().as_nanos() {
            prop_assert!(!held, "an age of {} is still there", age);
        }
    }

    #[test]
    fn a_resized_time_window_invents_nothing_and_goes_on_counting(
        (before, after) in (16_u64..5_000, 16_u64..5_000),
        steps in proptest::collection::vec((0_i128..600, any::<bool>()), 1..100),
    ) {
        let mut window = TimeWindow::new(Duration::from_nanos(before));
        let mut now = Instant::from_nanos(3_600_000_000_000);
        for (step, bad) in steps {
            now = walk(now, step);
            window.record(now, bad);
        }
        let held = window.counts(now);
        let mut resized = window.resized(Duration::from_nanos(after));
        let kept = resized.counts(now);
        if after <= before {
            prop_assert!(kept.total <= held.total && kept.bad <= held.bad, "{:?} of {:?}", kept, held);
        }
        prop_assert!(kept.bad <= kept.total);
        resized.record(now, true);
        let expected = Counts { total: kept.total + 1, bad: kept.bad + 1 };
        prop_assert_eq!(resized.counts(now), expected);
    }
}

#[test]
fn a_window_says_what_it_spans() {
    assert_eq!(CallWindow::new(NonZeroU32::new(70).unwrap()).span(), 70);
    let second = Duration::from_secs(1);
    assert_eq!(TimeWindow::new(second).span(), second);
}

#[test]
fn a_cleared_window_holds_nothing() {
    let now = Instant::from_nanos(1);
    let mut time = TimeWindow::new(Duration::from_secs(1));
    let mut calls = CallWindow::new(NonZeroU32::new(3).unwrap());
    for _ in 0..5 {
        time.record(now, true);
        calls.record(true);
    }
    time.clear();
    calls.clear();
    assert_eq!((time.counts(now), calls.counts()), Default::default());
    calls.record(false);
    assert_eq!(calls.counts(), Counts { total: 1, bad: 0 });
}

#[test]
fn an_empty_window_has_a_ratio_of_nothing() {
    assert!(Counts::default().ratio().abs() < f64::EPSILON);
    assert!((Counts { total: 4, bad: 1 }.ratio() - 0.25).abs() < f64::EPSILON);
}
