//! Fallbacks for HTTP services.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::protocol::Http;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Fallback, FallbackService};
use crate::service::Guarding;

impl<G, F, R, A, B> Service<Request<R>> for FallbackService<G, F, Http>
where
    G: Guarding<Request<R>, Response = Response<A>>,
    F: Fallback<Request<R>, Answer = Response<B>, Error: Into<G::Error>>,
{
    type Response = Response<EitherBody<A, B>>;
    type Error = G::Error;
    type Future = HttpFallbackFuture<G::Future, F::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.guarded.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let answer = match self.guarded.admit(&request) {
            Ok(permit) => Answer::Guarded {
                future: self.guarded.start(permit, request),
            },
            Err(rejected) => Answer::Fallback {
                future: self.fallback.answer(request, rejected),
            },
        };
        HttpFallbackFuture { answer }
    }
}

pin_project! {
    /// The future of a guarded HTTP service with a fallback.
    #[must_use = "a future does nothing until it is polled"]
    pub struct HttpFallbackFuture<G, F> {
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

impl<G, F, A, B, E, E2> Future for HttpFallbackFuture<G, F>
where
    G: Future<Output = Result<Response<A>, E>>,
    F: Future<Output = Result<Response<B>, E2>>,
    E2: Into<E>,
{
    type Output = Result<Response<EitherBody<A, B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().answer.project() {
            AnswerProj::Guarded { future } => future
                .poll(cx)
                .map_ok(|response| response.map(EitherBody::guarded)),
            AnswerProj::Fallback { future } => future
                .poll(cx)
                .map_ok(|response| response.map(EitherBody::fallback))
                .map_err(Into::into),
        }
    }
}

impl<G, F> fmt::Debug for HttpFallbackFuture<G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFallbackFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an answer by the guarded service or by the fallback, unchanged.
    #[derive(Debug)]
    pub struct EitherBody<A, B> {
        #[pin]
        body: Either<A, B>,
    }
}

pin_project! {
    #[project = EitherProj]
    #[derive(Debug)]
    enum Either<A, B> {
        Guarded { #[pin] body: A },
        Fallback { #[pin] body: B },
    }
}

impl<A, B> EitherBody<A, B> {
    const fn guarded(body: A) -> Self {
        Self {
            body: Either::Guarded { body },
        }
    }

    const fn fallback(body: B) -> Self {
        Self {
            body: Either::Fallback { body },
        }
    }
}

impl<A, B> Body for EitherBody<A, B>
where
    A: Body,
    B: Body<Data = A::Data, Error: Into<A::Error>>,
{
    type Data = A::Data;
    type Error = A::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<A::Data>, A::Error>>> {
        match self.project().body.project() {
            EitherProj::Guarded { body } => body.poll_frame(cx),
            EitherProj::Fallback { body } => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Guarded { body } => body.is_end_stream(),
            Either::Fallback { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Guarded { body } => body.size_hint(),
            Either::Fallback { body } => body.size_hint(),
        }
    }
}
