//! Snapshots as they are written and read.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_latency::{
    Estimate, LatencyHandle, Recorder, RollingRecorder, Snapshot, WindowSnapshot, Windows,
};
use proptest::prelude::*;

fn recorded(nanos: &[u64]) -> Snapshot {
    let recorder = Recorder::new();
    for nanos in nanos {
        recorder.record(Duration::from_nanos(*nanos));
    }
    recorder.snapshot()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(nanos in proptest::collection::vec(0..5_000_000_000_000_u64, 0..200)) {
        let snapshot = recorded(&nanos);
        for snapshot in [snapshot.clone(), snapshot.since(&Snapshot::default())] {
            let text = serde_json::to_string(&snapshot).unwrap();
            prop_assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
        }
    }

    #[test]
    fn whatever_is_read_can_be_added_up_and_asked(
        buckets in proptest::collection::vec((0..6_000_000_000_000_u64, any::<u64>()), 0..5),
        below in any::<u64>(),
        above in any::<u64>(),
        sum in any::<u64>(),
        extremes in any::<Option<(u64, u64)>>(),
    ) {
        let wire = serde_json::json!({
            "sum_ns": sum, "below": below, "above": above, "buckets": buckets,
            "shortest_ns": extremes.map(|(shortest, _)| shortest),
            "longest_ns": extremes.map(|(_, longest)| longest),
        });
        if let Ok(snapshot) = serde_json::from_value::<Snapshot>(wire) {
            let twice = snapshot.clone() + &snapshot;
            let (classic, native) = (twice.classic().count(), twice.native().len());
            prop_assert!(classic == 14 && native <= 5);
            prop_assert!(twice.count() >= snapshot.count());
            prop_assert!(twice.percentiles().p50.count == twice.count());
            let ends = (twice.minimum(), twice.maximum());
            prop_assert_eq!(ends.0.is_some(), ends.1.is_some());
        }
    }
}

#[test]
fn a_snapshot_is_written_as_integers_that_explain_themselves() {
    let snapshot = recorded(&[3, 5_000_000, 5_000_001, 1_000_000_000, 5_000_000_000_000]);
    let expected = serde_json::json!({
        "sum_ns": 5_001_010_000_004_u64,
        "shortest_ns": 3,
        "longest_ns": 5_000_000_000_000_u64,
        "below": 1,
        "above": 1,
        "buckets": [[5_000_000, 1], [5_011_211, 1], [1_000_000_000, 1]],
    });
    assert_eq!(serde_json::to_value(&snapshot).unwrap(), expected);
}

#[test]
fn what_no_recorder_can_have_counted_is_refused() {
    let refused = |text: &str| {
        serde_json::from_str::<Snapshot>(text)
            .unwrap_err()
            .to_string()
    };
    let error = refused(r#"{"sum_ns": 1, "buckets": [[5000001, 1]]}"#);
    assert!(error.starts_with("no bucket ends at 5000001 ns"), "{error}");
    let error = refused(r#"{"sum_ns": 1, "buckets": [[10000000, 1], [5000000, 1]]}"#);
    assert!(
        error.starts_with("the bucket that ends at 5000000 ns is out of order"),
        "{error}"
    );
    let error =
        refused(r#"{"sum_ns": 1, "shortest_ns": 2, "longest_ns": 1, "buckets": [[5000000, 1]]}"#);
    assert!(error.starts_with("shortest_ns and longest_ns"), "{error}");
}

#[test]
fn windows_are_read_again_and_everything_a_handle_shows_is_written() {
    let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
    rolling.record(Instant::ORIGIN, Duration::from_millis(5));
    let windows = rolling.windows(Instant::ORIGIN);
    let text = serde_json::to_string(&windows).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<WindowSnapshot>>(&text).unwrap(),
        windows
    );
    let written = serde_json::to_value(LatencyHandle::default().snapshot()).unwrap();
    assert_eq!(written["overflowed"], 0);
    let quantile = serde_json::to_value(rolling.total().quantile(0.999)).unwrap();
    assert_eq!(quantile["estimate"]["unknown"]["needed"], 1000);
    assert_eq!(
        serde_json::to_value(Estimate::AtMost(Duration::ZERO)).unwrap()["at_most"]["secs"],
        0
    );
}
