//! The innermost step that all routes share: to the route's own service, or to a problem.
//!
//! Each route has a service of its own (a breaker, a pool), made once. A connection goes on with the
//! clone that its last request went to, as most connections stay with one route.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use buttress::core::reject::Rejected;
use buttress::correlation::CorrelationId;
use buttress::latency::{self, Latency, LatencyHandle, LatencyLayer};
use buttress::route::load::{ENDPOINT_LOAD_METRICS, ENDPOINT_LOAD_METRICS_BIN};
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{RequestBody, Wrapped};
use crate::called::Called;
use crate::problem::Problem;
use crate::refuse::Refuse;
use crate::routes::RouteId;
use crate::upstream::OWN;

/// Sends each request to the service of its route, by the [`Arrival`](crate::ingress::Arrival) that its body holds.
#[derive(Debug)]
pub struct Dispatch<S> {
    routes: Arc<[Way<S>]>,
    last: Option<(RouteId, Way<S>)>,
    refuse: Latency<Refuse>,
}

/// What serves a route.
#[derive(Clone, Debug)]
struct Way<S> {
    service: S,
    /// What endpoints report of their load is for the gateway alone.
    hides_load: bool,
}

/// An answer of the gateway's own on its way.
type Refused = <Latency<Refuse> as Service<Request<RequestBody>>>::Future;

/// The body of any answer: what is inside is timed.
pub(crate) type Timed<B> = latency::ResponseBody<B, Infallible>;

/// The same on the heap. With all that layers have put round it, a body is so large that to move it on through the server,
/// to where it is written, costs several times what the room for it does.
type Boxed<B> = Pin<Box<Timed<B>>>;

impl<S> Dispatch<S> {
    /// One service for each route, in the order of the configuration, and whether its clients are not told what its
    /// endpoints report of their load. What no route takes is answered with its problem and recorded in `latency`,
    /// under no route.
    pub fn new(routes: impl IntoIterator<Item = (S, bool)>, latency: LatencyHandle) -> Self {
        let way = |(service, hides_load)| Way {
            service,
            hides_load,
        };
        Self {
            routes: routes.into_iter().map(way).collect(),
            last: None,
            refuse: LatencyLayer::new(latency).layer(Refuse),
        }
    }
}

impl<S: Clone> Dispatch<S> {
    /// What serves a route, if there is such a route.
    fn way(&mut self, id: RouteId) -> Option<&mut Way<S>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            self.last = Some((id, self.routes.get(id.0)?.clone()));
        }
        self.last.as_mut().map(|(_, way)| way)
    }
}

/// Nothing is readied in a clone.
impl<S> Clone for Dispatch<S> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            last: None,
            refuse: self.refuse.clone(),
        }
    }
}

impl<S, B> Service<Request<RequestBody>> for Dispatch<S>
where
    S: Service<Request<RequestBody>, Response = Response<Timed<B>>, Error = Infallible> + Clone,
    B: Wrapped,
{
    type Response = Response<Boxed<B>>;
    type Error = Infallible;
    type Future = DispatchFuture<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Which service has to be ready is known only with the request.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> DispatchFuture<S> {
        let route = request.body().arrival().0.ok();
        let way = route.and_then(|id| self.way(id));
        match way {
            Some(way) => DispatchFuture {
                state: State::Routed {
                    called: Called::new(&mut way.service, request),
                    hides_load: way.hides_load,
                },
            },
            None => DispatchFuture {
                state: State::Refused {
                    refused: self.refuse.call(request),
                },
            },
        }
    }
}

pin_project! {
    /// A request on its way to its route's service.
    #[must_use = "futures do nothing unless polled"]
    pub struct DispatchFuture<S: Service<Request<RequestBody>>> {
        #[pin]
        state: State<Called<S, Request<RequestBody>>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Routed { #[pin] called: F, hides_load: bool },
        Refused { #[pin] refused: Refused },
    }
}

impl<S, B> Future for DispatchFuture<S>
where
    S: Service<Request<RequestBody>, Response = Response<Timed<B>>, Error = Infallible>,
    B: Wrapped,
{
    type Output = Result<Response<Boxed<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Routed { called, hides_load } => poll_routed(called, *hides_load, cx),
            StateProj::Refused { refused } => poll_refused(refused, cx),
        }
    }
}

/// Apart from what most requests pass.
#[cold]
fn poll_refused<B: Wrapped>(
    refused: Pin<&mut Refused>,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<Boxed<B>>, Infallible>> {
    refused
        .poll(cx)
        .map_ok(|response| response.map(|timed| Box::pin(timed.map(B::unwatched))))
}

/// A large response goes to its box at once, and is looked at, and changed, there.
#[inline]
fn poll_routed<F, B>(
    called: Pin<&mut F>,
    hides_load: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Response<Boxed<B>>, Infallible>>
where
    F: Future<Output = Result<Response<Timed<B>>, Infallible>>,
    B: Wrapped,
{
    let Ok(mut response) = ready!(called.poll(cx)).map(|response| response.map(Box::pin));
    if is_unexplained(&response) {
        explain(&mut response);
    } else if hides_load {
        response.headers_mut().remove(&ENDPOINT_LOAD_METRICS);
        response.headers_mut().remove(&ENDPOINT_LOAD_METRICS_BIN);
    }
    Poll::Ready(Ok(response))
}

/// Whether a layer refused: that is a status without a body.
fn is_unexplained<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE
        && response
            .extensions()
            .get::<Rejected>()
            .is_some_and(|by| by.by != OWN)
}

/// The client is told of a layer's refusal in the words of all problems.
#[cold]
fn explain<B: Wrapped>(response: &mut Response<Boxed<B>>) {
    let problem = CorrelationId::with_current(|id| {
        Problem::Unavailable.response(id.map(CorrelationId::as_str))
    });
    let (words, body) = problem.into_parts();
    response.headers_mut().extend(words.headers);
    *response.body_mut() = Box::pin(Timed::unwatched(B::unwatched(body)));
}
