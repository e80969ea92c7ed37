//! Our own recorder.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_latency::{Config, LatencyHandle, Recorder, RollingRecorder, Windows};

use super::routes;
use super::samples::durations;
use crate::Error;
use crate::measure::Candidate;

pub(super) const NAME: &str = "buttress";

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let all = vec![record(), windows(), looked_up()?];
    for candidate in &all {
        candidate.expect(1_000, 1_000)?;
    }
    Ok(all)
}

fn record() -> Candidate {
    let (samples, recorder) = (durations(), Recorder::new());
    Candidate::new("record", NAME, move |records| {
        samples.each(records, |duration| recorder.record(duration));
        records
    })
}

fn windows() -> Candidate {
    let (samples, rolling) = (durations(), busy());
    Candidate::new("record/windows", NAME, move |records| {
        samples.each(records, |duration| {
            rolling.record(Instant::ORIGIN, duration);
        });
        records
    })
}

fn looked_up() -> Result<Candidate, Error> {
    let (samples, handle) = (durations(), LatencyHandle::new(Config::new())?);
    for route in routes() {
        let warm = Duration::from_millis(1);
        handle.record(&route, Outcome::Success, Instant::ORIGIN, warm);
    }
    let route = routes().pop().unwrap_or_default();
    Ok(Candidate::new("record/route", NAME, move |records| {
        samples.each(records, |duration| {
            handle.record(&route, Outcome::Success, Instant::ORIGIN, duration);
        });
        records
    }))
}

/// Every window with its percentiles.
pub(super) fn read() -> Candidate {
    let rolling = busy();
    Candidate::new("read", NAME, move |reads| {
        (0..reads)
            .filter(|_| {
                let windows = rolling.windows(Instant::ORIGIN);
                windows
                    .iter()
                    .all(|window| window.percentiles().p999.count > 0)
            })
            .count() as u64
    })
}

/// How the P99 has moved over slices that are all full.
pub(super) fn trend() -> Candidate {
    let (samples, rolling) = (durations(), busy());
    let at = |seconds| Instant::ORIGIN.saturating_add(Duration::from_secs(seconds));
    for second in 0..320 {
        samples.each(1_000, |duration| rolling.record(at(second), duration));
    }
    Candidate::new("trend", NAME, move |reads| {
        let known = |_: &u64| rolling.trend(0.99, at(320)).slope.is_some();
        (0..reads).filter(known).count() as u64
    })
}

/// A series that has counted something already.
pub(super) fn busy() -> Arc<RollingRecorder> {
    let rolling = RollingRecorder::new(&Windows::default(), Instant::ORIGIN);
    durations().each(10_000, |duration| {
        rolling.record(Instant::ORIGIN, duration);
    });
    Arc::new(rolling)
}
