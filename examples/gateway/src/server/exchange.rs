//! One request on a connection: who sent it goes in, and whether to leave goes out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::activity::{Activity, Exchange};
use super::drain::Drain;
use crate::headers::Peer;

/// A tower service, as one connection sees it.
#[derive(Clone, Debug)]
pub(super) struct PerConnection<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) activity: Arc<Activity>,
    pub(super) drain: Drain,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = Infallible;
    type Future = ExchangeFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> ExchangeFuture<S> {
        let exchange = Exchange::begin(&self.activity);
        request.extensions_mut().insert(self.peer.clone());
        ExchangeFuture {
            is_http1: request.version() < Version::HTTP_2,
            state: State::Readying {
                service: self.service.clone(),
                request: Some(request),
            },
            drain: self.drain.clone(),
            exchange: Some(exchange),
        }
    }
}

pin_project! {
    /// One request, from its head to the head of its response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ExchangeFuture<S: Service<Request<Incoming>>> {
        #[pin]
        state: State<S, S::Future>,
        is_http1: bool,
        drain: Drain,
        exchange: Option<Exchange>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        // The service that is polled ready is the one that is called.
        Readying { service: S, request: Option<Request<Incoming>> },
        Calling { #[pin] future: F },
    }
}

impl<S, B> Future for ExchangeFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    type Output = Result<Response<ExchangeBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = loop {
            let future = match this.state.as_mut().project() {
                StateProj::Readying { service, request } => {
                    let Ok(()) = ready!(service.poll_ready(cx));
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
                StateProj::Calling { future } => {
                    let Ok(response) = ready!(future.poll(cx));
                    break response;
                }
            };
            this.state.set(State::Calling { future });
        };
        let exchange = this.exchange.take();
        let mut response = response.map(|body| ExchangeBody::new(body, exchange));
        if *this.is_http1 && this.drain.is_draining() {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

pin_project! {
    /// A response's body, which tells its connection how the client takes it.
    #[derive(Debug)]
    pub struct ExchangeBody<B> {
        #[pin]
        inner: B,
        exchange: Option<Exchange>,
    }
}

impl<B: Body> ExchangeBody<B> {
    fn new(inner: B, mut exchange: Option<Exchange>) -> Self {
        if let Some(exchange) = &mut exchange {
            exchange.wait(false);
        }
        Self { inner, exchange }
    }
}

impl<B: Body> Body for ExchangeBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let Some(exchange) = this.exchange {
            exchange.wait(polled.is_pending());
            if polled.is_ready() {
                exchange.taken();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
