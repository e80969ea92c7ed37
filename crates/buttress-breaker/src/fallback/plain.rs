//! Fallbacks for services of any kind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::protocol::Plain;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Fallback, FallbackService};
use crate::plain::BreakerError;
use crate::service::Guarding;

impl<G, F, R, E> Service<R> for FallbackService<G, F, Plain>
where
    G: Guarding<R, Error = BreakerError<E>>,
    F: Fallback<R, Answer = G::Response, Error: Into<E>>,
{
    type Response = G::Response;
    type Error = BreakerError<E>;
    type Future = PlainFallbackFuture<G::Future, F::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.guarded.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let answer = match self.guarded.admit(&request) {
            Ok(permit) => Answer::Guarded {
                future: self.guarded.start(permit, request),
            },
            Err(rejected) => Answer::Fallback {
                future: self.fallback.answer(request, rejected),
            },
        };
        PlainFallbackFuture { answer }
    }
}

pin_project! {
    /// The future of a guarded service of any kind with a fallback.
    #[must_use = "a future does nothing until it is polled"]
    pub struct PlainFallbackFuture<G, F> {
        #[pin]
        answer: Answer<G, F>,
    }
}

pin_project! {
    #[project = AnswerProj]
    enum Answer<G, F> {
        Guarded { #[pin] future: G },
        Fallback { #[pin] future: F },
    }
}

impl<G, F, T, E, E2> Future for PlainFallbackFuture<G, F>
where
    G: Future<Output = Result<T, BreakerError<E>>>,
    F: Future<Output = Result<T, E2>>,
    E2: Into<E>,
{
    type Output = Result<T, BreakerError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProj::Guarded { future } => future.poll(cx),
            AnswerProj::Fallback { future } => future
                .poll(cx)
                .map_err(|error| BreakerError::Inner(error.into())),
        }
    }
}

impl<G, F> fmt::Debug for PlainFallbackFuture<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainFallbackFuture")
            .finish_non_exhaustive()
    }
}
