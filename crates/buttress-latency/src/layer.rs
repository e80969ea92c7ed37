//! The layer.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::protocol::{Http, Plain, Protocol};
use http::{Extensions, HeaderMap, Method, Request, Uri};
use std::marker::PhantomData;
use tower_layer::Layer;

use crate::handle::LatencyHandle;
use crate::recorder::Sampled;
use crate::request_body::{Counted, Uncounted};
use crate::series::{self, Kind, Route, Scheme, Switches};
use crate::service::Latency;
use crate::settle::Recording;

/// Measures how long the exchanges of a service take.
///
/// All services that it makes, and all its clones, record through the same [`LatencyHandle`].
///
/// `P` says what it wraps: [`Http`] services, timed to the end of the response's body, or [`Plain`]
/// ones, timed to the end of their future. `C` decides the outcome; see [`LatencyLayer::classify`].
pub struct LatencyLayer<P: Protocol = Http, C = <P as Protocol>::Classify, R = Uncounted> {
    handle: LatencyHandle,
    routing: Routing,
    classify: C,
    protocol: PhantomData<(P, R)>,
}

/// The head of a request, as a function that names its route sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions.
    pub extensions: &'a Extensions,
}

type RouteOf = dyn for<'a> Fn(&RequestHead<'a>) -> Option<Cow<'a, str>> + Send + Sync;

/// How an exchange finds its route.
#[derive(Clone)]
pub(crate) enum Routing {
    /// All take this one, and a clone of the service counts one reference.
    Bound(Arc<Route>),
    /// The function says, and the registry has it.
    By(LatencyHandle, Arc<RouteOf>),
}

impl LatencyLayer {
    /// Measures HTTP exchanges, without a route label until one is given.
    pub fn new(handle: LatencyHandle) -> Self {
        Self::with(handle)
    }
}

impl LatencyLayer<Plain> {
    /// Measures calls to any service; give them a name with [`LatencyLayer::route`].
    pub fn plain(handle: LatencyHandle) -> Self {
        Self::with(handle)
    }
}

impl<P: Protocol> LatencyLayer<P> {
    fn with(handle: LatencyHandle) -> Self {
        Self {
            routing: Routing::Bound(Arc::clone(handle.registry().unrouted())),
            handle,
            classify: P::Classify::default(),
            protocol: PhantomData,
        }
    }
}

impl<P: Protocol, C, R> LatencyLayer<P, C, R> {
    /// Everything that passes belongs to `route`: a route's template, never a path; the name of the
    /// service if it is a plain one.
    #[must_use]
    pub fn route(mut self, route: &str) -> Self {
        self.routing = Routing::Bound(self.handle.registry().route(route));
        self
    }

    /// Decides outcomes by `classify`: for HTTP a [`buttress_core::classify::ClassifyHttp`], for plain
    /// services a [`buttress_core::protocol::ClassifyResult`].
    #[must_use]
    pub fn classify<D>(self, classify: D) -> LatencyLayer<P, D, R> {
        LatencyLayer {
            handle: self.handle,
            routing: self.routing,
            classify,
            protocol: PhantomData,
        }
    }

    /// The handle that this layer records through.
    pub const fn handle(&self) -> &LatencyHandle {
        &self.handle
    }
}

impl<C> LatencyLayer<Http, C> {
    /// Counts what passes of the bodies of requests and records their sizes. The service inside is
    /// given a [`RequestBody`](crate::RequestBody) in place of each. An allocation a request, and
    /// another recorder for each series.
    #[must_use]
    pub fn request_body_sizes(self) -> LatencyLayer<Http, C, Counted> {
        LatencyLayer {
            handle: self.handle,
            routing: self.routing,
            classify: self.classify,
            protocol: PhantomData,
        }
    }
}

