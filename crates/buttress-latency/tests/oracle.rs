//! Quantiles against HdrHistogram, and against the samples themselves.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use std::time::Duration;

use buttress_core::rng::Rng;
use buttress_latency::{PERCENTILES, Recorder, Snapshot};
use hdrhistogram::Histogram;
use proptest::prelude::*;

const SAMPLES: usize = 200_000;

fn unit(rng: &Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn normal(rng: &Rng) -> f64 {
    (-2.0 * unit(rng).ln()).sqrt() * (std::f64::consts::TAU * unit(rng)).cos()
}

fn check(name: &str, mut sample: impl FnMut(&Rng) -> f64) {
    let rng = Rng::seeded(7);
    let recorder = Recorder::new();
    let mut oracle: Histogram<u64> = Histogram::new_with_max(4_096_000_000_000, 4).unwrap();
    let mut sorted = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let nanos = (sample(&rng) * 1e9).clamp(1_000.0, 4e12) as u64;
        recorder.record(Duration::from_nanos(nanos));
        oracle.record(nanos).unwrap();
        sorted.push(nanos);
    }
    sorted.sort_unstable();
    let snapshot = recorder.snapshot();
    assert_eq!(snapshot.count(), oracle.len());
    // Forty more, none of which falls between two samples.
    let all = SAMPLES as f64;
    let sweep = (0..40).map(|nth| (f64::from(nth) * all / 40.0 + 100.5) / all);
    for q in PERCENTILES.into_iter().chain([0.0001, 0.9999]).chain(sweep) {
        let value = snapshot.quantile(q).value().unwrap().as_nanos() as f64;
        let close = |truth: u64, bound: f64| (value / truth as f64 - 1.0).abs() <= bound;
        let hdr = oracle.value_at_quantile(q);
        assert!(
            close(hdr, 0.006),
            "{name} P{q}: {value} beside HdrHistogram's {hdr}"
        );
        let rank = ((q * SAMPLES as f64 - 1e-6).ceil() as usize).max(1);
        let truth = *sorted.get(rank - 1).unwrap();
        assert!(
            close(truth, 0.005_42),
            "{name} P{q}: {value} beside the sample {truth}"
        );
    }
}

#[test]
fn lognormal_quantiles_are_right() {
    check("lognormal", |rng| 0.005 * normal(rng).exp());
}

#[test]
fn bimodal_quantiles_are_right() {
    check("bimodal", |rng| {
        let mode = if unit(rng) < 0.9 { 0.002 } else { 0.180 };
        mode * (0.1 * normal(rng)).exp()
    });
}

#[test]
fn pareto_quantiles_are_right() {
    check("pareto", |rng| 0.001 * unit(rng).powf(-1.0 / 1.2));
}

#[test]
fn constant_quantiles_are_right() {
    check("constant", |_| 0.012_345);
}

/// All at the edges of buckets, on either side by turns: as far from each other's middle as can be.
#[test]
fn quantiles_of_samples_beside_the_edges_are_right() {
    check("edges", |rng| {
        let index = rng.next_u64() % 1_000;
        let edge = ((index as f64 - 600.0) / 64.0).exp2();
        edge + if rng.next_u64() % 2 == 0 { 1e-9 } else { 0.0 }
    });
}

/// Nearly all alike, and the rest where the last quantiles have to find it.
#[test]
fn quantiles_of_one_rare_outlier_among_constants_are_right() {
    let drawn = std::cell::Cell::new(0_u32);
    check("outliers", |rng| {
        drawn.set(drawn.get() + 1);
        match drawn.get() % 1_000 {
            0 => 1_000.0 * (1.0 + unit(rng)),
            _ => 0.000_002,
        }
    });
}

