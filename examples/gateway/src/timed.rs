//! What an endpoint takes to answer, for the status page and the table.
//!
//! Lighter than a latency layer: no series, no body, one recorder for each endpoint. What clients
//! see is measured further out, to the end of the body.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use buttress::core::clock::{Clock, Instant};
use buttress::latency::{RollingRecorder, WindowSnapshot, Windows};
use pin_project_lite::pin_project;
use tower_service::Service;

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

    fn record(&self, start: Instant) {
        let now = self.0.clock.now();
        self.0.recorder.record(now, now.saturating_since(start));
    }
}

/// Records the time to the head of each response; what is dropped before is not recorded.
#[derive(Clone, Debug)]
pub struct Timed<S> {
    inner: S,
    times: HeadTimes,
}

impl<S> Timed<S> {
    /// Around `inner`, into `times`.
    pub fn new(inner: S, times: HeadTimes) -> Self {
        Self { inner, times }
    }
}

impl<S: Service<R>, R> Service<R> for Timed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TimedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let start = self.times.0.clock.now();
        TimedFuture {
            inner: self.inner.call(request),
            times: self.times.clone(),
            start,
        }
    }
}

pin_project! {
    /// A response that is waited for.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TimedFuture<F> {
        #[pin]
        inner: F,
        times: HeadTimes,
        start: Instant,
    }
}

impl<F: Future> Future for TimedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx));
        this.times.record(*this.start);
        Poll::Ready(response)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buttress::core::clock::ManualClock;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn the_time_to_the_head_is_recorded() {
        let time = ManualClock::new();
        let times = HeadTimes::new(time.clock());
        let moved = time.clone();
        let inner = service_fn(move |()| {
            moved.advance(Duration::from_millis(20));
            async { Ok::<_, std::convert::Infallible>(()) }
        });
        Timed::new(inner, times.clone()).call(()).await.unwrap();
        let windows = times.windows();
        assert!(windows.iter().all(|window| window.counts.count() == 1));
        assert!(windows[0].counts.sum() >= Duration::from_millis(20));
    }
}
