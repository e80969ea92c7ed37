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

/// More of an answer than a problem's body has is not read where nobody takes it.
const FRAMES: usize = 4;

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
    // Who panicked is dropped meanwhile, and is not to be asked again.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use buttress::core::clock::Clock;
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty};
    use tokio::sync::Notify;

    use super::*;
    use crate::body::{RequestBody, UploadLimits, now};
    use crate::server::connection;
    use crate::server::{ConnectionLimits, Drain};

    /// The longest upload.
    const MOST: usize = 10;

    /// Tells whoever waits that it was dropped.
    struct Told(Arc<Notify>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    /// Far more frames than anybody should ask for, counted.
    struct Long {
        asked: Arc<AtomicUsize>,
        _told: Told,
    }

    impl Body for Long {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let more = self.asked.fetch_add(1, SeqCst) < 1_000;
            Poll::Ready(more.then(|| Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    /// The upload of a request, as the gateway reads it.
    fn upload(mut request: Request<Incoming>) -> RequestBody {
        let limits = UploadLimits {
            max_bytes: Some(MOST as u64),
            pause: Duration::from_secs(60),
        };
        let slot = request.extensions_mut().remove::<UploadSlot>();
        RequestBody::new(request.into_body(), limits, slot, &Clock::default())
    }

    /// A client of HTTP/2, of whose requests `service` works on each.
    async fn client(service: impl HttpService) -> h2::client::SendRequest<Bytes> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let minute = Duration::from_secs(60);
        let limits = ConnectionLimits {
            header: minute,
            idle: minute,
            write: minute,
        };
        let peer = ([192, 0, 2, 1], 1).into();
        tokio::spawn(connection::serve(
            far,
            peer,
            (service, None),
            limits,
            Drain::new(),
            now,
        ));
        let (client, connection) = h2::client::handshake(near).await.unwrap();
        tokio::spawn(connection);
        client.ready().await.unwrap()
    }

    fn post(length: usize) -> Request<()> {
        let post = Request::post("http://a.example/").header("content-length", length);
        post.body(()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_panicked_is_not_asked_again_as_it_is_dropped() {
        let service = tower::service_fn(|request: Request<Incoming>| async move {
            let read = upload(request).frame().await;
            assert!(!matches!(read, Some(Err(_))), "this service panics");
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let mut client = client(service).await;
        let (panicked, mut open) = client.send_request(post(MOST + 1), false).unwrap();
        let too_much = vec![0; MOST + 1];
        open.send_data(too_much.into(), true).unwrap();
        assert!(panicked.await.is_err());
        // Another panic would have ended the process.
        let (answer, _) = client.send_request(post(0), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_answer_to_who_has_left_no_more_is_read_than_a_problem_has() {
        let asked = Arc::<AtomicUsize>::default();
        let (begun, dropped) = (Arc::<Notify>::default(), Arc::<Notify>::default());
        let (counted, reading, ended) = (asked.clone(), begun.clone(), dropped.clone());
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let (asked, reading, told) = (counted.clone(), reading.clone(), Told(ended.clone()));
            async move {
                let mut upload = upload(request);
                let watch = upload.watch().unwrap();
                // As whoever sends it on sees it.
                poll_fn(|cx| {
                    if watch.failure().is_some() {
                        return Poll::Ready(());
                    }
                    if !watch.waits_for_client() {
                        assert!(Pin::new(&mut upload).poll_frame(cx).is_pending());
                        reading.notify_one();
                    }
                    Poll::Pending
                })
                .await;
                Ok::<_, Infallible>(Response::new(Long { asked, _told: told }))
            }
        });
        let mut client = client(service).await;
        let (_answer, mut open) = client.send_request(post(1), false).unwrap();
        begun.notified().await;
        open.send_reset(h2::Reason::CANCEL);
        dropped.notified().await;
        assert_eq!(asked.load(SeqCst), FRAMES);
    }
}
