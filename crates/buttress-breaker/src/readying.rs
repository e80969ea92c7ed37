//! Readying an inner service inside the future of a call that was admitted before it was ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use buttress_core::clock::Sleep;
use buttress_core::outcome::Outcome;
use buttress_core::readying::ReadyingWait;
use buttress_core::settle::Guard;
use tower_service::Service;

use crate::hot::Hot;
use crate::permit::Permit;
use crate::refusal::{Reason, Refusal};

/// An inner service that is readied, under a deadline, and then called with `request`.
pub(crate) struct Readying<S, R> {
    inner: S,
    request: Option<R>,
    hot: Option<Arc<Hot>>,
    guard: Guard<Permit>,
    /// Made only if the inner service is not ready at once, and on the heap: a healthy call should
    /// not carry the room for a timer about.
    deadline: Option<Pin<Box<Sleep>>>,
    /// There once the inner service was not ready, for whoever measures the call.
    wait: Option<ReadyingWait>,
}

/// How readying ended.
pub(crate) enum Readied<S, R>
where
    S: Service<R>,
{
    /// The call is made; the guard has watched it.
    Called(S::Future, Guard<Permit>),
    /// The deadline passed.
    Late(Refusal),
    /// The inner service will never be ready again; the guard is still open.
    Failed(S::Error, Guard<Permit>),
}

impl<S, R> Readying<S, R> {
    pub(crate) fn new(inner: S, request: R, permit: Permit) -> Self {
        Self {
            inner,
            request: Some(request),
            hot: permit.hot().cloned(),
            guard: Guard::new(permit),
            deadline: None,
            wait: None,
        }
    }
}

impl<S: Service<R>, R> Readying<S, R> {
    /// `Ready(None)` only if polled after it was done.
    pub(crate) fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Option<Readied<S, R>>> {
        self.guard.enter();
        let polled = self.inner.poll_ready(cx);
        self.guard.leave();
        let readied = match polled {
            Poll::Pending => ready!(self.poll_deadline(cx)),
            Poll::Ready(Ok(())) => self.call(),
            Poll::Ready(Err(error)) => Some(Readied::Failed(error, self.guard.take())),
        };
        self.wait = None;
        Poll::Ready(readied)
    }

    fn call(&mut self) -> Option<Readied<S, R>> {
        let request = self.request.take()?;
        let mut guard = self.guard.take();
        guard.enter();
        let future = self.inner.call(request);
        guard.leave();
        Some(Readied::Called(future, guard))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Option<Readied<S, R>>> {
        // A permit that holds nothing has ended before it began.
        let Some(hot) = &self.hot else {
            return Poll::Ready(None);
        };
        self.wait.get_or_insert_with(ReadyingWait::begin);
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(hot.clock().sleep(hot.ready_deadline())));
        if deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Our own queue was too long: that says nothing about the upstream.
        self.guard.settle(Outcome::Ignored);
        let late = Refusal::new(Reason::NOT_READY, None);
        Poll::Ready(Some(Readied::Late(hot.refuse(late))))
    }
}
