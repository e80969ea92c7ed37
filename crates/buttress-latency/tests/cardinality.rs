//! A client that invents names gains nothing: series stay at their cap, and memory where it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::borrow::Cow;
use std::convert::Infallible;

use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use buttress_testing::{ScriptedBody, drop_after_polls};
use http::{Method, Request, Response};
use tower::{Layer, Service, service_fn};

const CAP: usize = 100;
const WARM: u64 = 100_000;
const ATTACK: u64 = 1_000_000;
/// What an allocator may keep for itself. A name of 16 bytes kept for each request would be more than
/// three times as much.
const SLACK: u64 = 4 << 20;

/// The memory of this process that is in use, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}

/// A request whose method, path and host nobody has used before.
fn invented(n: u64) -> Request<()> {
    Request::builder()
        .method(Method::from_bytes(format!("M{n}").as_bytes()).unwrap())
        .uri(format!("http://host-{n}.example/path/{n}"))
        .body(())
        .unwrap()
}

#[test]
fn a_million_methods_paths_and_hosts_leave_the_series_at_their_cap_and_memory_flat() {
    let handle = LatencyHandle::new(Config::new().max_series(CAP)).unwrap();
    // The worst a host can do: the path itself as route.
    let layer = LatencyLayer::new(handle.clone())
        .route_by(|head| Some(Cow::Owned(head.uri.path().to_owned())));
    let mut service = layer.layer(service_fn(|_| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            ScriptedBody::new().exact(),
        )))
    }));
    let mut attack = |requests: std::ops::Range<u64>| {
        for n in requests {
            drop(drop_after_polls(service.call(invented(n)), 1));
        }
    };
    attack(0..WARM);
    let before = resident();
    attack(WARM..ATTACK);
    let grown = resident().saturating_sub(before);
    assert!(grown < SLACK, "{grown} bytes more after {ATTACK} requests");

    let snapshot = handle.snapshot();
    assert_eq!(snapshot.series.len(), CAP + 1, "and the overflow");
    assert_eq!(snapshot.routes.len(), CAP + 1, "and the overflow");
    assert_eq!(snapshot.overflowed, ATTACK - CAP as u64);
    let counted: u64 = snapshot.series.iter().map(|s| s.total.count()).sum();
    assert_eq!(counted, ATTACK);
    assert!(snapshot.series.iter().all(|s| s.method == Some("_OTHER")));
    assert_eq!(handle.in_flight(), 0);
}
