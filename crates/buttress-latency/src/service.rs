//! The service for HTTP.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_core::body::is_head;
use buttress_core::classify::{ClassifyHttp, HttpStatus};
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::protocol::{Http, Protocol};
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::layer::Routing;
use crate::request_body::{CarryRequest, Uncounted};
use crate::settle::Recording;
use crate::waiting::Wait;

/// A measured service; made by [`crate::LatencyLayer`].
///
/// It is ready when the service inside is. Time starts when it is called; what its caller waited
/// before is counted apart.
#[derive(Debug)]
pub struct Latency<S, P: Protocol = Http, C = <P as Protocol>::Classify, R = Uncounted> {
    pub(crate) inner: S,
    pub(crate) routing: Routing,
    pub(crate) classify: C,
    pub(crate) wait: Wait,
    protocol: PhantomData<(P, R)>,
}

/// The body of a measured response: the service's own, passed through unchanged and watched to its
/// end.
pub type ResponseBody<B, E, C = HttpStatus> = JudgedBody<B, C, Recording, E>;

pin_project! {
    /// The response of a measured service, which is recorded when its body ends.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<F, C = HttpStatus> {
        #[pin]
        judge: Judge<F, C, Recording>,
    }
}

impl<S, P: Protocol, C, R> Latency<S, P, C, R> {
    pub(crate) const fn new(inner: S, routing: Routing, classify: C) -> Self {
        Self {
            inner,
            routing,
            classify,
            wait: Wait::None,
            protocol: PhantomData,
        }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, for good.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, R, A, B> Service<Request<A>> for Latency<S, Http, C, R>
where
    R: CarryRequest<A>,
    S: Service<Request<R::Body>, Response = Response<B>>,
    B: Body,
    C: ClassifyHttp<S::Error> + Clone,
{
    type Response = Response<ResponseBody<B, S::Error, C>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let polled = self.inner.poll_ready(cx);
        self.wait.polled(&polled, || self.routing.clock_of_waits());
        polled
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method_is_head = is_head(request.method());
        let waited = self.wait.take();
        let classify = self.classify.clone();
        // From here on every exit is recorded, a panic of `call` among them.
        let mut guard = Guard::new(self.routing.start(&request, waited));
        let request = R::carry(request, guard.get_mut());
        let before = Guard::<Recording>::waits();
        guard.enter();
        let future = self.inner.call(request);
        guard.tell_waits(before);
        ResponseFuture {
            judge: Judge::guarded(future, classify, guard.take(), method_is_head),
        }
    }
}

impl<S: Clone, P: Protocol, C: Clone, R> Clone for Latency<S, P, C, R> {
    // Readiness is the inner service's own: a clone has to be made ready anew, and waits for itself.
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.routing.clone(),
            self.classify.clone(),
        )
    }
}

impl<F, C, B, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    C: ClassifyHttp<E>,
{
    type Output = Result<Response<ResponseBody<B, E, C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().judge.poll(cx)
    }
}
