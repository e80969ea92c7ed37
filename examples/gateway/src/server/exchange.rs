//! One request on a connection: noted as it begins and as it ends, and told whether to leave.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::activity::{Activity, Exchange};
use super::afterwards::Afterwards;
use crate::called::Called;

/// A tower service, as one connection sees it.
#[derive(Debug)]
pub(super) struct PerConnection<S> {
    // hyper calls through a shared reference, and only ever from the connection's own task.
    service: RefCell<S>,
    activity: Arc<Activity>,
}

impl<S> PerConnection<S> {
    pub(super) const fn new(service: S, activity: Arc<Activity>) -> Self {
        Self {
            service: RefCell::new(service),
            activity,
        }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body,
{
    type Response = Response<ExchangeBody<B>>;
    type Error = Infallible;
    type Future = ExchangeFuture<S>;

    fn call(&self, request: Request<Incoming>) -> ExchangeFuture<S> {
        let is_http1 = !self.activity.speaks_http2();
        let exchange = if is_http1 {
            // There is none but where a request carries an `Upgrade`.
            let handshake = request.extensions().get::<OnUpgrade>().is_some();
            Exchange::begin_alone(&self.activity, request.body().is_end_stream(), handshake)
        } else {
            Exchange::begin(&self.activity)
        };
        ExchangeFuture {
            is_http1,
            exchange: Some(exchange),
            called: Called::new(&mut self.service.borrow_mut(), request),
        }
    }
}

pin_project! {
    /// One request, from its head to the head of its response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ExchangeFuture<S: Service<Request<Incoming>>> {
        #[pin]
        called: Called<S, Request<Incoming>>,
        is_http1: bool,
        exchange: Option<Exchange>,
    }
}

impl<S, B> Future for ExchangeFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    type Output = Result<Response<ExchangeBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The response is changed where it lies: it is large, and is moved but once.
        let mut polled = this.called.poll(cx);
        let Poll::Ready(Ok(response)) = &mut polled else {
            return Poll::Pending;
        };
        let mut exchange = this.exchange.take();
        if let Some(exchange) = &mut exchange {
            exchange.wait_for_client();
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                if let Some(afterwards) = response.extensions_mut().remove::<Afterwards>() {
                    exchange.goes_on(afterwards);
                }
            } else if *this.is_http1 && exchange.is_draining() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
        }
        polled.map_ok(|response| response.map(|inner| ExchangeBody { inner, exchange }))
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
            if polled.is_pending() {
                exchange.wait_for_service();
            } else {
                exchange.wait_for_client();
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
