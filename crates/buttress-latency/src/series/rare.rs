//! A recorder that is made when something is recorded in it.

use std::sync::OnceLock;
use std::time::Duration;

use buttress_core::clock::Instant;

use super::InForce;
use crate::view::Distribution;
use crate::window::{RollingRecorder, Windows};

/// Costs a pointer until it is needed.
#[derive(Debug, Default)]
pub(crate) struct Rare(OnceLock<Box<RollingRecorder>>);

impl Rare {
    #[inline]
    pub(crate) fn record(&self, in_force: &InForce, now: Instant, duration: Duration) {
        match self.0.get() {
            Some(recorder) => recorder.record(now, duration),
            None => self.make(in_force, now).record(now, duration),
        }
    }

    pub(crate) fn read(&self, now: Instant) -> Distribution {
        let Some(recorder) = self.0.get() else {
            return Distribution::default();
        };
        let (total, windows) = recorder.read(now);
        Distribution { total, windows }
    }

    /// From `now` on with `windows`, if it has been made.
    pub(super) fn fit(&self, windows: &Windows, now: Instant) {
        if let Some(recorder) = self.0.get() {
            recorder.fit(windows, now);
        }
    }

    #[cold]
    fn make(&self, in_force: &InForce, now: Instant) -> &RollingRecorder {
        let made = self.0.get_or_init(|| {
            let windows = &in_force.get().config.windows;
            Box::new(RollingRecorder::new(windows, now))
        });
        in_force.in_line(|live| made.fit(&live.config.windows, now));
        made
    }
}
