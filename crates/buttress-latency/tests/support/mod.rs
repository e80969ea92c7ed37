//! What tests of the HTTP layer share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses what it needs"
)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use std::future::Future;

use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Family};
use buttress_latency::{Config, LatencyHandle, LatencySnapshot, SeriesSnapshot};
use buttress_testing::drop_after_polls;
use http::Request;

pub fn measured(time: &ManualClock) -> LatencyHandle {
    LatencyHandle::new(Config::new().clock(time.clock())).unwrap()
}

pub fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

/// Polls what needs no waiting to its end.
pub fn now<F: Future>(future: F) -> F::Output {
    drop_after_polls(future, 1_000).unwrap()
}

pub fn only(snapshot: &LatencySnapshot) -> &SeriesSnapshot {
    assert_eq!(snapshot.series.len(), 1, "{:?}", snapshot.series);
    &snapshot.series[0]
}

pub fn families(handle: &LatencyHandle) -> Vec<Family> {
    let mut families = Vec::new();
    handle.collect(&mut families);
    families
}

pub fn family(handle: &LatencyHandle, name: &str) -> Family {
    let mut all = families(handle).into_iter();
    all.find(|family| family.name == name).unwrap()
}