#[test]
fn a_classic_count_is_exact() {
    let recorder = Recorder::new();
    let rng = Rng::seeded(3);
    let samples: Vec<u64> = (0..SAMPLES)
        .map(|_| (0.05 * normal(&rng).exp() * 1e9) as u64)
        .collect();
    for nanos in &samples {
        recorder.record(Duration::from_nanos(*nanos));
    }
    // The bounds themselves belong to their own bucket.
    for bound in buttress_latency::CLASSIC_BOUNDS {
        recorder.record(Duration::from_secs_f64(bound));
    }
    let snapshot = recorder.snapshot();
    for (nth, (bound, count)) in (1..).zip(snapshot.classic()) {
        let within = samples
            .iter()
            .filter(|nanos| **nanos <= (bound * 1e9).round() as u64)
            .count();
        assert_eq!(count, within as u64 + nth, "le={bound}");
        assert_eq!(snapshot.at_or_below(Duration::from_secs_f64(bound)), count);
    }
    let native: u64 = snapshot.native().iter().map(|(_, count)| count).sum();
    assert_eq!(
        native + snapshot.below() + snapshot.above(),
        snapshot.count()
    );
}

#[test]
fn a_quantile_of_too_few_samples_is_unknown() {
    let recorder = Recorder::new();
    for millis in 1..=12 {
        recorder.record(Duration::from_millis(millis));
    }
    let snapshot = recorder.snapshot();
    assert_eq!(snapshot.quantile(0.999).value(), None);
    assert_eq!(snapshot.quantile(0.99).value(), None);
    assert!(snapshot.quantile(0.9).value().is_some());
    assert!(snapshot.quantile(0.5).value().is_some());
    assert_eq!(Snapshot::default().quantile(0.5).value(), None);
}

proptest! {
    // The oracle counts through all of its buckets for each quantile.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the samples are: at every one of them.
    #[test]
    fn every_quantile_of_any_samples_is_that_of_the_oracle(
        exponents in proptest::collection::vec(3.0..12.6_f64, 2..60),
    ) {
        let recorder = Recorder::new();
        let mut oracle: Histogram<u64> = Histogram::new_with_max(4_096_000_000_000, 4).unwrap();
        for exponent in &exponents {
            let nanos = 10_f64.powf(*exponent) as u64;
            recorder.record(Duration::from_nanos(nanos));
            oracle.record(nanos).unwrap();
        }
        let snapshot = recorder.snapshot();
        for rank in 0..exponents.len() {
            let q = (rank as f64 + 0.5) / exponents.len() as f64;
            if let Some(value) = snapshot.quantile(q).value() {
                let truth = oracle.value_at_quantile(q) as f64;
                prop_assert!((value.as_nanos() as f64 / truth - 1.0).abs() <= 0.006);
            } else {
                prop_assert!(q.min(1.0 - q) * (exponents.len() as f64) < 1.0);
            }
        }
    }
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    proptest::collection::vec(0..5_000_000_000_000_u64, 0..50).prop_map(|samples| {
        let recorder = Recorder::new();
        for nanos in samples {
            recorder.record(Duration::from_nanos(nanos));
        }
        recorder.snapshot()
    })
}

proptest! {
    #[test]
    fn merging_is_commutative_and_associative(a in snapshots(), b in snapshots(), c in snapshots()) {
        prop_assert_eq!(a.clone() + &b, b.clone() + &a);
        let left = (a.clone() + &b) + &c;
        let right = a.clone() + &(b.clone() + &c);
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(left.count(), a.count() + b.count() + c.count());
        prop_assert_eq!(left.since(&c), (a + &b).since(&Snapshot::default()));
    }

    #[test]
    fn a_quantile_never_falls_as_its_share_rises(snapshot in snapshots(), p in 0.0..1.0, q in 0.0..1.0) {
        let (p, q) = if p <= q { (p, q) } else { (q, p) };
        if let (Some(low), Some(high)) = (snapshot.quantile(p).as_gauge(), snapshot.quantile(q).as_gauge()) {
            prop_assert!(low <= high);
        }
    }
}
