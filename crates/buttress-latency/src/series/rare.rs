//! A recorder that is made when something is recorded in it.

use std::sync::OnceLock;
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::view::Distribution;
use crate::window::{RollingRecorder, Windows};

/// Costs a pointer until it is needed.
#[derive(Debug, Default)]
pub(crate) struct Rare(OnceLock<Box<RollingRecorder>>);

impl Rare {
    #[inline]
    pub(crate) fn record(&self, windows: &Windows, now: Instant, duration: Duration) {
        let make = || Box::new(RollingRecorder::new(windows, now));
        self.0.get_or_init(make).record(now, duration);
    }

    pub(crate) fn read(&self, now: Instant) -> Distribution {
        let Some(recorder) = self.0.get() else {
            return Distribution::default();
        };
        let (total, windows) = recorder.read(now);
        Distribution { total, windows }
    }
}
