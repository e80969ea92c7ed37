//! Rolling windows under racing writers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_latency::{Estimate, RollingRecorder, Snapshot, Windows};
use proptest::prelude::*;

const THREADS: u64 = 4;
const RECORDS: u64 = 50_000;

/// What a window that holds all of `total` is: its extremes are those of its buckets.
fn difference(total: &Snapshot) -> Snapshot {
    total.since(&Snapshot::default())
}

/// Writers race with each other, with ticks and with a reader; no time passes that would let a
/// slice leave the longest window.
#[test]
fn windows_sum_to_the_cumulative_count_under_racing_writers() {
    let windows = Windows::new([10, 3600].map(Duration::from_secs)).unwrap();
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&windows, time.now());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (rolling, time) = (&rolling, &time);
                scope.spawn(move || {
                    for n in 0..RECORDS {
                        if n % 1000 == 0 {
                            time.advance(Duration::from_millis(1_300));
                        }
                        let nanos = (n + 1) * (thread + 1) * 1_000;
                        rolling.record(time.now(), Duration::from_nanos(nanos));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = Snapshot::default();
            while !done.load(Ordering::Relaxed) {
                let (total, windows) = rolling.read(time.now());
                assert_eq!(
                    windows[1].counts,
                    difference(&total),
                    "within the hour nothing leaves"
                );
                assert!(windows[0].counts.count() <= total.count());
                let seen = total.since(&last) + &last;
                assert!(difference(&seen) == difference(&total), "no counter falls");
                last = total;
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let (total, windows) = rolling.read(time.now());
    assert_eq!(total.count(), THREADS * RECORDS);
    assert_eq!(windows[1].counts, difference(&total));
}

/// The deltas of consecutive windows, read as they end, add up to everything.
#[test]
fn nothing_is_lost_or_counted_twice_at_ticks() {
    let windows = Windows::new([Duration::from_secs(1)]).unwrap();
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&windows, time.now());
    let mut seen = Snapshot::default();
    for n in 0..1_000_u64 {
        // Each window of one second holds its own records alone: 10 of them, 99 ms apart.
        for k in 0..10 {
            let now = time.now().saturating_add(Duration::from_millis(99 * k));
            rolling.record(now, Duration::from_micros(n + k + 1));
        }
        seen += &rolling.windows(time.now().saturating_add(Duration::from_millis(999)))[0].counts;
        time.advance(Duration::from_secs(1));
    }
    assert_eq!(seen, difference(&rolling.total()));
    assert_eq!(seen.count(), 10_000);
}

#[test]
fn an_idle_service_reads_as_empty() {
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), time.now());
    rolling.record(time.now(), Duration::from_millis(1));
    time.advance(Duration::from_secs(300));
    for window in rolling.windows(time.now()) {
        assert!(window.counts.is_empty(), "{window:?}");
    }
    assert_eq!(rolling.total().count(), 1);
}

/// The bounds of the buckets, even where the recorder knows better.
#[test]
fn the_extremes_of_a_window_are_those_of_its_records_as_far_as_buckets_tell() {
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), time.now());
    rolling.record(time.now(), Duration::from_millis(1));
    rolling.record(time.now(), Duration::from_secs(100));
    time.advance(Duration::from_secs(30));
    for millis in [20, 50, 80] {
        rolling.record(time.now(), Duration::from_millis(millis));
    }
    let within = |estimate: Option<Estimate>| match estimate.unwrap() {
        Estimate::Within {
            shortest, longest, ..
        } => shortest..=longest,
        other => panic!("{other:?}"),
    };
    let (total, windows) = rolling.read(time.now());
    let counts = &windows[0].counts;
    assert!(within(counts.minimum()).contains(&Duration::from_millis(20)));
    assert!(within(counts.maximum()).contains(&Duration::from_millis(80)));
    assert_eq!(counts.quantile(0.0).estimate, counts.minimum().unwrap());
    assert_eq!(
        total.minimum().unwrap().value(),
        Some(Duration::from_millis(1))
    );
    assert_eq!(
        total.maximum().unwrap().value(),
        Some(Duration::from_secs(100))
    );
    time.advance(Duration::from_secs(30));
    assert_eq!(rolling.windows(time.now())[0].counts.maximum(), None);
}

#[test]
fn windows_are_right_though_nobody_reads_for_long() {
    let time = ManualClock::new();
    let rolling = RollingRecorder::new(&Windows::default(), time.now());
    for second in 0..600_u64 {
        rolling.record(time.now(), Duration::from_millis(second + 1));
        time.advance(Duration::from_secs(1));
    }
    let counts: Vec<u64> = rolling
        .windows(time.now())
        .iter()
        .map(|window| window.counts.count())
        .collect();
    // The running slice has just begun, so each window reaches back by its length less one slice.
    assert_eq!(counts, [9, 57, 285]);
    let covered: Vec<_> = rolling
        .windows(time.now())
        .iter()
        .map(|window| window.covered)
        .collect();
    assert_eq!(covered, [9, 57, 285].map(Duration::from_secs));
}

#[test]
fn any_gap_and_any_step_of_the_clock_is_safe() {
    let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
    for now in [
        Instant::ORIGIN,
        Instant::NEVER,
        Instant::ORIGIN,
        Instant::NEVER,
    ] {
        rolling.record(now, Duration::MAX);
        rolling.windows(now);
    }
    assert_eq!(rolling.total().count(), 4);
}

/// The default windows by slice length in milliseconds and number of slices.
const SLICES: [(u64, u64); 3] = [(1_000, 10), (3_000, 20), (15_000, 20)];

proptest! {
    /// Each window holds what was recorded in its running slice and in the whole ones before it.
    #[test]
    fn windows_equal_an_exact_recount(
        steps in proptest::collection::vec((0..20_000_u64, 0..4_u8), 1..200),
    ) {
        let time = ManualClock::new();
        let rolling = RollingRecorder::new(&Windows::default(), time.now());
        let mut recorded = Vec::new();
        for (gap, what) in steps {
            // Short gaps and none must come up as well as long ones.
            time.advance(Duration::from_millis(if what == 0 { gap } else { gap % 700 }));
            let now = time.now().as_nanos() / 1_000_000;
            if what < 3 {
                recorded.push(now);
                rolling.record(time.now(), Duration::from_millis(1));
                continue;
            }
            for (window, (slice, slices)) in rolling.windows(time.now()).iter().zip(SLICES) {
                let oldest = (now / slice + 1 - slices) * slice;
                let expected = recorded.iter().filter(|at| **at >= oldest).count() as u64;
                prop_assert_eq!(window.counts.count(), expected, "{:?}", window.length);
                prop_assert!(window.covered <= window.length);
            }
        }
    }
}
