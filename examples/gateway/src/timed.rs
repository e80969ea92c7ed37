//! What an endpoint takes to answer, for the status page, the table and one histogram of each endpoint.
//!
//! Lighter than a latency layer: no series, no body, no service, one recorder for each endpoint. What
//! clients see is measured further out, to the end of the body.

use std::sync::Arc;
use std::time::Duration;

use buttress::core::clock::{Clock, Instant};
use buttress::latency::{RollingRecorder, Snapshot, WindowSnapshot, Windows};

/// The time that one endpoint takes to the heads of its responses; clones record into one.
#[derive(Clone, Debug)]
pub struct HeadTimes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    recorder: RollingRecorder,
    clock: Clock,
}

impl HeadTimes {
    /// Nothing recorded yet, on `clock`.
    pub fn new(clock: Clock) -> Self {
        let recorder = RollingRecorder::new(&Windows::default(), clock.now());
        Self(Arc::new(Shared { recorder, clock }))
    }

    /// The rolling windows at this moment, the shortest first.
    pub fn windows(&self) -> Vec<WindowSnapshot> {
        self.0.recorder.windows(self.0.clock.now())
    }

    /// All that was recorded.
    pub fn total(&self) -> Snapshot {
        self.0.recorder.total()
    }

    /// The moment at which a request is sent.
    pub(crate) fn start(&self) -> Instant {
        self.0.clock.now()
    }

    /// How long ago `start` was.
    pub(crate) fn since(&self, start: Instant) -> Duration {
        self.0.clock.now().saturating_since(start)
    }

    /// A head has come for what was sent at `start`.
    pub(crate) fn record(&self, start: Instant) {
        let now = self.0.clock.now();
        self.0.recorder.record(now, now.saturating_since(start));
    }
}

#[cfg(test)]
mod tests {
    use buttress::core::clock::ManualClock;

    use super::*;

    #[test]
    fn the_time_to_the_head_is_recorded() {
        let time = ManualClock::new();
        let times = HeadTimes::new(time.clock());
        let start = times.start();
        time.advance(Duration::from_millis(20));
        times.record(start);
        let windows = times.windows();
        assert!(windows.iter().all(|window| window.counts.count() == 1));
        assert!(windows[0].counts.sum() >= Duration::from_millis(20));
        assert_eq!(times.total().count(), 1);
    }
}