impl<C, R> LatencyLayer<Http, C, R> {
    /// Asks `route_of` for the route of each request: the template that matched, borrowed from the
    /// request's extensions, or a constant. What it gives becomes a label, so a path would use up
    /// the series; the cap then holds and the rest shares the overflow series.
    ///
    /// ```
    /// # use buttress_latency::{LatencyHandle, LatencyLayer};
    /// # use std::borrow::Cow;
    /// #[derive(Clone)]
    /// struct Matched(&'static str);
    ///
    /// let layer = LatencyLayer::new(LatencyHandle::default())
    ///     .route_by(|request| Some(Cow::Borrowed(request.extensions.get::<Matched>()?.0)));
    /// ```
    #[must_use]
    pub fn route_by<F>(mut self, route_of: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        self.routing = Routing::By(self.handle.clone(), Arc::new(route_of));
        self
    }
}

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
impl<C, R> LatencyLayer<Http, C, R> {
    /// The route of a request is the template that axum's router matched; none where none did.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use buttress_latency::{LatencyHandle, LatencyLayer};
    /// use tower::ServiceExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let handle = LatencyHandle::default();
    /// let app = Router::new()
    ///     .route("/users/{id}", get(async || "hello"))
    ///     .layer(LatencyLayer::new(handle.clone()).matched_path());
    ///
    /// let request = http::Request::get("/users/17").body(axum::body::Body::empty());
    /// drop(app.oneshot(request.unwrap()).await.unwrap());
    /// let snapshot = handle.snapshot();
    /// assert_eq!(snapshot.route("/users/{id}").unwrap().total.count(), 1);
    /// # }
    /// ```
    #[must_use]
    pub fn matched_path(self) -> Self {
        self.route_by(|request| {
            let path = request.extensions.get::<axum::extract::MatchedPath>()?;
            Some(Cow::Borrowed(path.as_str()))
        })
    }
}

impl Routing {
    /// The exchange that this request begins.
    #[inline]
    pub(crate) fn start<B>(&self, request: &Request<B>, waited: Duration) -> Recording {
        match self {
            Self::Bound(route) => start(route, request, waited),
            Self::By(handle, route_of) => match route_of(&RequestHead::of(request)) {
                Some(name) => start(&handle.registry().route(&name), request, waited),
                None => start(handle.registry().unrouted(), request, waited),
            },
        }
    }

    /// The exchange that a call without a head begins.
    #[inline]
    pub(crate) fn start_plain(&self, waited: Duration) -> Recording {
        let route = match self {
            Self::Bound(route) => route,
            Self::By(handle, _) => handle.registry().unrouted(),
        };
        Recording::start(route.group(Kind::Plain), waited, None)
    }

    /// The clock by which callers' waits are timed, if they are.
    pub(crate) fn clock_of_waits(&self) -> Option<&Clock> {
        let (route, clock) = match self {
            Self::Bound(route) => (route, &route.shared().clock),
            // Which route it will be is not known before the call.
            Self::By(handle, _) => {
                let registry = handle.registry();
                (registry.unrouted(), &registry.shared.clock)
            }
        };
        let timed = route.switches().has(Switches::WAITING);
        timed.then_some(clock)
    }
}

#[inline]
fn start<B>(route: &Route, request: &Request<B>, waited: Duration) -> Recording {
    let scheme = Scheme::of(request.uri()).unwrap_or_else(|| match route.switches() {
        switches if switches.has(Switches::TLS) => Scheme::Https,
        _ => Scheme::Http,
    });
    let kind = Kind::Http(series::Method::of(request.method()), scheme);
    let trace = request.extensions().get().and_then(Sampled::of);
    Recording::start(route.group(kind), waited, trace)
}

impl<'a> RequestHead<'a> {
    /// The head of `request`.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<S, P: Protocol, C: Clone, R> Layer<S> for LatencyLayer<P, C, R> {
    type Service = Latency<S, P, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Latency::new(inner, self.routing.clone(), self.classify.clone())
    }
}

impl<P: Protocol, C: Clone, R> Clone for LatencyLayer<P, C, R> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            routing: self.routing.clone(),
            classify: self.classify.clone(),
            protocol: PhantomData,
        }
    }
}

impl<P: Protocol, C, R> fmt::Debug for LatencyLayer<P, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyLayer")
            .field("routing", &self.routing)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(route) => f.debug_tuple("Bound").field(route.name()).finish(),
            Self::By(..) => f.write_str("By(..)"),
        }
    }
}
