//! One request on a connection: noted as it begins and as it ends, and told whether to leave.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pin_project_lite::pin_project;

use super::HttpService;
use super::activity::{Activity, Exchange};
use super::afterwards::Afterwards;
use super::connect;
use super::places::Places;
use crate::body::UploadSlot;
use crate::called::Called;

/// A tower service, as one connection sees it.
#[derive(Debug)]
pub(super) struct PerConnection<S> {
    // hyper calls through a shared reference, and only ever from the connection's own task.
    service: RefCell<S>,
    // For those of its streams that go on as connections, if they may.
    streams: Option<Places>,
    activity: Arc<Activity>,
}

impl<S> PerConnection<S> {
    pub(super) const fn new(service: S, streams: Option<Places>, activity: Arc<Activity>) -> Self {
        Self {
            service: RefCell::new(service),
            streams,
            activity,
        }
    }

    /// Whether a stream may go on as a connection.
    pub(super) const fn takes_connect(&self) -> bool {
        self.streams.is_some()
    }
}

impl<S: HttpService> hyper::service::Service<Request<Incoming>> for PerConnection<S> {
    type Response = Response<ExchangeBody<S::ResponseBody>>;
    type Error = Infallible;
    type Future = ExchangeFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> ExchangeFuture<S> {
        let over = if !self.activity.speaks_http2() {
            Over::Http1
        } else if request.method() == Method::CONNECT {
            if let Some(streams) = &self.streams {
                request.extensions_mut().insert(streams.for_stream());
            }
            Over::Http2Connect
        } else {
            Over::Http2
        };
        let mut upload = None;
        let exchange = if over == Over::Http1 {
            // There is none but where a request carries an `Upgrade`.
            let handshake = request.extensions().get::<OnUpgrade>().is_some();
            Exchange::begin_alone(&self.activity, request.body().is_end_stream(), handshake)
        } else {
            if !request.body().is_end_stream() {
                let slot = upload.insert(UploadSlot::default());
                request.extensions_mut().insert(slot.clone());
            }
            Exchange::begin(&self.activity)
        };
        ExchangeFuture {
            over,
            upload,
            exchange: Some(exchange),
            called: Called::new(&mut self.service.borrow_mut(), request),
        }
    }
}

/// What a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Http1,
    Http2,
    /// What goes on after its answer is its stream.
    Http2Connect,
}

pin_project! {
    /// One request, from its head to the head of its response.
    #[must_use = "futures do nothing unless polled"]
    pub struct ExchangeFuture<S: HttpService> {
        #[pin]
        called: Called<S, Request<Incoming>>,
        over: Over,
        exchange: Option<Exchange>,
        // Over HTTP/2, where there is a body.
        upload: Option<UploadSlot>,
    }

    impl<S: HttpService> PinnedDrop for ExchangeFuture<S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(upload) = this.upload
                && this.exchange.as_ref().is_some_and(|exchange| !exchange.is_cut())
            {
                end_broken_off(this.called, upload);
            }
        }
    }
}

/// Over HTTP/2 hyper drops what is worked on as soon as its client has left, and nobody would know that an upload was broken
/// off by it, as over HTTP/1: who waits for the endpoint is asked once more, now that this is known, and the answer is
/// read to its end in the client's place.
#[cold]
fn end_broken_off<S: HttpService>(
    called: Pin<&mut Called<S, Request<Incoming>>>,
    upload: &UploadSlot,
) {
    /// A problem's body has fewer frames.
    const FRAMES: usize = 4;
    if thread::panicking() || !upload.breaks_off() {
        return;
    }
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Ok(response)) = called.poll(&mut cx) {
        let mut body = pin!(response.into_body());
        let mut next = || body.as_mut().poll_frame(&mut cx);
        let mut frames = 0..FRAMES;
        while frames.next().is_some() && matches!(next(), Poll::Ready(Some(Ok(_)))) {}
    }
}

impl<S: HttpService> Future for ExchangeFuture<S> {
    type Output = Result<Response<ExchangeBody<S::ResponseBody>>, Infallible>;

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
            if response.status() == StatusCode::SWITCHING_PROTOCOLS && *this.over == Over::Http1 {
                if let Some(afterwards) = response.extensions_mut().remove::<Afterwards>() {
                    exchange.goes_on(afterwards);
                }
            } else if *this.over == Over::Http1 && exchange.is_draining() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
        }
        if *this.over == Over::Http2Connect {
            connect::answered(response, &mut exchange);
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
