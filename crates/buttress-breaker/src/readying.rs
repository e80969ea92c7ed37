//! Readying an inner service inside the future of a call that was admitted before it was ready.

use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::clock::Sleep;
use buttress_core::outcome::Outcome;
use buttress_core::reject::Rejected;
use buttress_core::settle::Guard;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::breaker::Breaker;
use crate::permit::Permit;

pin_project! {
    /// An inner service that is readied, under a deadline, and then called with `request`.
    pub(crate) struct Readying<S, R> {
        inner: S,
        request: Option<R>,
        breaker: Breaker,
        guard: Guard<Permit>,
        // Made only if the inner service is not ready at once.
        #[pin]
        deadline: Option<Sleep>,
    }
}

/// How readying ended.
pub(crate) enum Readied<S, R>
where
    S: Service<R>,
{
    /// The call is made; the guard has watched it.
    Called(S::Future, Guard<Permit>),
    /// The deadline passed.
    Late(Rejected),
    /// The inner service will never be ready again; the guard is still open.
    Failed(S::Error, Guard<Permit>),
}

impl<S, R> Readying<S, R> {
    pub(crate) fn new(inner: S, request: R, permit: Permit) -> Self {
        Self {
            inner,
            request: Some(request),
            breaker: permit.breaker().clone(),
            guard: Guard::new(permit),
            deadline: None,
        }
    }
}

impl<S: Service<R>, R> Readying<S, R> {
    /// `Ready(None)` only if polled after it was done.
    pub(crate) fn poll_call(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Readied<S, R>>> {
        let this = self.as_mut().project();
        this.guard.enter();
        let polled = this.inner.poll_ready(cx);
        this.guard.leave();
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(self.call()),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Readied::Failed(error, this.guard.take()))),
            Poll::Pending => self.poll_deadline(cx),
        }
    }

    fn call(self: Pin<&mut Self>) -> Option<Readied<S, R>> {
        let this = self.project();
        let request = this.request.take()?;
        let mut guard = this.guard.take();
        guard.enter();
        let future = this.inner.call(request);
        guard.leave();
        Some(Readied::Called(future, guard))
    }

    fn poll_deadline(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Readied<S, R>>> {
        let mut this = self.project();
        if this.deadline.is_none() {
            let shared = this.breaker.shared();
            let sleep = shared.clock().sleep(shared.ready_deadline());
            this.deadline.set(Some(sleep));
        }
        let deadline = this.deadline.as_mut().as_pin_mut();
        if deadline.is_some_and(|deadline| deadline.poll(cx).is_pending()) {
            return Poll::Pending;
        }
        // Our own queue was too long: that says nothing about the upstream.
        this.guard.settle(Outcome::Ignored);
        Poll::Ready(Some(Readied::Late(this.breaker.reject("not_ready"))))
    }
}
