//! A route's service with a canary, or without one.
//!
//! Where requests are split there is one more layer, and it watches one more thing to the end of the body. Most routes
//! have no canary, and their requests do not carry the room for that about: of one that has, future and
//! body are on the heap.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::{BodyError, RequestBody, ResponseBody, Wrapped};
use crate::dispatch::Timed;

/// One of the two.
#[derive(Clone, Debug)]
pub enum Fork<W, S> {
    /// All requests go one way.
    Whole(W),
    /// Some go to a canary.
    Split(S),
}

impl<W, S, B, C> Service<Request<RequestBody>> for Fork<W, S>
where
    W: Service<Request<RequestBody>, Response = Response<Timed<B>>, Error = Infallible>,
    S: Service<Request<RequestBody>, Response = Response<C>, Error = Infallible>,
    B: Wrapped,
    C: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    type Response = Response<Timed<B>>;
    type Error = Infallible;
    type Future = ForkFuture<W::Future, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Self::Whole(service) => service.poll_ready(cx),
            Self::Split(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Whole(service) => ForkFuture {
                state: State::Whole {
                    future: service.call(request),
                },
            },
            Self::Split(service) => ForkFuture {
                state: State::Split {
                    future: Box::pin(service.call(request)),
                },
            },
        }
    }
}

pin_project! {
    /// A request on one of the two ways.
    #[must_use = "futures do nothing unless polled"]
    pub struct ForkFuture<W, S> {
        #[pin]
        state: State<W, S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<W, S> {
        Whole { #[pin] future: W },
        Split { future: Pin<Box<S>> },
    }
}

impl<W, S, B, C> Future for ForkFuture<W, S>
where
    W: Future<Output = Result<Response<Timed<B>>, Infallible>>,
    S: Future<Output = Result<Response<C>, Infallible>>,
    B: Wrapped,
    C: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    type Output = Result<Response<Timed<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Whole { future } => future.poll(cx),
            StateProj::Split { future } => poll_split(future.as_mut(), cx),
        }
    }
}

/// Apart from what most requests pass, and not cold: behind a canary all pass it.
#[inline(never)]
fn poll_split<S, B, C>(
    future: Pin<&mut S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<Timed<B>>, Infallible>>
where
    S: Future<Output = Result<Response<C>, Infallible>>,
    B: Wrapped,
    C: Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let Ok(response) = ready!(future.poll(cx));
    Poll::Ready(Ok(response.map(|body| {
        Timed::unwatched(B::unwatched(ResponseBody::layered(body)))
    })))
}
