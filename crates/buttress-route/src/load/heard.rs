//! What an endpoint said last of its load, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buttress_core::clock::Instant;
use http::HeaderMap;

use super::{ENDPOINT_LOAD_METRICS, ENDPOINT_LOAD_METRICS_BIN, LoadReport};

/// The last report of one endpoint. Written by whoever hears it, read by whoever shows the endpoint.
///
/// Two that are heard at once may leave the one's word with the other's time: both are of now.
#[derive(Debug)]
pub(crate) struct Heard {
    utilization: AtomicU64,
    /// When, in nanoseconds; 0 if nothing was heard.
    at: AtomicU64,
    ignored: AtomicU64,
}

impl Heard {
    pub(crate) const fn nothing() -> Self {
        Self {
            utilization: AtomicU64::new(0),
            at: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
        }
    }

    /// Hears what an answer's headers or trailers say, if they do.
    pub(crate) fn hear(&self, headers: &HeaderMap, now: Instant) {
        let report = match headers.get(&ENDPOINT_LOAD_METRICS) {
            Some(value) => LoadReport::parse(value.as_bytes()),
            None => match headers.get(&ENDPOINT_LOAD_METRICS_BIN) {
                Some(value) => LoadReport::parse_binary(value.as_bytes()),
                None => return,
            },
        };
        match report.map(|report| report.utilization()) {
            Ok(Some(utilization)) => {
                let bits = utilization.to_bits();
                self.utilization.store(bits, Ordering::Relaxed);
                self.at.store(now.as_nanos().max(1), Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(_) => drop(self.ignored.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The utilisation that was reported last, and how long ago, unless that is as long as `expiry`.
    pub(crate) fn fresh(&self, now: Instant, expiry: Duration) -> Option<(f64, Duration)> {
        let at = self.at.load(Ordering::Relaxed);
        let age = now.saturating_since(Instant::from_nanos(at));
        let utilization = f64::from_bits(self.utilization.load(Ordering::Relaxed));
        (at > 0 && age < expiry).then_some((utilization, age))
    }

    /// How many reports were not believed.
    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }
}
