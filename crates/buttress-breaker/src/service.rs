//! The service, as far as HTTP and other services have it in common.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::protocol::Protocol;
use tower_service::Service;

use crate::breaker::Breaker;
use crate::waiters::Waiter;

/// A service guarded by a [`Breaker`]. Clones share the breaker.
///
/// While the circuit is closed it is ready when the inner service is. Otherwise it is ready at once:
/// the call decides, and readies the inner service itself if it may be made.
pub struct BreakerService<S, P: Protocol, C = <P as Protocol>::Classify> {
    pub(crate) inner: S,
    pub(crate) breaker: Breaker,
    pub(crate) classify: C,
    readiness: Readiness,
    /// Its place among those to be woken when the circuit opens, once it has waited.
    waiter: Option<Arc<Waiter>>,
    protocol: PhantomData<P>,
}

/// How far the inner service has been readied since it was last called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Not polled.
    Untouched,
    /// Polled, and may hold a place in somebody's queue.
    Waiting,
    /// Ready, and may hold a reservation.
    Ready,
}

impl<S, P: Protocol, C> BreakerService<S, P, C> {
    pub(crate) const fn new(inner: S, breaker: Breaker, classify: C) -> Self {
        Self {
            inner,
            breaker,
            classify,
            readiness: Readiness::Untouched,
            waiter: None,
            protocol: PhantomData,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The breaker that guards it.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Readies the inner service while the circuit is closed, and does not touch it otherwise.
    pub(crate) fn poll_inner_ready<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<R>,
    {
        if self.readiness == Readiness::Ready || !self.breaker.is_closed() {
            return Poll::Ready(Ok(()));
        }
        self.readiness = Readiness::Waiting;
        let Poll::Ready(result) = self.inner.poll_ready(cx) else {
            return self.wait(cx);
        };
        self.readiness = if result.is_ok() {
            Readiness::Ready
        } else {
            Readiness::Untouched
        };
        Poll::Ready(result)
    }

    /// What is guarded may never wake the caller; the circuit's opening does.
    #[cold]
    fn wait<E>(&mut self, cx: &Context<'_>) -> Poll<Result<(), E>> {
        let waiter = self.waiter.get_or_insert_default();
        self.breaker.shared().waiters().park(waiter, cx.waker());
        if self.breaker.is_closed() {
            return Poll::Pending;
        }
        // It opened before there was anybody to wake.
        Poll::Ready(Ok(()))
    }

    /// Whether the inner service may be called at once; it has to be readied again afterwards.
    pub(crate) fn take_readiness(&mut self) -> bool {
        std::mem::replace(&mut self.readiness, Readiness::Untouched) == Readiness::Ready
    }

    /// Takes the inner service, as far as it has been readied, and leaves a clone.
    pub(crate) fn take_inner(&mut self) -> S
    where
        S: Clone,
    {
        let clone = self.inner.clone();
        std::mem::replace(&mut self.inner, clone)
    }

    /// Lets go of what readying the inner service has reserved: a permit or a place in a queue that
    /// an idle clone would keep from the probe that needs it.
    pub(crate) fn let_go(&mut self)
    where
        S: Clone,
    {
        if self.readiness != Readiness::Untouched {
            self.readiness = Readiness::Untouched;
            drop(self.take_inner());
        }
    }
}

/// The clone has readied nothing.
impl<S: Clone, P: Protocol, C: Clone> Clone for BreakerService<S, P, C> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.breaker.clone(),
            self.classify.clone(),
        )
    }
}

impl<S: fmt::Debug, P: Protocol, C> fmt::Debug for BreakerService<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerService")
            .field("inner", &self.inner)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
