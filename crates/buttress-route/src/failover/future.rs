//! The future of a request that may be sent again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::replay::Replayable;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::kept::{Kept, Then};
use crate::attempted;

pin_project! {
    /// The future of [`super::Failover`]: an attempt, and another if it fails and may be made again.
    /// Dropping it drops the attempt under way.
    #[must_use = "a future does nothing until it is polled"]
    pub struct FailoverFuture<S, B>
    where
        S: Service<Request<B>>,
        B: Replayable,
    {
        #[pin]
        attempt: S::Future,
        kept: Option<Box<Kept<S, B>>>,
        // The next attempt, which waits for the service to be ready.
        next: Option<Box<Request<B>>>,
    }
}

impl<S, B> FailoverFuture<S, B>
where
    S: Service<Request<B>>,
    B: Replayable,
{
    pub(super) const fn new(attempt: S::Future, kept: Option<Box<Kept<S, B>>>) -> Self {
        Self {
            attempt,
            kept,
            next: None,
        }
    }
}

impl<S, B, ResBody> Future for FailoverFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    S::Error: 'static,
    B: Replayable,
{
    type Output = Result<Response<ResBody>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.kept.is_none() {
            return self.project().attempt.poll(cx);
        }
        self.poll_kept(cx)
    }
}

impl<S, B, ResBody> FailoverFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    S::Error: 'static,
    B: Replayable,
{
    /// Of a request that may be sent again. Apart from what is sent once, and not cold: where failover is on all pass it.
    #[inline(never)]
    fn poll_kept(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResBody>, S::Error>> {
        let mut this = self.project();
        let Some(kept) = this.kept else {
            return this.attempt.poll(cx);
        };
        loop {
            if this.next.is_some() {
                if let Err(error) = ready!(kept.service.poll_ready(cx)) {
                    return Poll::Ready(kept.earlier().unwrap_or(Err(error)));
                }
                if let Some(request) = this.next.take() {
                    attempted::told();
                    this.attempt.set(kept.call(*request));
                    kept.note(attempted::told());
                }
            }
            attempted::told();
            let polled = this.attempt.as_mut().poll(cx);
            kept.note(attempted::told());
            let answer = match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(answer) => answer,
            };
            match kept.look_at(&answer) {
                Then::Answer => {
                    *this.kept = None;
                    return Poll::Ready(answer);
                }
                Then::Earlier => return Poll::Ready(kept.earlier().unwrap_or(answer)),
                Then::Again(request) => {
                    kept.ended(answer);
                    *this.next = Some(request);
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for FailoverFuture<S, B>
where
    S: Service<Request<B>>,
    B: Replayable,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverFuture")
            .field("kept", &self.kept.is_some())
            .finish_non_exhaustive()
    }
}
