//! A recorder that was told known durations.

use std::sync::Arc;
use std::time::Duration;

use buttress::core::clock::{Clock, ManualClock};
use buttress::core::trace_context::TraceContext;
use buttress::latency::{CLASSIC_BOUNDS, Config, LatencyHandle, LatencyLayer};
use buttress::telemetry::Metrics;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};

const COUNT: usize = 50_000;
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

/// What was recorded, sorted, and the recorder.
pub(crate) struct Known {
    nanos: Vec<u64>,
    handle: LatencyHandle,
    traced: String,
}

impl Known {
    /// Half a millisecond to seven seconds, most of it short: as many in each octave as in the next,
    /// spread by the golden ratio. Beside them a route with what is in no native bucket.
    pub(crate) fn record() -> Self {
        let time = ManualClock::new();
        // Exemplars say when they were taken, and Prometheus keeps none from 1970.
        time.advance(Clock::default().since_1970());
        let handle = LatencyHandle::new(Config::new().clock(time.clock())).unwrap();
        let mut nanos: Vec<u64> = (0..COUNT).map(spread).collect();
        let mut service = service(&handle, &time, "/known");
        for nanos in &nanos {
            service(*nanos, None);
        }
        let last = 20_000_000;
        service(last, TraceContext::new(TRACE, 7, true));
        nanos.push(last);
        nanos.sort_unstable();
        let mut odd = self::service(&handle, &time, "/odd");
        for nanos in [0, 1, 900, 4_100_000_000_000, 9_000_000_000_000] {
            odd(nanos, None);
        }
        Self {
            nanos,
            handle,
            traced: format!("{TRACE:032x}"),
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let metrics = Metrics::new();
        metrics.register(Arc::new(self.handle.clone()));
        metrics
    }

    pub(crate) fn traced(&self) -> &str {
        &self.traced
    }

    pub(crate) fn count(&self) -> usize {
        self.nanos.len()
    }

    pub(crate) fn sum(&self) -> f64 {
        let nanos: u64 = self.nanos.iter().sum();
        Duration::from_nanos(nanos).as_secs_f64()
    }

    /// Each classic bound in seconds with the number of durations at or below it.
    pub(crate) fn classic(&self) -> impl Iterator<Item = (f64, usize)> {
        CLASSIC_BOUNDS.into_iter().map(|bound| {
            let nanos = Duration::from_secs_f64(bound).as_nanos();
            let within = |each: &u64| u128::from(*each) <= nanos;
            (bound, self.nanos.partition_point(within))
        })
    }

    /// The duration in seconds that the share `q` does not exceed.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.nanos.len() as f64).ceil() as usize;
        let nanos = self.nanos[rank.saturating_sub(1)];
        Duration::from_nanos(nanos).as_secs_f64()
    }
}

fn spread(nth: usize) -> u64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let share = (nth as f64 * GOLDEN).fract();
    (500_000.0 * (share * share * 13.7).exp2()) as u64
}

/// Serves one GET that takes so long by the clock.
fn service<'a>(
    handle: &LatencyHandle,
    time: &'a ManualClock,
    route: &'static str,
) -> impl FnMut(u64, Option<TraceContext>) + use<'a> {
    let layer = LatencyLayer::new(handle.clone()).route(route);
    let time = time.clone();
    let mut service = layer.layer(tower::service_fn(move |request: Request<u64>| {
        time.advance(Duration::from_nanos(*request.body()));
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(Empty::<
            &[u8],
        >::new(
        ))))
    }));
    move |nanos, trace| {
        let mut request = Request::new(nanos);
        if let Some(trace) = trace {
            request.extensions_mut().insert(trace);
        }
        let mut call = std::pin::pin!(service.call(request));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_ready());
    }
}
