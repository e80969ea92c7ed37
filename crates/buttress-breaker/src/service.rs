//! The service, as far as HTTP and other services have it in common.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use buttress_core::protocol::Protocol;
use buttress_core::reject::Rejected;
use tower_service::Service;

use crate::breaker::Breaker;
use crate::inner::Inner;
use crate::permit::Permit;
use crate::refusal::Refusal;
use crate::waiters::Waiter;

/// A service guarded by a [`Breaker`]. Clones share the breaker.
///
/// While the circuit is closed it is ready when the inner service is. Otherwise it is ready at once:
/// the call decides, and readies the inner service itself if it may be made.
pub struct BreakerService<S, P: Protocol, C = <P as Protocol>::Classify> {
    pub(crate) inner: Inner<S>,
    pub(crate) breaker: Breaker,
    pub(crate) classify: C,
    /// Its place among those to be woken when the circuit opens, once it has waited.
    waiter: Option<Arc<Waiter>>,
    protocol: PhantomData<P>,
}

/// A guarded service whose admission can be asked for by itself, so that somebody else may answer
/// what is refused. All guarded services here are that, and nobody else has to name it.
#[doc(hidden)]
pub trait Guarding<R>: Service<R> {
    /// Asks to make the call; what is rejected has let go of the inner service.
    fn admit(&mut self, request: &R) -> Result<Permit, Rejected>;

    /// Makes the call.
    fn start(&mut self, permit: Permit, request: R) -> Self::Future;
}

impl<S, P: Protocol, C> BreakerService<S, P, C> {
    pub(crate) const fn new(inner: S, breaker: Breaker, classify: C) -> Self {
        Self {
            inner: Inner::new(inner),
            breaker,
            classify,
            waiter: None,
            protocol: PhantomData,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner.service
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner.service
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner.service
    }

    /// The breaker that guards it.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Readies the inner service while the circuit is closed, and does not touch it otherwise.
    #[inline]
    pub(crate) fn poll_inner_ready<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<R>,
    {
        if self.inner.is_ready() || !self.breaker.is_closed() {
            return Poll::Ready(Ok(()));
        }
        let polled = self.inner.poll_ready(cx);
        if polled.is_pending() {
            return self.wait(cx);
        }
        polled
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

    /// Asks the breaker; a rejection lets go of the inner service.
    #[inline]
    pub(crate) fn acquire(&mut self) -> Result<Permit, Refusal>
    where
        S: Clone,
    {
        let admitted = self.breaker.admit();
        if admitted.is_err() {
            self.inner.let_go();
        }
        admitted
    }
}

/// The clone has readied nothing.
impl<S: Clone, P: Protocol, C: Clone> Clone for BreakerService<S, P, C> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.service.clone(),
            self.breaker.clone(),
            self.classify.clone(),
        )
    }
}

impl<S: fmt::Debug, P: Protocol, C> fmt::Debug for BreakerService<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerService")
            .field("inner", &self.inner.service)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
