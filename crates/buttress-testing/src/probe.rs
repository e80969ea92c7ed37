//! The readiness contract, checked at every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tower_service::Service;

/// Wraps a service and panics when it is called without having said that it is ready.
///
/// Readiness belongs to the instance and to one call: a clone starts unready, and so is the instance
/// itself after a call. Polls and calls are counted over all clones.
#[derive(Debug, Default)]
pub struct ContractProbe<S> {
    inner: S,
    ready: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    polls: AtomicUsize,
    calls: AtomicUsize,
    clones: AtomicUsize,
}

impl<S> ContractProbe<S> {
    /// Probes how `inner` is used.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            ready: false,
            counts: Arc::default(),
        }
    }

    /// How often any clone was polled for readiness.
    pub fn polls(&self) -> usize {
        self.counts.polls.load(Ordering::SeqCst)
    }

    /// How often any clone was called.
    pub fn calls(&self) -> usize {
        self.counts.calls.load(Ordering::SeqCst)
    }

    /// How many clones were made.
    pub fn clones(&self) -> usize {
        self.counts.clones.load(Ordering::SeqCst)
    }

    /// The service that is probed.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// The clone is unready, as that of a service which holds a permit is.
impl<S: Clone> Clone for ContractProbe<S> {
    fn clone(&self) -> Self {
        self.counts.clones.fetch_add(1, Ordering::SeqCst);
        Self {
            inner: self.inner.clone(),
            ready: false,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<S: Service<R>, R> Service<R> for ContractProbe<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.counts.polls.fetch_add(1, Ordering::SeqCst);
        let polled = self.inner.poll_ready(cx);
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: R) -> S::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "contract broken: this instance was called without a preceding Ready of its own; \
             call the instance that was polled, and poll it before every call"
        );
        self.counts.calls.fetch_add(1, Ordering::SeqCst);
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scripted;

    fn probe() -> ContractProbe<Scripted<u32, ()>> {
        ContractProbe::new(Scripted::new().ok(1).ok(2))
    }

    fn ready(probe: &mut ContractProbe<Scripted<u32, ()>>) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Service::<()>::poll_ready(probe, &mut cx).is_ready()
    }

    #[test]
    fn a_call_after_ready_passes_and_is_counted() {
        let mut probe = probe();
        assert!(ready(&mut probe));
        drop(probe.call(()));
        assert_eq!((probe.polls(), probe.calls(), probe.clones()), (1, 1, 0));
    }

    #[test]
    #[should_panic(expected = "contract broken")]
    fn a_call_without_ready_is_caught() {
        drop(probe().call(()));
    }

    #[test]
    #[should_panic(expected = "contract broken")]
    fn a_second_call_on_one_ready_is_caught() {
        let mut probe = probe();
        assert!(ready(&mut probe));
        drop(probe.call(()));
        drop(probe.call(()));
    }

    #[test]
    #[should_panic(expected = "contract broken")]
    fn a_call_on_a_fresh_clone_of_the_ready_instance_is_caught() {
        let mut probe = probe();
        assert!(ready(&mut probe));
        drop(probe.clone().call(()));
    }
}
